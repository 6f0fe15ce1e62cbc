package importer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/model/hub/gguf/gguftest"
)

// tensor finds a tensor of a builder.
func tensor(b *gguftest.Builder, name string) *gguftest.Tensor {
	for i := range b.Tensors {
		if b.Tensors[i].Name == name {
			return &b.Tensors[i]
		}
	}
	panic("no tensor " + name)
}

func TestImportRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		bend func(b *gguftest.Builder)
		opt  Options
		want string
	}{
		{"architecture", func(b *gguftest.Builder) { b.Set("general.architecture", "llama") }, Options{}, `architecture "llama" cannot be imported`},
		{"tensor missing", func(b *gguftest.Builder) { b.Tensors = b.Tensors[:len(b.Tensors)-1] }, Options{}, `tensor "blk.1.ffn_down.weight" is missing`},
		{"embedding missing", func(b *gguftest.Builder) { b.Tensors = b.Tensors[1:] }, Options{}, `"token_embd.weight" is missing`},
		{"tensor unknown", func(b *gguftest.Builder) { b.Add("blk.0.bias", 0, []int64{1}, gguftest.Floats(1)) }, Options{}, `tensor "blk.0.bias" is not part of gemma3_text`},
		{"layer unknown", func(b *gguftest.Builder) { tensor(b, "blk.1.attn_norm.weight").Name = "blk.01.attn_norm.weight" }, Options{}, `"blk.01.attn_norm.weight" is not part`},
		{"shape", func(b *gguftest.Builder) { tensor(b, "blk.0.attn_q.weight").Shape = []int64{32, 64} }, Options{}, `"blk.0.attn_q.weight" has shape [32 64], gemma3_text needs [64 32]`},
		{"type", func(b *gguftest.Builder) { tensor(b, "blk.0.attn_q.weight").Type = 20 }, Options{}, `"blk.0.attn_q.weight" is IQ4_NL, which cannot be imported`},
		{"quantized norm", func(b *gguftest.Builder) { tensor(b, "blk.0.attn_norm.weight").Type = 8 }, Options{}, `"blk.0.attn_norm.weight" is Q8_0 of shape`},
		{"not finite", func(b *gguftest.Builder) {
			copy(tensor(b, "output_norm.weight").Data, []byte{0, 0, 0x80, 0x7f})
		}, Options{}, `tensor "output_norm.weight": holds +Inf: the file is damaged`},
		{"key missing", func(b *gguftest.Builder) { b.Keys = b.Keys[1:] }, Options{}, "is missing"},
		{"size of 0", func(b *gguftest.Builder) { b.Set("gemma3.block_count", uint32(0)) }, Options{}, "gemma3.block_count of 0 is not possible"},
		{"rope scaling", func(b *gguftest.Builder) { b.Set("gemma3.rope.scaling.type", "yarn") }, Options{}, `rope scaling "yarn" is not supported`},
		{"too many tokens", func(b *gguftest.Builder) { setVocabulary(b, 129) }, Options{}, "129 tokens for an embedding of 128 rows"},
		{"dialect", func(*gguftest.Builder) {}, Options{Dialect: "klingon"}, `dialect "klingon" is unknown`},
		{"dialect without template", func(*gguftest.Builder) {}, Options{Dialect: DialectGemma4}, `dialect "gemma4" needs its chat template`},
		{"dialect does not fit", func(*gguftest.Builder) {}, Options{Dialect: DialectGemma4, ChatTemplate: "x"}, "token 255999 (<|image>) is outside the vocabulary of 128"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := tiny()
			c.bend(b)
			parent := t.TempDir()
			_, err := Import(context.Background(), write(t, b), filepath.Join(parent, "out"), c.opt)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			expectEntries(t, parent)
		})
	}
}

func expectEntries(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func TestImportCancelledLeavesNothing(t *testing.T) {
	source, parent := write(t, tiny()), t.TempDir()
	out := filepath.Join(parent, "out")
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Import(ctx, source, out, Options{Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	expectEntries(t, parent)
}

func TestImportIntoExisting(t *testing.T) {
	source, parent := write(t, tiny()), t.TempDir()
	out := filepath.Join(parent, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(context.Background(), source, out, Options{}); err != nil {
		t.Fatalf("into an empty directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(out, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(context.Background(), source, out, Options{}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("into a full directory: error %v", err)
	}
	// A failed replacement leaves the old directory as it was.
	bad := tiny()
	copy(tensor(bad, "output_norm.weight").Data, []byte{0, 0, 0x80, 0x7f})
	if _, err := Import(context.Background(), write(t, bad), out, Options{Replace: true}); err == nil {
		t.Error("imported a damaged file")
	}
	if _, err := os.Stat(filepath.Join(out, "mine")); err != nil {
		t.Errorf("the old directory is gone: %v", err)
	}
	if _, err := Import(context.Background(), source, out, Options{Replace: true}); err != nil {
		t.Fatalf("replacing: %v", err)
	}
	if _, err := os.Stat(filepath.Join(out, "mine")); !os.IsNotExist(err) {
		t.Errorf("the old file is still there: %v", err)
	}
	expectEntries(t, parent, "out")
}
