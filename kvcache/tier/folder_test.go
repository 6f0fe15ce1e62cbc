package tier

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Somebody deletes the folder, or a model's, under a running server: what was there is no hit, and what is computed again is
// stored again.
func TestFolderThatIsDeleted(t *testing.T) {
	ids, blocks := made(t, 5, 0)
	dir := filepath.Join(t.TempDir(), "kv")
	for _, gone := range []string{dir, filepath.Join(dir, folderOf(testModel))} {
		for _, listed := range []bool{false, true} {
			d := OpenDisk(DiskOptions{Dir: dir})
			put(t, d, blocks)
			tiers := &Tiers{Disk: d}
			if listed {
				same(t, tiers, ids, blocks)
			}
			if err := os.RemoveAll(gone); err != nil {
				t.Fatal(err)
			}
			if f := tiers.Find(context.Background(), query(ids), 0); f.To != 0 || d.Stats().Bytes != 0 {
				t.Errorf("%d ids and %d bytes are still known without %s", f.To, d.Stats().Bytes, gone)
			}
			put(t, d, blocks)
			same(t, &Tiers{Disk: OpenDisk(DiskOptions{Dir: dir})}, ids, blocks)
			if s := d.Stats(); gone == dir && s.WrittenToday != s.WriteBytes {
				t.Errorf("%d bytes were written, %d are counted", s.WriteBytes, s.WrittenToday)
			}
		}
	}
}

// A folder that is not ours alone: what lies there under other names is neither read nor removed.
func TestForeignFiles(t *testing.T) {
	ids, blocks := made(t, 1, 0)
	dir := t.TempDir()
	d := OpenDisk(DiskOptions{Dir: dir})
	put(t, d, blocks)
	foreign := []string{"notes/level.blk", "notes/.tmp-draft", filepath.Join(folderOf(testModel), "level.blk"), "level.blk"}
	for _, name := range foreign {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("not ours"), 0o600), os.Chtimes(path, time.Time{}, time.Now().Add(-2*time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	d = OpenDisk(DiskOptions{Dir: dir})
	same(t, &Tiers{Disk: d}, ids, blocks)
	if v, err := VerifyDir(dir); err != nil || len(v.Problems) > 0 || v.Partial > 0 || d.Stats().Bad > 0 {
		t.Errorf("%+v, %v, %+v", v, err, d.Stats())
	}
	if err := d.Clear(); err != nil {
		t.Fatal(err)
	}
	for _, name := range foreign {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// A block that is larger than all may be is not stored, and takes nothing with it.
func TestBlockLargerThanTheLimit(t *testing.T) {
	ids, blocks := made(t, 2, 0)
	var log strings.Builder
	d := OpenDisk(DiskOptions{Dir: t.TempDir(), Limit: 30_000, Log: slog.New(slog.NewTextHandler(&log, nil))})
	put(t, d, blocks)
	_, others := made(t, 1, 100)
	large := New(testModel, others[0].Slot, others[0].Link, "float32", make([]byte, 31_000), nil)
	for range 3 {
		if _, err := d.Put(large); !errors.Is(err, ErrLarge) {
			t.Error(err)
		}
	}
	if s := d.Stats(); s.Evicted > 0 || s.Skipped != 3 || s.Off || strings.Count(log.String(), "WARN") != 1 {
		t.Errorf("%+v, log: %s", s, log.String())
	}
	same(t, &Tiers{Disk: d}, ids, blocks)
}

// A limit that is smaller than the last time holds from the start.
func TestSmallerLimitAtTheStart(t *testing.T) {
	dir := t.TempDir()
	d := OpenDisk(DiskOptions{Dir: dir})
	for i := range 3 {
		_, blocks := made(t, 4, 1000*i)
		put(t, d, blocks)
	}
	limit := d.Stats().Bytes / 2
	d = OpenDisk(DiskOptions{Dir: dir, Limit: limit})
	if v, err := VerifyDir(dir); err != nil || v.Bytes > limit || v.Bytes == 0 || d.Stats().Bytes != v.Bytes {
		t.Errorf("%+v, %v; it may hold %d, and says that it holds %d", v, err, limit, d.Stats().Bytes)
	}
}

// A clock that was set back leaves blocks of the future: they are not worth less for it.
func TestClockThatWasSetBack(t *testing.T) {
	dir := t.TempDir()
	d := OpenDisk(DiskOptions{Dir: dir})
	ids, blocks := made(t, 1, 0)
	put(t, d, blocks)
	_, old := made(t, 1, 1000)
	put(t, d, old)
	for b, at := range map[*Block]time.Duration{blocks[0]: time.Hour, blocks[1]: time.Hour, old[0]: -time.Hour, old[1]: -time.Hour} {
		when := time.Now().Add(at)
		if err := os.Chtimes(filepath.Join(dir, b.path()), when, when); err != nil {
			t.Fatal(err)
		}
	}
	same(t, &Tiers{Disk: OpenDisk(DiskOptions{Dir: dir, Limit: d.Stats().Bytes / 2 * 11 / 10})}, ids, blocks)
}

// When a chain's end is evicted, what it hung on goes before the end of a chain that is used: that end is what makes a chain
// worth anything.
func TestAChainGoesBeforeTheNextOnesEnd(t *testing.T) {
	dir := t.TempDir()
	d := OpenDisk(DiskOptions{Dir: dir})
	_, old := made(t, 4, 1000)
	put(t, d, old)
	for _, b := range old {
		when := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(dir, b.path()), when, when); err != nil {
			t.Fatal(err)
		}
	}
	ids, blocks := made(t, 4, 0)
	put(t, d, blocks)
	limit := d.Stats().Bytes - old[4].Bytes() - 2*old[3].Bytes()
	same(t, &Tiers{Disk: OpenDisk(DiskOptions{Dir: dir, Limit: limit})}, ids, blocks)
}

// Two producers' states of the same calls have the same digests: the rows of one are nothing that the other's blocks hang on.
func TestProducersShareNoRows(t *testing.T) {
	d := OpenDisk(DiskOptions{Dir: t.TempDir()})
	_, blocks := made(t, 2, 0)
	put(t, d, blocks)
	other := New("model a by another device", blocks[1].Slot, blocks[1].Link, "float32", []byte("rows"), nil)
	if _, err := d.Put(other); !errors.Is(err, ErrOrphan) {
		t.Errorf("stored behind another producer's rows: %v", err)
	}
}
