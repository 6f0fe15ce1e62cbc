package folder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/mlx/safetensors"
	"reprise/model/hub"
)

func specs() []safetensors.Spec {
	return []safetensors.Spec{
		{Name: "a", DType: safetensors.U8, Shape: []int64{60}}, {Name: "b", DType: safetensors.U8, Shape: []int64{60}},
		{Name: "c", DType: safetensors.F32, Shape: []int64{40}}, {Name: "d", DType: safetensors.U8, Shape: []int64{10}},
	}
}

func apart() [][]safetensors.Spec {
	var out [][]safetensors.Spec
	for _, s := range specs() {
		out = append(out, []safetensors.Spec{s})
	}
	return out
}

func fill(t *testing.T, w *Shards) {
	t.Helper()
	for _, spec := range specs() {
		tw, err := w.Tensor(spec.Name)
		if err == nil {
			_, err = tw.Write([]byte(strings.Repeat(spec.Name, int(bytesOf(spec)))))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestShardsAndTheirIndex(t *testing.T) {
	for limit, files := range map[int64]int{100: 4, 120: 3, 1000: 1} { // c is bigger than the first two limits
		dir := filepath.Join(t.TempDir(), "out")
		stage, err := New(dir, "testing", false)
		if err != nil {
			t.Fatal(err)
		}
		w := stage.Shards(apart(), limit)
		fill(t, w)
		if err := errors.Join(w.Close(), stage.Commit()); err != nil {
			t.Fatal(err)
		}
		read, err := hub.ReadWeights(dir)
		if err != nil || len(read.Files) != files || len(read.Tensors) != 4 || read.Bytes() != 290 || w.Total() != 290 {
			t.Errorf("limit %d: %+v, %v", limit, read, err)
		}
		_, err = os.Stat(filepath.Join(dir, "model.safetensors.index.json"))
		if (err == nil) != (files > 1) {
			t.Errorf("limit %d: index: %v", limit, err)
		}
	}
}

func TestAnUnfinishedFolderLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	stage, err := New(filepath.Join(parent, "out"), "testing", false)
	if err != nil {
		t.Fatal(err)
	}
	w := stage.Shards(apart(), 100)
	if tw, err := w.Tensor("a"); err != nil {
		t.Fatal(err)
	} else if _, err := tw.Write(make([]byte, 59)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Tensor("b"); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("the next shard begins behind half a tensor: %v", err)
	}
	if err := w.Close(); err == nil {
		t.Error("closed with shards missing")
	}
	w.Abort()
	stage.Abort()
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
