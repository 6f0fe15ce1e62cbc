package hub

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// sampleBytes is how much of a tensor's head, and of its tail, is read.
const sampleBytes = 64 << 10

// Fingerprint names a checkpoint's content, as 64 hexadecimal digits: SHA-256
// over config.json, tokenizer.json and, for each tensor in the order of names,
// its name, dtype, shape and up to 64 KB from its head and its tail. It reads
// about 128 KB a tensor, so 20 GB cost no more than 2; a change in the middle
// of a tensor that leaves both ends alone goes unseen.
func Fingerprint(dir string) (string, error) {
	w, err := ReadWeights(dir)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	sum.Write([]byte("reprise checkpoint 1\n")) // a hash's Write never fails
	for _, name := range []string{"config.json", "tokenizer.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("fingerprint: %w", err)
		}
		writeSized(sum, data)
	}
	digests, err := w.digest()
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	for i, t := range w.Tensors {
		writeSized(sum, []byte(t.Name))
		writeSized(sum, []byte(t.DType))
		writeSized(sum, fmt.Append(nil, t.Shape))
		sum.Write(digests[i][:])
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// writeSized puts a length before the data, so that parts cannot run together.
func writeSized(h hash.Hash, data []byte) {
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(data)))
	h.Write(length[:])
	h.Write(data)
}

// digest samples every tensor, in parallel: the time is the disk's and the
// hash's, and both take several requests at once.
func (w *Weights) digest() ([][sha256.Size]byte, error) {
	files := map[string]*os.File{}
	for _, path := range w.Files {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files[path] = f
	}
	digests := make([][sha256.Size]byte, len(w.Tensors))
	workers := min(4*runtime.GOMAXPROCS(0), len(w.Tensors))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			buffer := make([]byte, 2*sampleBytes)
			for i := worker; i < len(w.Tensors); i += workers {
				t := w.Tensors[i]
				sample, err := readEnds(files[t.File], t, buffer)
				if err != nil {
					errs[worker] = fmt.Errorf("%s: tensor %s: %w", t.File, t.Name, err)
					return
				}
				digests[i] = sha256.Sum256(sample)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return digests, nil
}

// readEnds reads t's head and tail, or all of it when they would meet.
func readEnds(f *os.File, t Tensor, buffer []byte) ([]byte, error) {
	if t.Bytes <= 2*sampleBytes {
		sample := buffer[:t.Bytes]
		_, err := f.ReadAt(sample, t.Offset)
		return sample, err
	}
	if _, err := f.ReadAt(buffer[:sampleBytes], t.Offset); err != nil {
		return nil, err
	}
	_, err := f.ReadAt(buffer[sampleBytes:], t.Offset+t.Bytes-sampleBytes)
	return buffer, err
}
