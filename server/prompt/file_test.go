package prompt

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Invariant 6: what was generated is known after a restart, also when the last write broke off or a byte is wrong.
func TestRecordOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model", "record.log")
	log := slog.New(slog.DiscardHandler)
	r := OpenRecord(path, DefaultRecordBytes, log)
	for i := range 5 {
		r.Add(Entry{Key: Key{byte(i)}, Head: []int32{1}, IDs: []int32{int32(i), 7, 8}})
	}
	r.Echo(Key{2})
	again := OpenRecord(path, DefaultRecordBytes, log)
	for i := range 5 {
		e, ok := again.Echo(Key{byte(i)})
		if !ok || !slices.Equal(e.IDs, []int32{int32(i), 7, 8}) {
			t.Errorf("entry %d: %v, %t", i, e, ok)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	one := len(whole) / 11 // six changes, then five echoes less one
	for _, cut := range []int{len(whole) - 5, one + 9, 3} {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		r := OpenRecord(path, DefaultRecordBytes, log)
		if _, ok := r.Echo(Key{0}); ok != (cut > one) {
			t.Errorf("cut at %d: entry 0 %t", cut, ok)
		}
		r.Add(Entry{Key: Key{99}, IDs: []int32{4}}) // behind what was broken off
		if _, ok := OpenRecord(path, DefaultRecordBytes, log).Echo(Key{99}); !ok {
			t.Errorf("cut at %d: what came later is lost", cut)
		}
	}
	spoilt := bytes.Clone(whole)
	spoilt[20] ^= 1
	if err := os.WriteFile(path, spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	r = OpenRecord(path, DefaultRecordBytes, log)
	if e, ok := r.Echo(Key{3}); !ok || e.IDs[0] != 3 {
		t.Error("one wrong byte cost another entry")
	}
}
