package tier

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Both are safe for concurrent use through EncodeAll and DecodeAll, and made when first needed.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	})
	decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*maxPart))
	})
)

func decompress(data []byte, raw int64) ([]byte, error) {
	d, err := decoder()
	if err != nil {
		return nil, err
	}
	out, err := d.DecodeAll(data, make([]byte, 0, raw))
	if err == nil && int64(len(out)) != raw {
		err = fmt.Errorf("%d bytes in place of %d", len(out), raw)
	}
	return out, err
}

// packer compresses parts while that pays. Most states are close to noise: then only now and then one is tried.
type packer struct {
	mu   sync.Mutex
	skip int // parts not to be tried
	In   int64
	Out  int64
}

// pays is the share of a part's size that its compressed form may have.
const pays, untried = 0.9, 15

// pack gives the block with its parts compressed where that pays.
func (p *packer) pack(b *Block) *Block {
	out := &Block{Header: b.Header}
	out.Parts = nil
	for i, part := range b.Parts {
		data := b.Data[i]
		if packed := p.try(data); packed != nil {
			part.Codec, part.Stored, part.Sum, data = Zstd, int64(len(packed)), sum(packed), packed
		}
		out.Parts, out.Data = append(out.Parts, part), append(out.Data, data)
	}
	return out
}

func (p *packer) try(data []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.In += int64(len(data))
	p.Out += int64(len(data))
	if p.skip > 0 {
		p.skip--
		return nil
	}
	e, err := encoder()
	if err != nil {
		return nil
	}
	packed := e.EncodeAll(data, make([]byte, 0, len(data)))
	if float64(len(packed)) > pays*float64(len(data)) {
		p.skip = untried
		return nil
	}
	p.Out += int64(len(packed)) - int64(len(data))
	return packed
}
