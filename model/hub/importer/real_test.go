package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"reprise/mlx/safetensors"
	"reprise/model/hub/gguf"
	"reprise/model/hub/gguf/gguftest"
)

// smallModelSHA256 is the digest of the weights that the small real model
// becomes, on every machine. It changes only when the format does.
const smallModelSHA256 = "e94acf4ecb063f6db3cd70b9b6bd6ef616e8e7c39ee7837114d5f4e70d9746c6"

func TestImportSmallModel(t *testing.T) {
	source := gguftest.SmallModel(t)
	out := filepath.Join(t.TempDir(), "small")
	report, err := Import(context.Background(), source, out, Options{Dialect: DialectGemma4, ChatTemplate: "{{ messages }}"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if want := "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"; report.SourceSHA256 != want || !report.BaseModel {
		t.Errorf("source digest %s, base model %v", report.SourceSHA256, report.BaseModel)
	}
	for _, r := range report.Tensors {
		if exact := r.Source != gguf.Q6_K; r.Exact() != exact || !exact && r.RMSError > 0.006*r.RMS {
			t.Errorf("%s (%s, %d bits): max error %g, RMS %g of %g", r.Name, r.Source, r.Bits, r.MaxError, r.RMSError, r.RMS)
		}
	}
	if got := digest(t, filepath.Join(out, "model.safetensors")); got != smallModelSHA256 {
		t.Errorf("model.safetensors has sha256 %s, want %s", got, smallModelSHA256)
	}
	checkTensors(t, source, out)
	checkDialect(t, out)
}

func digest(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// checkTensors reads the checkpoint back, with an unpacker of its own, and
// compares every tensor with the GGUF's: bit for bit, but for the sign of zeros,
// unless the type has no affine form.
func checkTensors(t *testing.T, source, dir string) {
	t.Helper()
	f, err := gguf.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := header(t, filepath.Join(dir, "model.safetensors"))
	arch := gemma3()
	s, err := arch.sizes(f)
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := arch.place(f, s)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.Open(h.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	for _, p := range tensors {
		if p.source.Type != gguf.Q6_K { // its error is in the report
			checkTensor(t, f, &checkpoint{t, h, data}, p)
		}
	}
}

// checkTensor compares one tensor, some rows at a time: the embedding is large.
func checkTensor(t *testing.T, f *gguf.File, c *checkpoint, p placed) {
	t.Helper()
	rows, columns := p.source.Rows(), p.source.Columns()
	step := max(1, 1<<20/columns)
	for from := int64(0); from < rows; from += step {
		n := min(step, rows-from)
		raw := make([]byte, p.source.Bytes/rows*n)
		if err := f.ReadAt(p.source, raw, p.source.Bytes/rows*from); err != nil {
			t.Fatal(err)
		}
		want := make([]float32, n*columns)
		if err := gguf.Dequantize(p.source.Type, want, raw); err != nil {
			t.Fatal(err)
		}
		if p.plusOne {
			for i := range want {
				want[i] -= 1
			}
		}
		got := c.values(p.name, from, n, rows)
		if len(got) != len(want) {
			t.Fatalf("%s: %d values, want %d", p.name, len(got), len(want))
		}
		for i := range want {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] != 0 || want[i] != 0) {
				t.Errorf("%s (%s) row %d: %g, the GGUF has %g", p.name, p.source.Type, from+int64(i)/columns, got[i], want[i])
				return
			}
		}
	}
}

// checkpoint reads weights back.
type checkpoint struct {
	t      *testing.T
	header *safetensors.Header
	data   *os.File
}

// rows reads n of a tensor's rows in all.
func (c *checkpoint) rows(name string, from, n, all int64) (safetensors.DType, []byte) {
	c.t.Helper()
	tensor, ok := c.header.Lookup(name)
	if !ok {
		c.t.Fatalf("%s has no tensor %q", c.header.Path, name)
	}
	b := make([]byte, tensor.Bytes/all*n)
	if _, err := c.data.ReadAt(b, tensor.Offset+tensor.Bytes/all*from); err != nil {
		c.t.Fatal(err)
	}
	return tensor.DType, b
}

// values gives the same rows in float32, whatever their form.
func (c *checkpoint) values(name string, from, n, all int64) []float32 {
	c.t.Helper()
	dtype, data := c.rows(name, from, n, all)
	switch dtype {
	case safetensors.F32:
		return toFloats(data)
	case safetensors.F16:
		out := make([]float32, len(data)/2)
		if err := gguf.Dequantize(gguf.F16, out, data); err != nil {
			c.t.Fatal(err)
		}
		return out
	}
	scales, biases := c.values(module(name)+".scales", from, n, all), c.values(module(name)+".biases", from, n, all)
	out := make([]float32, len(scales)*groupSize)
	bits := len(data) * 8 / len(out)
	for i := range out {
		// The quant's bits stand from i·bits on, counted from the lowest of the
		// first byte; they reach into a second byte at most.
		at := i * bits
		window := uint(data[at/8])
		if at/8+1 < len(data) {
			window |= uint(data[at/8+1]) << 8
		}
		q := window >> (at % 8) & (1<<bits - 1)
		out[i] = float32(scales[i/groupSize]*float32(q)) + biases[i/groupSize]
	}
	return out
}

// checkDialect reads the special tokens back.
func checkDialect(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	special := map[int]string{}
	for _, a := range file.Added {
		if a.Special {
			special[a.ID] = a.Content
		}
	}
	want := map[int]string{
		0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 4: "<mask>",
		46: "<|tool>", 47: "<tool|>", 48: "<|tool_call>", 49: "<tool_call|>", 50: "<|tool_response>", 51: "<tool_response|>", 52: `<|"|>`,
		98: "<|think|>", 100: "<|channel>", 101: "<channel|>", 105: "<|turn>", 106: "<turn|>", 255999: "<|image>", 256000: "<|audio>",
		258880: "<|image|>", 258881: "<|audio|>", 258882: "<image|>", 258883: "<audio|>",
	}
	if !reflect.DeepEqual(special, want) {
		t.Errorf("special tokens %v,\nwant %v", special, want)
	}
	files := contents(t, dir)
	if got := string(files["chat_template.jinja"]); got != "{{ messages }}" {
		t.Errorf("chat template %q", got)
	}
	if got, want := decode(t, files["generation_config.json"])["eos_token_id"], []any{1.0, 106.0, 50.0}; !reflect.DeepEqual(got, want) {
		t.Errorf("eos ids %v, want %v", got, want)
	}
}
