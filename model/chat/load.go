package chat

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"reprise/model/chat/jinja"
)

// Templates of the models that reprise serves, as their makers publish them
// (Apache-2.0, see third_party/NOTICE).
var (
	//go:embed templates/gemma-4.jinja
	Gemma4Template string
	//go:embed templates/qwen3.6.jinja
	Qwen36Template string
)

// ErrNoTemplate says that a checkpoint brings no chat template.
var ErrNoTemplate = errors.New("the checkpoint has no chat template: name one with --chat-template, or use --raw")

// BuiltinNames lists what Builtin knows.
func BuiltinNames() []string { return []string{"gemma4", "qwen3.6"} }

// Builtin compiles a template that comes with the program.
func Builtin(name string) (*Template, error) {
	switch name {
	case "gemma4", "gemma-4":
		return Compile(Gemma4Template)
	case "qwen3.6", "qwen36":
		return Compile(Qwen36Template)
	}
	return nil, fmt.Errorf("no built-in chat template is called %q: there are %v", name, BuiltinNames())
}

// maxTemplateFile bounds the files that LoadFor reads, in bytes.
const maxTemplateFile = 64 << 20

// LoadFor compiles the template of the checkpoint in dir: chat_template.jinja,
// else chat_template in tokenizer_config.json, a string or a list of named
// ones, of which "default" is used, and "tool_use" when tools are given. It
// returns ErrNoTemplate when there is none.
func LoadFor(dir string) (*Template, error) {
	src, err := readFile(filepath.Join(dir, "chat_template.jinja"))
	if err == nil {
		t, err := Compile(string(src))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		return t, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	path := filepath.Join(dir, "tokenizer_config.json")
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoTemplate)
	}
	if err != nil {
		return nil, err
	}
	v, err := DecodeOrdered(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	config, ok := v.(*Dict)
	if !ok {
		return nil, fmt.Errorf("%s: not a JSON object", path)
	}
	entry, _ := config.Get("chat_template")
	t, err := compileEntry(entry)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxTemplateFile {
		return nil, fmt.Errorf("%s: %d bytes, a chat template's file is never that large", path, info.Size())
	}
	return os.ReadFile(path)
}

// compileEntry compiles the chat_template of a tokenizer_config.json.
func compileEntry(entry Value) (*Template, error) {
	switch e := entry.(type) {
	case nil:
		return nil, ErrNoTemplate
	case string:
		return Compile(e)
	case *jinja.List:
		named := map[string]string{}
		for _, it := range e.Items {
			d, ok := it.(*Dict)
			if !ok {
				return nil, errors.New("chat_template: a list entry is not an object")
			}
			name, _ := d.Get("name")
			src, _ := d.Get("template")
			n, ok1 := name.(string)
			s, ok2 := src.(string)
			if !ok1 || !ok2 {
				return nil, errors.New("chat_template: a list entry lacks name or template")
			}
			named[n] = s
		}
		return compileNamed(named)
	}
	return nil, errors.New("chat_template: neither a string nor a list")
}

func compileNamed(named map[string]string) (*Template, error) {
	src, ok := named["default"]
	if !ok {
		return nil, errors.New(`chat_template: no template is named "default"`)
	}
	t, err := Compile(src)
	if err != nil {
		return nil, err
	}
	if tool, ok := named["tool_use"]; ok {
		if t.toolUse, err = jinja.Parse(tool); err != nil {
			return nil, fmt.Errorf("chat template %q: %w", "tool_use", err)
		}
	}
	return t, nil
}
