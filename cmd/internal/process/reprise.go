package process

import (
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
)

// Reprise is reprise's server, to be started.
type Reprise struct {
	Name   string // as errors call it
	Binary string // "": this program
	Home   string // REPRISE_HOME; "": this process's
	Log    io.Writer
	Flags  []string // of serve, beside its address
}

// Server is a running `reprise serve`.
type Server struct {
	*Process
	URL   string
	About string // what it says that it serves, with its URL
}

var readyLine = regexp.MustCompile(`^ready: ((http\S+) serves .*)`)

// Serve starts the server on a free port of the loopback and waits until it is ready.
func (r Reprise) Serve(ctx context.Context) (*Server, error) {
	if r.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		r.Binary = self
	}
	cmd := exec.Command(r.Binary, append([]string{"serve", "--addr", "127.0.0.1:0"}, r.Flags...)...)
	if r.Home != "" {
		cmd.Env = append(os.Environ(), "REPRISE_HOME="+r.Home)
	}
	cmd.Stderr = r.Log
	p, err := Start(r.Name, cmd, readyLine.MatchString)
	if err != nil {
		return nil, err
	}
	line, err := p.Ready(ctx)
	if err != nil {
		return nil, err
	}
	said := readyLine.FindStringSubmatch(line)
	return &Server{p, said[2], said[1]}, nil
}
