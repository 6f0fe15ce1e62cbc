package connect

// document is a configuration file that can be changed in places, with everything else kept as its owner wrote it.
type document interface {
	// get is the value at path as JSON's types, nil when there is none. A number in the path counts in a list.
	get(path ...string) any
	// set puts the value at path and makes the objects on the way. What is on the way and is no object is replaced by one. "-" as
	// the last of a path appends to a list.
	set(value any, path ...string) error
	remove(path ...string) error
	// text is the file.
	text() ([]byte, error)
}

// lookup walks JSON's types.
func lookup(v any, path []string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// edit is a change of a document, until one fails.
type edit struct {
	document
	err error
}

func (e *edit) put(value any, path ...string) {
	if e.err == nil {
		e.err = e.set(value, path...)
	}
}

// offer puts a value only where there is none.
func (e *edit) offer(value any, path ...string) {
	if e.get(path...) == nil {
		e.put(value, path...)
	}
}

func (e *edit) drop(path ...string) {
	if e.err == nil && e.get(path...) != nil {
		e.err = e.remove(path...)
	}
}

// under is path with more behind it, in memory of its own.
func under(path []string, more ...string) []string {
	return append(path[:len(path):len(path)], more...)
}
