package prompt

// Share gives the record a store that several processes have in common: an entry goes there when it is added, and a key that
// is not here is asked for there, once. put and get may fail silently; get may take the time that an answer of the store
// takes. What a key was found to be, or not to be, stays so here: a conversation does not change because a store comes back.
// It is called before the record is used.
func (r *Record) Share(put func(Entry), get func(Key) (Entry, bool)) {
	r.put, r.get, r.absent = put, get, map[Key]struct{}{}
}

// mostAbsent bounds what is remembered of keys that no one had.
const mostAbsent = 1 << 16

// fetch asks the shared store for a key that is not here, and keeps what it has.
func (r *Record) fetch(k Key) {
	r.mu.Lock()
	_, known := r.entries[k]
	_, absent := r.absent[k]
	r.mu.Unlock()
	if known || absent || r.get == nil {
		return
	}
	e, ok := r.get(k)
	if ok && e.Key == k {
		r.add(e)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.absent) >= mostAbsent {
		clear(r.absent)
	}
	r.absent[k] = struct{}{}
}
