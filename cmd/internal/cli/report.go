package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/report"
	"reprise/model/hub"
	"reprise/model/tokenizer"
)

// reportFlags are those of `reprise report`.
type reportFlags struct {
	out, png string
}

func newReport() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report DIR...",
		Short: "One self-contained page with plots of one run, or of several side by side",
		Long: "Writes an HTML page that asks nobody for anything: where every prompt's tokens came from, the ceiling, times, memory, the worst turns with\n" +
			"their reasons and texts, claims and recipe. DIR is a run's folder, or a CSV; one with the article's _est columns is marked as estimates.",
		Example: "  reprise report runs/local/stable-resumed runs/local/moving-resumed -o report.html",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s takes the folders of runs (`%s --help` has an example)", c.CommandPath(), c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.out, "out", "o", "report.html", "the page's `FILE`; - is standard output")
	fs.StringVar(&f.png, "png", "", "also draw the first run's tokens into this `FILE`")
	marked(cmd, inOutput, "out", "png")
	return cmd
}

func (f *reportFlags) run(c *cobra.Command, args []string) error {
	runs, err := readRuns(args, textOf)
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
