package agents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Home is a home folder of one client's own.
type Home struct {
	Dir  string
	path []string // of programs, before the system's
}

// NewHome makes dir a home in which the programs of path are found first.
func NewHome(dir string, path ...string) (*Home, error) {
	return &Home{Dir: dir, path: path}, os.MkdirAll(filepath.Join(dir, "tmp"), 0o755)
}

// environment is all that a client sees of this machine: nothing leads beyond loopback where a client heeds it.
func (h *Home) environment() []string {
	const nowhere = "http://127.0.0.1:9" // discard: nobody listens
	env := []string{
		"HOME=" + h.Dir, "TMPDIR=" + filepath.Join(h.Dir, "tmp"), "LANG=C.UTF-8", "TERM=dumb",
		"PATH=" + strings.Join(append(h.path, "/usr/local/bin", "/usr/bin", "/bin"), ":"),
		"NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost", "OPENCLAW_NO_AUTO_UPDATE=1", "HERMES_DISABLE_LAZY_INSTALLS=1",
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		env = append(env, name+"="+nowhere)
	}
	return env
}

// Output is what a program said, and how it ended.
type Output struct {
	Text, Errors string // standard output and error
	Code         int
}

// Run runs a program in the home, at most for limit, and ends what it left running. A code other than 0 is no error of Run's.
func (h *Home) Run(ctx context.Context, limit time.Duration, program string, args ...string) (*Output, error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = h.Dir, h.environment()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	own(cmd)
	err := cmd.Run()
	h.sweep()
	o := &Output{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		return o, fmt.Errorf("%s %s did not end within %v: %w; it said:\n%s%s", filepath.Base(program), strings.Join(args, " "), limit, ctx.Err(), o.Text, o.Errors)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return o, err
	}
	return o, nil
}

// own puts a program in a process group that is ended as a whole.
func own(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second // for pipes that a child holds open
}

// sweep ends what left its group but still has this home for its own. Where there is no /proc, nothing is seen.
func (h *Home) sweep() {
	mark := []byte("HOME=" + h.Dir + "\x00")
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(env, mark) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
