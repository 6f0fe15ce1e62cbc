package load

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"reprise/cmd/internal/tiny"
	"reprise/mlx"
	"reprise/model/hub"
	"reprise/server/engine"
)

func TestDevice(t *testing.T) {
	for _, tt := range []struct {
		name string
		want mlx.Device
		fail string
	}{{"cpu", mlx.CPU, ""}, {"auto", mlx.BestDevice(), ""}, {"abacus", mlx.CPU, "abacus"}, {"", mlx.CPU, "must be one of"}} {
		d, err := Device(tt.name)
		if d != tt.want || (err == nil) != (tt.fail == "") || err != nil && !strings.Contains(err.Error(), tt.fail) {
			t.Errorf("%q is %v, %v", tt.name, d, err)
		}
	}
	if d, err := Device("gpu"); mlx.HasGPU() != (err == nil) || err == nil && d != mlx.GPU {
		t.Errorf("gpu is %v, %v", d, err)
	}
}

func TestBase(t *testing.T) {
	for config, want := range map[string]bool{
		`{"reprise": {"base_model": true}}`: true, `{"reprise": {"base_model": false}}`: false,
		`{"model_type": "x"}`: false, `{"reprise": 7}`: false,
	} {
		if got := Base(&hub.Config{Raw: json.RawMessage(config)}); got != want {
			t.Errorf("%s: base %v", config, got)
		}
	}
}

// The errors of a load name the model, its folder and what to do; a cancelled one says that it was.
func TestOpenSaysWhatToDo(t *testing.T) {
	dir := tiny.Copy(t, "tiny-f32")
	o := engine.Options{Model: dir, Device: mlx.CPU}
	_, err := Open(context.Background(), o, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "tokenizer.json") || !strings.Contains(err.Error(), "reprise models inspect "+dir) {
		t.Errorf("without a tokenizer: %v", err)
	}
	if err := failed(hub.Checkpoint{Name: "x"}, context.Canceled); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "x was cancelled") {
		t.Errorf("cancelled: %v", err)
	}
	o.CPU.Threads = -1
	if _, err = Open(context.Background(), o, io.Discard); err == nil || !strings.Contains(err.Error(), "--threads") {
		t.Errorf("with -1 threads: %v", err)
	}
}
