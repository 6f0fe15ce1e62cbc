package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"reprise/model/hub"
)

// folders tries whether reprise can write where it keeps things.
func (r *Report) folders() {
	home, err := hub.Home()
	if err != nil {
		r.add("folders", Problem, "set REPRISE_HOME to a folder that you may write to", "%v", err)
		return
	}
	for _, name := range []string{"models", "kv", "ledger"} {
		if err := writable(filepath.Join(home, name)); err != nil {
			r.add("folders", Problem, "make it writable, or set REPRISE_HOME to another folder", "%v", err)
			return
		}
	}
	r.ok("folders", "%s is writable", home)
}

// writable tries a temporary file in dir, or in what of its path exists.
func writable(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is a file where %s would be", at, dir)
		}
		f, err := os.CreateTemp(at, ".reprise-doctor-*")
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), os.Remove(f.Name()))
	}
}

func (r *Report) port(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		r.add("port", Warning, "stop what listens there, or choose another with `reprise serve --addr`", "%s is not free: %v", addr, err)
		return
	}
	_ = l.Close()
	r.ok("port", "%s is free", addr)
}
