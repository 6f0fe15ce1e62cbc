package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/report"
	"reprise/model/hub"
	"reprise/model/tokenizer"
)

// reportFlags are those of `reprise report`.
type reportFlags struct {
	out, png               string
	ledger, session, files string
}

func newReport() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report DIR... | --ledger FILE --session ID",
		Short: "One self-contained page with plots of one run, of several side by side, or of a served session",
		Long: "Writes an HTML page that asks nobody for anything: where every prompt's tokens came from, the ceiling, times, memory, the worst turns with\n" +
			"their reasons and texts, claims and recipe. DIR is a run's folder, or a CSV; one with the article's _est columns is marked as estimates.\n" +
			"With --ledger it is a session that any server of ours answered, which first becomes a run's files (turns.csv, trace.jsonl, summary.json,\n" +
			"claims.txt); without --session the sessions are listed. A ledger has neither texts nor ids: no ceiling then. It changes no phase of a turn.",
		Example: "  reprise report runs/local/stable-resumed runs/local/moving-resumed -o report.html\n" +
			"  reprise report --ledger ~/.cache/reprise/ledger --session last -o session.html",
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.out, "out", "o", "report.html", "the page's `FILE`; - is standard output")
	fs.StringVar(&f.png, "png", "", "also draw the first run's tokens into this `FILE`")
	fs.StringVar(&f.ledger, "ledger", "", "rows of a server's turns instead of runs: a `FILE` of REPRISE_HOME/ledger, that folder, or what /v1/cache/ledger answers")
	fs.StringVar(&f.session, "session", "", "with --ledger: the session's `ID`; "+report.Last+" is the latest")
	fs.StringVar(&f.files, "files", "", "with --ledger: the `DIR` that gets the session as a run; runs/ledger/ID when not given")
	marked(cmd, inOutput, "out", "png", "ledger", "session", "files")
	return cmd
}

func (f *reportFlags) run(c *cobra.Command, dirs []string) error {
	switch {
	case f.ledger == "" && (f.session != "" || f.files != ""):
		return usagef("--session and --files are of --ledger: name a ledger, or leave them out")
	case f.ledger == "" && len(dirs) == 0:
		return usagef("%s takes the folders of runs, or --ledger (`%s --help` has an example)", c.CommandPath(), c.CommandPath())
	case f.ledger != "" && len(dirs) > 0:
		return usagef("--ledger and folders of runs: make the session's page first; its files are then a run's folder, to be shown beside others")
	case f.ledger != "":
		dir, err := f.served(c)
		if err != nil {
			return err
		}
		dirs = []string{dir}
	}
	runs, err := readRuns(dirs, textOf)
	if err != nil {
		return err
	}
	if err := f.write(c, "--out", f.out, func(w io.Writer) error { return report.WritePage(w, runs) }); err != nil {
		return err
	}
	if f.png == "" {
		return nil
	}
	return f.write(c, "--png", f.png, func(w io.Writer) error { return report.WritePNG(w, runs[0]) })
}

// served makes a run's folder of a session; without one it lists them.
func (f *reportFlags) served(c *cobra.Command) (dir string, err error) {
	s, err := report.ReadLedger(f.ledger)
	if err != nil {
		return "", err
	}
	for _, p := range s.Problems {
		fmt.Fprintln(c.ErrOrStderr(), "warning: "+p.String())
	}
	if f.session == "" {
		list := s.Sessions()
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SESSION\tMODEL\tTURNS\tLAST PROMPT\tLAST TURN")
		for _, x := range list {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s tokens\t%s\n", x.ID, x.Model, x.Turns, console.Count(x.LastPrompt), x.Last.Local().Format(time.DateTime))
		}
		if err := w.Flush(); err != nil {
			return "", err
		}
		return "", usagef("--ledger %s has %d sessions: choose one with --session ID, or --session %s", f.ledger, len(list), report.Last)
	}
	id, err := s.Find(f.session)
	if err != nil {
		return "", err
	}
	if dir = f.files; dir == "" {
		if dir = filepath.Join("runs", "ledger", id); !filepath.IsLocal(id) {
			return "", usagef("--session %q is no name of a folder: say with --files where its files belong", id)
		}
	}
	if err := writable("--files", dir); err != nil {
		return "", err
	}
	summary, err := s.Write(id, dir)
	if err != nil {
		return "", fmt.Errorf("--session %s: %w", id, err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "%d turns of %s, as a run's files, in %s\n", summary.Turns, id, dir)
	return dir, nil
}

// write makes a file's whole content before it touches the file.
func (f *reportFlags) write(c *cobra.Command, flag, path string, make func(io.Writer) error) error {
	var b bytes.Buffer
	if err := make(&b); err != nil {
		return err
	}
	if path == "-" {
		_, err := c.OutOrStdout().Write(b.Bytes())
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil { // #nosec G306 -- a page to be shown
		return fmt.Errorf("%s %s cannot be written: %w", flag, path, errors.Unwrap(err))
	}
	abs, err := filepath.Abs(path)
	if err == nil {
		fmt.Fprintln(c.ErrOrStderr(), "written to "+abs)
	}
	return err
}

// textOf makes text of a model's ids, where the model's tokenizer is here.
func textOf(model string) (func(ids []int32) string, error) {
	found, err := hub.Resolve(model)
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.Load(found.Dir)
	if err != nil {
		return nil, err
	}
	return func(ids []int32) string { return t.Decode(ids, false) }, nil
}
