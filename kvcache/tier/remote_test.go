package tier

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/tier/valkeytest"
)

func remote(t testing.TB, url string) *Remote {
	t.Helper()
	r, err := OpenRemote(url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func share(t testing.TB, r *Remote, blocks []*Block) {
	t.Helper()
	for _, b := range blocks {
		if !r.Put(b) {
			t.Fatal("the writer takes nothing")
		}
	}
	if err := r.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestRemoteGivesBackWhatWasStored(t *testing.T) {
	s := valkeytest.Start(t, "--requirepass", "open sesame")
	url := strings.Replace(s.URL("ttl=1h&timeout=5s"), "redis://", "redis://:open%20sesame@", 1)
	ids, blocks := made(t, 3, 0)
	blocks[1] = New(testModel, blocks[1].Slot, blocks[1].Link, "float32", bytes.Repeat([]byte("a state of zeros "), 1<<20), nil) // three parts, one third of them packed
	one := remote(t, url)
	share(t, one, blocks[1:2]) // first: after one that does not pay some are not tried
	share(t, one, blocks)
	share(t, one, blocks) // at most once
	if st := one.Stats(); st.Stores != 4 || st.Failures+st.Dropped > 0 || st.WriteBytes > 1e6 || st.Compressed > 0.7 {
		t.Errorf("%+v", st)
	}
	two := remote(t, url)
	f := same(t, &Tiers{Remote: two}, ids, blocks)
	for _, e := range f.Entries {
		if e.Tier != 2 || !two.Has(e.Header) {
			t.Errorf("[%d, %d) of tier %d, known %t", e.From, e.To, e.Tier, two.Has(e.Header))
		}
	}
	if ttl := one.client.TTL(t.Context(), blocks[0].partKey(0)).Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("expires in %s", ttl)
	}
	// The disk has the beginning, the remote store the rest.
	d := OpenDisk(DiskOptions{Dir: t.TempDir()})
	put(t, d, blocks[:2])
	f = same(t, &Tiers{Disk: d, Remote: two}, ids, blocks)
	if f.Entries[0].Tier != 1 || f.Entries[3].Tier != 2 {
		t.Error("the nearer tier was not preferred")
	}
	if off := remote(t, url).Learn(t.Context(), []*Header{&blocks[0].Header}); off {
		t.Error("it did not answer")
	}
	if err := two.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := (&Tiers{Remote: two}).Find(t.Context(), query(ids), 0); f.To != 0 || f.Miss != "" {
		t.Errorf("after clear: %d %s", f.To, f.Miss)
	}
	wrong := remote(t, s.URL("timeout=5s"))
	if f := (&Tiers{Remote: wrong}).Find(t.Context(), query(ids), 0); f.Miss != kvcache.MissDown {
		t.Errorf("without the password: %q", f.Miss)
	}
}

// What an audit found wrong goes from both tiers, with what goes on from it otherwise; other prompts stay.
func TestForget(t *testing.T) {
	r := remote(t, valkeytest.Start(t).URL("timeout=5s"))
	tiers := &Tiers{Disk: OpenDisk(DiskOptions{Dir: t.TempDir()}), Remote: r}
	ids, blocks := made(t, 3, 0)
	other, others := made(t, 2, 100)
	branch := New(testModel, blocks[2].Slot, blocks[2].Link, "float32", []byte("of other calls"), nil)
	branch.Digest[0]++ // of other calls
	put(t, tiers.Disk, append(slices.Clone(blocks), others...))
	share(t, r, append(slices.Clone(blocks), append(others, branch)...))
	tiers.Forget(t.Context(), testModel, ids)
	if n, stats := tiers.Disk.Stats().Blocks, r.Stats(); n != len(others) || stats.Failures > 0 {
		t.Errorf("%d blocks are on the disk, want %d; remote %+v", n, len(others), stats)
	}
	for what, alone := range map[string]*Tiers{"disk": {Disk: tiers.Disk}, "remote": {Remote: r}} {
		if f := alone.Find(t.Context(), query(ids), 0); f.To != 0 || f.Matched != 0 {
			t.Errorf("%s: %d of %d are still found", what, f.To, f.Matched)
		}
		same(t, alone, other, others)
	}
}

// Acceptance 5.2: a store that lies gives misses.
func TestRemoteThatLies(t *testing.T) {
	s := valkeytest.Start(t)
	ids, blocks := made(t, 2, 0)
	r := remote(t, s.URL("timeout=5s"))
	tiers := &Tiers{Remote: r}
	ctx := t.Context()
	for name, lie := range map[string]func(){
		"other bytes":            func() { r.client.Set(ctx, blocks[0].partKey(0), "short", 0) },
		"as many other bytes":    func() { r.client.Set(ctx, blocks[2].partKey(1), bytes.Repeat([]byte{7}, 9000), 0) },
		"another block's bytes":  func() { r.client.Set(ctx, blocks[0].partKey(0), blocks[1].Data[0], 0) },
		"another block's header": func() { r.client.HSet(ctx, slotKey(blocks[0].Slot), blocks[0].member(), blocks[1].encode()) },
		"no header":              func() { r.client.HSet(ctx, slotKey(blocks[0].Slot), blocks[0].member(), "hello") },
		"a header that lies about its length": func() {
			h := blocks[0].Header
			h.Parts = []Part{{Kind: Rows, Stored: 4, Raw: 4, Sum: 9}}
			r.client.HSet(ctx, slotKey(h.Slot), h.member(), h.encode())
		},
	} {
		share(t, r, blocks)
		lie()
		f := tiers.Find(ctx, query(ids), 0)
		miss := f.Miss
		if miss == "" {
			_, _, err := tiers.Load(ctx, &f, 0)
			if err == nil {
				t.Errorf("%s: taken", name)
				continue
			}
			miss = Reason(err)
		}
		if miss != kvcache.MissBadBlock || r.Stats().Off {
			t.Errorf("%s: %s, off %t", name, miss, r.Stats().Off)
		}
		if f := tiers.Find(ctx, query(ids), 0); f.To != 0 && name != "as many other bytes" {
			t.Errorf("%s: the lie is still there: %d", name, f.To)
		}
		if err := r.Clear(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// Acceptance 5.2: a store that is killed, paused or flushed costs a bounded wait and a reason; when it answers again it is used.
func TestRemoteThatFails(t *testing.T) {
	s := valkeytest.Start(t)
	ids, blocks := made(t, 2, 0)
	r := remote(t, s.URL("timeout=300ms"))
	tiers := &Tiers{Remote: r}
	share(t, r, blocks)
	f := tiers.Find(t.Context(), query(ids), 0)
	s.Pause()
	if _, _, err := tiers.Load(t.Context(), &f, 0); Reason(err) != kvcache.MissTimeout {
		t.Errorf("paused: %v", err)
	}
	if f := tiers.Find(t.Context(), query(ids), 0); f.Miss != kvcache.MissDown || !r.Stats().Off {
		t.Errorf("left alone: %q", f.Miss)
	}
	if r.Put(blocks[0]) {
		t.Error("it takes blocks for a store that is left alone")
	}
	s.Continue()
	r.breaker.mu.Lock()
	r.breaker.until = time.Time{} // the while is over
	r.breaker.mu.Unlock()
	f = same(t, tiers, ids, blocks)
	if err := r.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tiers.Load(t.Context(), &f, 0); Reason(err) != kvcache.MissEvicted || r.Stats().Off {
		t.Errorf("flushed: %v", err)
	}
	s.Kill()
	if f := tiers.Find(t.Context(), query(ids), 0); f.Miss != kvcache.MissDown {
		t.Errorf("killed: %q", f.Miss)
	}
}

func TestRemoteThatIsFull(t *testing.T) {
	s := valkeytest.Start(t)
	_, blocks := made(t, 2, 0)
	r := remote(t, s.URL("limit=1KB&timeout=5s"))
	share(t, r, blocks[:1]) // measures
	if st := r.Stats(); st.Stores > 0 || st.Dropped != 1 || r.Put(blocks[1]) {
		t.Errorf("a full store is written to: %+v", st)
	}
}

// A store that refuses more than it may hold is no dead one: what it has is read, at once.
func TestRemoteThatRefusesMore(t *testing.T) {
	s := valkeytest.Start(t, "--maxmemory", "12mb", "--maxmemory-policy", "noeviction")
	r := remote(t, s.URL("timeout=5s"))
	ids, blocks := made(t, 2, 0)
	share(t, r, blocks)
	_, others := made(t, 60, 1000)
	for i, b := range others {
		noise := bytes.Repeat(b.Data[0], 100) // half a megabyte, which does not pack
		for k := range noise {
			noise[k] ^= byte(k * k >> 7)
		}
		others[i] = New(testModel, b.Slot, b.Link, "float32", noise, nil)
		if !r.Put(others[i]) {
			break
		}
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if st := r.Stats(); st.Dropped == 0 || st.Failures > 0 || st.Off || r.Put(others[0]) {
		t.Errorf("it never was full, or that is taken for a failure: %+v", st)
	}
	same(t, &Tiers{Remote: r}, ids, blocks)
}

// What somebody cleared, or a store lost that was started again, is stored again, not taken to be there until it would expire.
func TestRemoteThatWasCleared(t *testing.T) {
	r := remote(t, valkeytest.Start(t).URL("timeout=5s"))
	tiers := &Tiers{Remote: r}
	ids, blocks := made(t, 2, 0)
	for name, seen := range map[string]func(){
		"a lookup": func() { tiers.Find(t.Context(), query(ids), 0) },
		"a store that answers again": func() {
			r.breaker.failed(errors.New("it was started again"))
			r.breaker.until = time.Time{}
			r.Noted(t.Context(), "anything")
		},
		"time": func() {
			for _, members := range r.known {
				for name, at := range members {
					members[name] = at.Add(-2 * knownFor)
				}
			}
		},
	} {
		share(t, r, blocks)
		if err := r.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		seen()
		for _, b := range blocks {
			if r.Has(&b.Header) {
				t.Errorf("%s: [%d, %d) is still taken to be there", name, b.From, b.To)
			}
		}
		share(t, r, blocks)
		same(t, tiers, ids, blocks)
	}
}

// Keys of ours that hold another kind of value are damaged blocks, not a dead store, and are not in the way for ever.
func TestRemoteWithOtherKinds(t *testing.T) {
	s := valkeytest.Start(t)
	r := remote(t, s.URL("timeout=5s"))
	tiers := &Tiers{Remote: r}
	ctx := t.Context()
	ids, blocks := made(t, 2, 0)
	for name, spoil := range map[string]func(){
		"slot": func() { r.client.Set(ctx, slotKey(blocks[1].Slot), "not a hash", 0) },
		"part": func() { r.client.Del(ctx, blocks[1].partKey(0)); r.client.HSet(ctx, blocks[1].partKey(0), "a", "b") },
	} {
		share(t, r, blocks)
		spoil()
		f := tiers.Find(ctx, query(ids), 0)
		miss := f.Miss
		if miss == "" {
			_, _, err := tiers.Load(ctx, &f, 0)
			miss = Reason(err)
		}
		if st := r.Stats(); miss != kvcache.MissBadBlock || st.Off || st.Failures > 0 {
			t.Errorf("%s: %s, %+v", name, miss, st)
		}
		spoil()
		fresh := remote(t, s.URL("timeout=5s")) // which knows nothing
		if off := fresh.Learn(ctx, []*Header{&blocks[1].Header}); off {
			t.Errorf("%s: left alone", name)
		}
		spoil()
		if name == "slot" {
			share(t, fresh, blocks)
			same(t, &Tiers{Remote: fresh}, ids, blocks)
		}
		if err := r.Clear(ctx); err != nil {
			t.Fatal(err)
		}
	}
	// An empty Valkey of ours takes about 1 MB.
	if held := r.Stats().StoreBytes; held < 1000 || held > 100e6 {
		t.Errorf("the store holds %d bytes", held)
	}
}

func TestRemoteURLs(t *testing.T) {
	for url, ok := range map[string]bool{
		"redis://127.0.0.1:6379": true, "rediss://user:secret@mac.local:6380/2?ttl=2h&limit=8GB&timeout=250ms": true, "unix:///tmp/valkey.sock": true,
		"localhost:6379": false, "http://x": false, "redis://x/0?ttl=0s": false, "redis://x/0?limit=much": false, "redis://x/0?colour=red": false, "redis://x/nine": false,
	} {
		ro, o, err := parseRemote(url)
		if (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
		if strings.HasPrefix(url, "rediss") && (ro.TLSConfig == nil || ro.Password != "secret" || o.Limit != 8e9 || o.TTL != 2*time.Hour || ro.ReadTimeout != 250*time.Millisecond) {
			t.Errorf("%+v", o)
		}
	}
}
