package tier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/kvcache"
)

const testModel = "model a"

// made is a chain of n blocks of rows and a kept offset behind them, over ids that start with `first`.
func made(t testing.TB, n, first int) (kvcache.Spelling, []*Block) {
	t.Helper()
	ids := make([]int32, n*Step+10)
	for i := range ids {
		ids[i] = int32(first + i)
	}
	c := kvcache.New(kvcache.Options{})
	spelled, err := c.Spell(kvcache.Sequence{IDs: ids})
	if err != nil {
		t.Fatal(err)
	}
	slots := Slots(testModel, spelled)
	rng := rand.New(rand.NewPCG(1, uint64(first)))
	payload := func(n int) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(rng.Uint32())
		}
		return out
	}
	parent := kvcache.RootDigest(testModel)
	var out []*Block
	for i := range n {
		l := kvcache.Link{From: i * Step, To: (i + 1) * Step, Base: i * Step, IDs: spelled.Slice(i*Step, (i+1)*Step), Parent: parent,
			Runs: []kvcache.Run{{Start: i * Step, Width: Step, Count: 1, Batch: 1, Purpose: "turn"}}}
		l.Digest = kvcache.Digest{1, byte(i), byte(first), byte(first >> 8)}
		parent = l.Digest
		out = append(out, New(testModel, slots[i], l, "float32", payload(5000), nil))
	}
	l := kvcache.Link{From: n * Step, To: n*Step + 9, Base: n * Step, IDs: spelled.Slice(n*Step, n*Step+9), Parent: parent, Kept: true,
		Runs: []kvcache.Run{{Start: n * Step, Width: 10, Count: 1, Batch: 1, Beyond: []byte{7, 0, 0, 0}}}}
	l.Digest = kvcache.Digest{2, byte(n), byte(first), byte(first >> 8)}
	return spelled, append(out, New(testModel, slots[n], l, "float32", payload(200), payload(9000)))
}

func query(ids kvcache.Spelling) Query {
	return Query{Model: testModel, Root: kvcache.RootDigest(testModel), IDs: ids, Limit: ids.Len() - 1, Needs: true}
}

func put(t testing.TB, d *Disk, blocks []*Block) {
	t.Helper()
	for _, b := range blocks {
		if _, err := d.Put(b); err != nil {
			t.Fatal(err)
		}
	}
}

// same loads the chain and compares it with what was stored.
func same(t testing.TB, tiers *Tiers, ids kvcache.Spelling, want []*Block) Found {
	t.Helper()
	f := tiers.Find(context.Background(), query(ids), 0)
	if f.To != want[len(want)-1].To || len(f.Entries) != len(want) {
		t.Fatalf("found %d blocks to %d, want %d to %d (%s)", len(f.Entries), f.To, len(want), want[len(want)-1].To, f.Miss)
	}
	got, _, err := tiers.Load(context.Background(), &f, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range got {
		for _, k := range []PartKind{Rows, Snapshot} {
			if !bytes.Equal(b.Payload(k), want[i].Payload(k)) {
				t.Fatalf("block %d comes back with other bytes", i)
			}
		}
		if fmt.Sprint(b.Link) != fmt.Sprint(want[i].Link) {
			t.Fatalf("block %d comes back as %+v, was %+v", i, b.Link, want[i].Link)
		}
	}
	return f
}

func TestDiskGivesBackWhatWasStored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kv")
	ids, blocks := made(t, 3, 0)
	d := OpenDisk(DiskOptions{Dir: dir})
	put(t, d, blocks)
	put(t, d, blocks) // at most once
	if s := d.Stats(); s.Stores != 4 || s.Blocks != 4 || s.WrittenToday != s.WriteBytes || s.Bytes != s.WriteBytes {
		t.Errorf("%+v", s)
	}
	same(t, &Tiers{Disk: d}, ids, blocks)
	again := OpenDisk(DiskOptions{Dir: dir}) // without a shutdown of the first
	same(t, &Tiers{Disk: again}, ids, blocks)
	if v, err := VerifyDir(dir); err != nil || v.Blocks != 4 || len(v.Problems) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
	// Two processes: each sees what the other writes and deletes.
	other, more := made(t, 2, 100)
	put(t, again, more)
	same(t, &Tiers{Disk: d}, other, more)
	if err := again.Clear(); err != nil {
		t.Fatal(err)
	}
	if f := (&Tiers{Disk: d}).Find(context.Background(), query(ids), 0); f.To != 0 || d.Stats().Blocks != 0 {
		t.Errorf("after the other's clear: %d", f.To)
	}
	if s := again.Stats(); s.WrittenToday == 0 || s.WrittenToday != d.Stats().WrittenToday {
		t.Errorf("written today: %d and %d", s.WrittenToday, d.Stats().WrittenToday)
	}
}

// Acceptance 5.2: whatever byte is wrong, wherever a file ends, it is a miss, said as such, and never other bytes.
func TestDamagedBlocksAreMisses(t *testing.T) {
	ids, blocks := made(t, 1, 0)
	for kind := range 2 {
		b := blocks[kind]
		whole := append(b.encode(), bytes.Join(b.Data, nil)...)
		if got, err := decodeBlock(whole, &b.Header); err != nil || !bytes.Equal(got.Payload(Rows), b.Payload(Rows)) {
			t.Fatal(err)
		}
		var wrong *BadBlock
		for i := range whole {
			x := bytes.Clone(whole)
			x[i] ^= 1 << (i % 8)
			if i == 6 || i == 7 {
				continue // unused
			}
			if _, err := decodeBlock(x, &b.Header); !errors.As(err, &wrong) {
				t.Fatalf("byte %d of %d flipped: %v", i, len(whole), err)
			}
			if _, err := decodeBlock(whole[:i], &b.Header); !errors.As(err, &wrong) {
				t.Fatalf("cut at %d of %d: %v", i, len(whole), err)
			}
		}
		if _, err := decodeBlock(whole, &blocks[1-kind].Header); !errors.As(err, &wrong) {
			t.Fatalf("another block: %v", err)
		}
	}
	for name, spoil := range map[string]func(path string, data []byte) error{
		"a bit of the rows": func(p string, x []byte) error { x[len(x)-1] ^= 4; return os.WriteFile(p, x, 0o600) },
		"cut":               func(p string, x []byte) error { return os.WriteFile(p, x[:len(x)-9], 0o600) },
		"empty":             func(p string, x []byte) error { return os.WriteFile(p, nil, 0o600) },
	} {
		for _, restarted := range []bool{false, true} {
			dir := t.TempDir()
			var log strings.Builder
			o := DiskOptions{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}
			d := OpenDisk(o)
			put(t, d, blocks)
			path := filepath.Join(dir, blocks[0].path())
			data, err := os.ReadFile(path)
			if err == nil {
				err = spoil(path, data)
			}
			if err != nil {
				t.Fatal(err)
			}
			if v, err := VerifyDir(dir); err != nil || len(v.Problems) != 1 {
				t.Errorf("%s: verify finds %+v, %v", name, v, err)
			}
			if restarted {
				d = OpenDisk(o)
			}
			tiers := &Tiers{Disk: d}
			f := tiers.Find(context.Background(), query(ids), 0)
			if f.To > 0 {
				if _, _, err = tiers.Load(context.Background(), &f, 0); Reason(err) != kvcache.MissBadBlock {
					t.Errorf("%s, restarted %t: %v", name, restarted, err)
				}
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || d.Stats().Bad != 1 || !strings.Contains(log.String(), "damaged") {
				t.Errorf("%s, restarted %t: the block is still there: %v, %+v, %s", name, restarted, err, d.Stats(), log.String())
			}
			if f = tiers.Find(context.Background(), query(ids), 0); f.To != 0 {
				t.Errorf("%s: what hangs on a bad block is found", name)
			}
			put(t, d, blocks) // it can be stored again
			same(t, tiers, ids, blocks)
		}
	}
}

func TestHeadersOfAnyBytes(t *testing.T) {
	_, blocks := made(t, 1, 0)
	good := blocks[1].encode()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		x := bytes.Clone(good)
		for range 1 + rng.IntN(4) {
			x[prefixSize+rng.IntN(len(x)-prefixSize)] = byte(rng.Uint32())
		}
		le.PutUint64(x[12:], sum(x[prefixSize:])) // a liar's checksum is right
		if h, err := decodeHeader(x); err == nil {
			_ = h.name()
		}
	}
}

func TestLimits(t *testing.T) {
	ids, blocks := made(t, 4, 0)
	var size int64
	for _, b := range blocks {
		size += b.Bytes() + int64(len(b.encode()))
	}
	d := OpenDisk(DiskOptions{Dir: t.TempDir(), Limit: 2*size + 100})
	put(t, d, blocks)
	var all []kvcache.Spelling
	for i := 1; i < 6; i++ {
		other, more := made(t, 4, 1000*i)
		all = append(all, other)
		put(t, d, more)
		if s := d.Stats(); s.Bytes > s.Limit {
			t.Fatalf("%d of %d bytes", s.Bytes, s.Limit)
		}
		d.mu.Lock()
		for _, f := range d.files { // what is left hangs together
			if f.Parent != kvcache.RootDigest(testModel) && !d.holds(f) {
				t.Errorf("[%d, %d) is left without what it hangs on", f.From, f.To)
			}
		}
		d.mu.Unlock()
	}
	if d.Stats().Evicted == 0 {
		t.Error("nothing was evicted")
	}
	newest := (&Tiers{Disk: d}).Find(context.Background(), query(all[4]), 0)
	oldest := (&Tiers{Disk: d}).Find(context.Background(), query(ids), 0)
	if newest.To != 4*Step+9 || oldest.To > newest.To {
		t.Errorf("the newest chain leads to %d, the oldest to %d", newest.To, oldest.To)
	}

	thrifty := OpenDisk(DiskOptions{Dir: t.TempDir(), Daily: size / 2})
	stored := 0
	for _, b := range blocks {
		if _, err := thrifty.Put(b); err == nil {
			stored++
		} else if !errors.Is(err, ErrDaily) && !errors.Is(err, ErrOrphan) {
			t.Fatal(err)
		}
	}
	if s := thrifty.Stats(); stored == 0 || stored == len(blocks) || s.WrittenToday > size/2 || s.Skipped == 0 {
		t.Errorf("stored %d: %+v", stored, s)
	}
}

// holds says whether the block that f hangs on is there.
func (d *Disk) holds(f *file) bool {
	for _, x := range d.files {
		if !x.Kept && x.Digest == f.Parent {
			return true
		}
	}
	return false
}

// A folder that cannot be written to is said once; reading goes on.
func TestDiskThatTakesNothing(t *testing.T) {
	ids, blocks := made(t, 2, 0)
	dir := t.TempDir()
	var log strings.Builder
	d := OpenDisk(DiskOptions{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	put(t, d, blocks)
	_, more := made(t, 2, 50)
	// The model's folder is in the way of itself: nothing can be made in it, whoever we are.
	model := filepath.Join(dir, folderOf("model b"))
	if err := os.WriteFile(model, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, b := range more {
		b.Model = "model b"
		if _, err := d.Put(b); err == nil {
			t.Fatal("it took a block")
		}
	}
	if !d.Off() || strings.Count(log.String(), "WARN") != 1 {
		t.Errorf("off %t, log: %s", d.Off(), log.String())
	}
	same(t, &Tiers{Disk: d}, ids, blocks)
	gone := OpenDisk(DiskOptions{Dir: filepath.Join(model, "below a file")})
	if f := (&Tiers{Disk: gone}).Find(context.Background(), query(ids), 0); f.To != 0 || !gone.Off() {
		t.Errorf("found %d in no folder", f.To)
	}
}

// A disk that does not answer costs a bounded wait.
func TestSlowDisk(t *testing.T) {
	ids, blocks := made(t, 1, 0)
	d := OpenDisk(DiskOptions{Dir: t.TempDir()})
	put(t, d, blocks)
	release := make(chan struct{})
	d.read = func(string) ([]byte, error) { <-release; return nil, fs.ErrNotExist }
	defer close(release)
	tiers := &Tiers{Disk: d}
	f := tiers.Find(context.Background(), query(ids), 0)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := tiers.Load(ctx, &f, 0); Reason(err) != kvcache.MissTimeout {
		t.Error(err)
	}
}

// What a writer that was killed left behind is no block, and goes at the next start.
func TestBrokenWrites(t *testing.T) {
	ids, blocks := made(t, 1, 0)
	dir := t.TempDir()
	d := OpenDisk(DiskOptions{Dir: dir})
	put(t, d, blocks)
	temp := filepath.Join(d.Folder(testModel), tempPrefix+"999999999-1")
	if err := os.WriteFile(temp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(d.Folder(testModel), fmt.Sprintf("%s%d-1", tempPrefix, os.Getpid()))
	if err := os.WriteFile(mine, []byte("under way"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := VerifyDir(dir); err != nil || v.Partial != 2 || len(v.Problems) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
	same(t, &Tiers{Disk: OpenDisk(DiskOptions{Dir: dir})}, ids, blocks)
	if _, err := os.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the broken write is still there")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error("a write under way was removed")
	}
}

// The index of thousands of blocks is made from their headers.
func BenchmarkOpenDisk(b *testing.B) {
	dir := b.TempDir()
	d := OpenDisk(DiskOptions{Dir: dir})
	for i := range 250 {
		_, blocks := made(b, 19, 10_000*i)
		put(b, d, blocks)
	}
	b.ResetTimer()
	for range b.N {
		if s := OpenDisk(DiskOptions{Dir: dir}).Stats(); s.Blocks != 5000 {
			b.Fatal(s.Blocks)
		}
	}
}
