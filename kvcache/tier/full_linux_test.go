package tier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fullDir is where the child of TestFullDisk stores; fullHow what makes it full.
const fullDir, fullHow = "REPRISE_TEST_FULL_DIR", "REPRISE_TEST_FULL_HOW"

// A disk that fills up in the middle of a block: the block is not there, nor half of it, what was there stays, the disk is off
// with one warning, and the next minute it takes blocks again if there is room. The disk is a small tmpfs in a namespace of
// the child's own; where that is not allowed, files may not grow in it, which the system says at the same place.
func TestFullDisk(t *testing.T) {
	run := func(how string, change func(*exec.Cmd)) (string, error) {
		c := exec.Command(os.Args[0], "-test.run=^TestFullDiskProcess$", "-test.v")
		c.Env = append(os.Environ(), fullDir+"="+t.TempDir(), fullHow+"="+how)
		change(c)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	out, err := run("tmpfs", func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	})
	if !strings.Contains(out, "stored until") { // the namespace or the mount was refused
		t.Logf("no small file system here (%v): %s", err, out)
		out, err = run("rlimit", func(*exec.Cmd) {})
	}
	if err != nil || !strings.Contains(out, "stored until") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

// TestFullDiskProcess is no test: it is TestFullDisk's child.
func TestFullDiskProcess(t *testing.T) {
	dir, how := os.Getenv(fullDir), os.Getenv(fullHow)
	if dir == "" {
		t.Skip("it is started by TestFullDisk")
	}
	want := syscall.ENOSPC
	if how == "tmpfs" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
			fmt.Println("mount:", err)
			os.Exit(3)
		}
	}
	var log bytes.Buffer
	d := OpenDisk(DiskOptions{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	stored, last := 0, error(nil)
	for k := 0; k < 20 && last == nil; k++ {
		if how == "rlimit" && k == 2 {
			want = syscall.EFBIG
			signal.Ignore(syscall.SIGXFSZ)
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4000, Max: 4000}); err != nil {
				t.Fatal(err)
			}
		}
		_, blocks := made(t, 1, 1000*k)
		for _, b := range blocks {
			if _, last = d.Put(b); last != nil {
				break
			}
			stored++
		}
	}
	if !errors.Is(last, want) || stored < 2 || !d.Off() {
		t.Fatalf("%d blocks, then %v, off %t; want %v", stored, last, d.Off(), want)
	}
	_, more := made(t, 1, 50_000)
	for range 3 {
		if _, err := d.Put(more[0]); !errors.Is(err, ErrOff) {
			t.Errorf("when it is off: %v", err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	ids, blocks := made(t, 1, 0)
	same(t, &Tiers{Disk: d}, ids, blocks) // what was there is read
	if v, err := VerifyDir(dir); err != nil || len(v.Problems) > 0 || v.Blocks != stored {
		t.Errorf("verified %+v, %v; stored %d", v, err, stored)
	}
	if s := d.Stats(); s.Failed != 1 || s.Bad != 0 {
		t.Errorf("%+v", s)
	}
	if f := (&Tiers{Disk: d}).Find(context.Background(), query(ids), 0); f.To == 0 {
		t.Error("nothing is found")
	}
	d.off = d.off.Add(-2 * retryAfter) // a minute later, with room again
	if how == "tmpfs" {
		if err := d.Clear(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Put(more[0]); err != nil || d.Off() {
			t.Errorf("with room again: %v", err)
		}
	}
	if !t.Failed() {
		fmt.Printf("%s: stored until %v: %d blocks whole, none half\n", how, last, stored)
	}
}
