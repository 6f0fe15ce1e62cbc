package models

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"reprise/model/chat"
	"reprise/model/hub"
	"reprise/model/hub/importer"
)

// ImportOptions say what to import.
type ImportOptions struct {
	File         string // GGUF
	Out          string // folder; "": under REPRISE_HOME/models, by the file's name
	Dialect      string // "" or a dialect's name
	ChatTemplate string // a file; "": the dialect's, or the GGUF's own
	Replace      bool
	Progress     func(done, total int64)
}

// Import makes a checkpoint folder of a GGUF file. The folder appears whole or not at all.
func Import(ctx context.Context, o ImportOptions) (*importer.Report, error) {
	if o.Out == "" {
		home, err := hub.Home()
		if err != nil {
			return nil, err
		}
		name := filepath.Base(o.File)
		if strings.EqualFold(filepath.Ext(name), ".gguf") {
			name = name[:len(name)-len(".gguf")]
		}
		o.Out = filepath.Join(home, "models", name)
	}
	opt := importer.Options{Dialect: o.Dialect, Replace: o.Replace, Progress: o.Progress}
	switch {
	case o.ChatTemplate != "":
		src, err := os.ReadFile(o.ChatTemplate)
		if err != nil {
			return nil, fmt.Errorf("--chat-template: %w", err)
		}
		if _, err := chat.Compile(string(src)); err != nil {
			return nil, fmt.Errorf("--chat-template %s: %w", o.ChatTemplate, err)
		}
		opt.ChatTemplate = string(src)
	case o.Dialect == importer.DialectGemma4:
		opt.ChatTemplate = chat.Gemma4Template
	}
	return importer.Import(ctx, o.File, o.Out, opt)
}
