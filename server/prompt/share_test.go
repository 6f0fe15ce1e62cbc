package prompt

import (
	"slices"
	"testing"
)

// Two records with one store have each other's answers; a key that was not there once is not asked for again, and stays unknown.
func TestSharedRecords(t *testing.T) {
	store, asked := map[Key]Entry{}, 0
	share := func() *Record {
		r := NewRecord(DefaultRecordBytes, nil)
		r.Share(func(e Entry) { store[e.Key] = e }, func(k Key) (Entry, bool) { asked++; e, ok := store[k]; return e, ok })
		return r
	}
	one, two := share(), share()
	one.Add(Entry{Key: key(1), IDs: []int32{7, 8}})
	if e, ok := two.Echo(key(1)); !ok || !slices.Equal(e.IDs, []int32{7, 8}) || !e.Echoed {
		t.Errorf("%+v, %v", e, ok)
	}
	if _, ok := two.Echo(key(1)); !ok || asked != 1 {
		t.Errorf("asked %d times for what is here", asked)
	}
	for range 3 {
		if _, ok := two.Echo(key(2)); ok {
			t.Error("found what nobody had")
		}
	}
	one.Add(Entry{Key: key(2), IDs: []int32{9}})
	if _, ok := two.Echo(key(2)); ok || asked != 2 {
		t.Errorf("a conversation changed behind its own back: %v, asked %d times", ok, asked)
	}
	store[key(3)] = Entry{Key: key(4), IDs: []int32{1}}
	if _, ok := two.Echo(key(3)); ok {
		t.Error("another key's entry was taken")
	}
}
