package hub

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"reprise/mlx/safetensors"
)

// Tensor is one tensor of a checkpoint and the file that holds it.
type Tensor struct {
	safetensors.Tensor
	File string // path of its safetensors file
}

// Weights are a checkpoint's tensors, from checked headers; no data is read.
type Weights struct {
	Files   []string // in the order of their names
	Tensors []Tensor // in the order of their names
}

// Lookup returns the tensor of that name.
func (w *Weights) Lookup(name string) (Tensor, bool) {
	i, ok := slices.BinarySearchFunc(w.Tensors, name, func(t Tensor, name string) int { return cmp.Compare(t.Name, name) })
	if !ok {
		return Tensor{}, false
	}
	return w.Tensors[i], true
}

// Bytes is the size of all tensors.
func (w *Weights) Bytes() int64 {
	var sum int64
	for _, t := range w.Tensors {
		sum += t.Bytes
	}
	return sum
}

// indexName is the file that spreads a checkpoint over several shards.
const indexName = "model.safetensors.index.json"

// ReadWeights reads the headers of dir's safetensors files: the shards that the
// index names, else model*.safetensors. A shard that is absent, a tensor that
// is not where the index says, and a name that occurs twice are errors.
func ReadWeights(dir string) (*Weights, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	indexPath := filepath.Join(dir, indexName)
	indexed, err := readJSON(indexPath, &index)
	if err != nil {
		return nil, err
	}
	w := &Weights{}
	if indexed {
		w.Files, err = indexedShards(dir, indexPath, index.WeightMap)
	} else {
		w.Files, err = looseShards(dir)
	}
	if err != nil {
		return nil, err
	}
	if err := w.readHeaders(); err != nil {
		return nil, err
	}
	for name, shard := range index.WeightMap {
		t, ok := w.Lookup(name)
		if !ok || filepath.Base(t.File) != shard {
			return nil, fmt.Errorf("%s: tensor %s should be in %s, but is not: fetch the checkpoint again", indexPath, name, shard)
		}
	}
	return w, nil
}

func indexedShards(dir, indexPath string, weightMap map[string]string) ([]string, error) {
	if len(weightMap) == 0 {
		return nil, fmt.Errorf("%s: weight_map is absent or empty", indexPath)
	}
	seen := map[string]bool{}
	var files []string
	for name, shard := range weightMap {
		if seen[shard] {
			continue
		}
		seen[shard] = true
		if shard != filepath.Base(shard) || shard == "." || shard == ".." { // untrusted: must stay in the folder
			return nil, fmt.Errorf("%s: tensor %s is said to be in %q, which is no file name", indexPath, name, shard)
		}
		path := filepath.Join(dir, shard)
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s names %s, %s", indexPath, shard, absence(path, err))
		}
		files = append(files, path)
	}
	slices.Sort(files)
	return files, nil
}

func looseShards(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if ok, _ := filepath.Match("model*.safetensors", e.Name()); !ok {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s, %s", path, absence(path, err))
		}
		files = append(files, path) // ReadDir sorts by name
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no model.safetensors and no %s: the weights are missing: the download is incomplete, or the weights are of another format (only safetensors are read)", dir, indexName)
	}
	return files, nil
}

// absence tells a file that is not there from the Hugging Face cache's link to
// a blob that was not downloaded.
func absence(path string, err error) string {
	if !errors.Is(err, os.ErrNotExist) {
		return "which cannot be read: " + err.Error()
	}
	if target, err := os.Readlink(path); err == nil {
		return fmt.Sprintf("which is a link to %s, which is absent: the download is incomplete, finish it", target)
	}
	return "which is absent: the download is incomplete, finish it"
}

func (w *Weights) readHeaders() error {
	headers := make([]*safetensors.Header, len(w.Files))
	errs := make([]error, len(w.Files))
	var wg sync.WaitGroup
	for i, path := range w.Files {
		wg.Go(func() { headers[i], errs[i] = safetensors.ReadHeader(path) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, h := range headers {
		for _, t := range h.Tensors {
			w.Tensors = append(w.Tensors, Tensor{Tensor: t, File: h.Path})
		}
	}
	slices.SortFunc(w.Tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(w.Tensors); i++ {
		if a, b := w.Tensors[i-1], w.Tensors[i]; a.Name == b.Name {
			return fmt.Errorf("tensor %s is in both %s and %s", a.Name, a.File, b.File)
		}
	}
	return nil
}
