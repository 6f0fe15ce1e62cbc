package tier

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// The writer that is killed is this test's binary, started with these.
const (
	writerDir = "REPRISE_TEST_WRITER_DIR"
	killsWant = "REPRISE_KILLS" // how often; 3 when not given
)

// TestWriterProcess is no test: it stores chains for ever, when the variable says where.
func TestWriterProcess(t *testing.T) {
	dir := os.Getenv(writerDir)
	if dir == "" {
		t.Skip("it is started by TestKilledWriters")
	}
	d := OpenDisk(DiskOptions{Dir: dir, Limit: 2e6}) // so that it evicts, too
	fmt.Println("open")
	for i := 0; ; i++ {
		_, blocks := made(t, 4, 1000*(i%50))
		for _, b := range blocks {
			_, _ = d.Put(b) // an orphan is none of this test's
		}
	}
}

// Acceptance 5.1: whenever writers are killed, what is on the disk is whole, and is found and right.
func TestKilledWriters(t *testing.T) {
	kills := 3
	if n, err := strconv.Atoi(os.Getenv(killsWant)); err == nil {
		kills = n
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(5, 1))
	var blocks, chains, partial int
	for k := range kills {
		var writers []*exec.Cmd
		for range 2 { // on one folder
			w := exec.Command(os.Args[0], "-test.run=^TestWriterProcess$", "-test.v")
			w.Env = append(os.Environ(), writerDir+"="+dir)
			out, err := w.StdoutPipe()
			if err == nil {
				err = w.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 256)
			if _, err := out.Read(buf); err != nil {
				t.Fatal(err)
			}
			writers = append(writers, w)
		}
		time.Sleep(time.Duration(rng.IntN(60_000)) * time.Microsecond)
		for _, w := range writers {
			_ = w.Process.Kill()
			_ = w.Wait() // killed
		}
		v, err := VerifyDir(dir)
		if err != nil || len(v.Problems) > 0 {
			t.Fatalf("after kill %d: %+v, %v", k, v, err)
		}
		d := OpenDisk(DiskOptions{Dir: dir})
		if s := d.Stats(); s.Bad > 0 || s.Blocks != v.Blocks {
			t.Fatalf("after kill %d: %+v, verified %+v", k, s, v)
		}
		tiers := &Tiers{Disk: d}
		for i := range 50 {
			ids, want := made(t, 4, 1000*i)
			f := tiers.Find(context.Background(), query(ids), 0)
			if f.To > 0 {
				same(t, tiers, ids, want)
				chains++
			}
		}
		blocks, partial = blocks+v.Blocks, partial+v.Partial
	}
	t.Logf("%d kills of two writers each: %d blocks read whole, %d chains found and compared, %d writes broken off, none bad", kills, blocks, chains, partial)
	if chains == 0 {
		t.Error("no chain was found: the writers wrote nothing")
	}
}
