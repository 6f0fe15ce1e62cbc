package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// decoder says how a piece becomes bytes. Two families are in use: pieces are
// text with stand-ins (SentencePiece: "▁" for a space, <0xNN> for a byte), or
// every character stands for one byte (GPT-2's table).
type decoder struct {
	replace      [][2]string    // stand-ins, applied in order
	byteFallback bool           // <0xNN> is the byte NN
	byteLevel    map[rune]byte  // GPT-2's table; nil for the other family
	strip        []stripLeading // what the start of the whole sequence loses
}

// stripLeading removes up to count bytes equal to char from the start of a
// sequence: SentencePiece writes a space before the first word.
type stripLeading struct {
	char  byte
	count int
}

// decoderSpec is one node of tokenizer.json's decoder.
type decoderSpec struct {
	Type     string            `json:"type"`
	Decoders []json.RawMessage `json:"decoders"`
	Pattern  struct {
		String *string `json:"String"`
	} `json:"pattern"`
	Content string `json:"content"`
	Start   int    `json:"start"`
	Stop    int    `json:"stop"`
}

func parseDecoder(raw []byte) (decoder, error) {
	var d decoder
	if len(raw) == 0 || string(raw) == "null" {
		return d, fmt.Errorf("decoder is absent: without one, pieces cannot be joined to text")
	}
	steps, err := flattenDecoder(raw)
	if err != nil {
		return d, err
	}
	fused := false
	for _, step := range steps {
		switch {
		case step.Type == "ByteLevel" && len(steps) == 1:
			d.byteLevel = byteLevelTable()
		case step.Type == "Replace" && step.Pattern.String != nil && !fused && !d.byteFallback:
			d.replace = append(d.replace, [2]string{*step.Pattern.String, step.Content})
		case step.Type == "ByteFallback" && !fused:
			d.byteFallback = true
		case step.Type == "Fuse":
			fused = true
		case step.Type == "Strip" && fused && step.Stop == 0 && len(step.Content) == 1 && step.Content[0] < 0x80:
			d.strip = append(d.strip, stripLeading{step.Content[0], step.Start})
		default:
			return d, fmt.Errorf("decoder step %q, as used here, is not supported: "+
				"ByteLevel alone, or Replace (of a string), ByteFallback, Fuse, Strip (from the start) in this order are", step.Type)
		}
	}
	if d.byteLevel == nil && !fused {
		return d, fmt.Errorf("decoder without a Fuse step is not supported: its pieces are no plain concatenation")
	}
	return d, nil
}

func flattenDecoder(raw []byte) ([]decoderSpec, error) {
	var spec decoderSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	if spec.Type != "Sequence" {
		return []decoderSpec{spec}, nil
	}
	var steps []decoderSpec
	for _, child := range spec.Decoders {
		sub, err := flattenDecoder(child)
		if err != nil {
			return nil, err
		}
		steps = append(steps, sub...)
	}
	return steps, nil
}

// appendPiece appends the bytes that piece stands for.
func (d *decoder) appendPiece(dst []byte, piece string) []byte {
	if d.byteLevel != nil {
		return d.appendByteLevel(dst, piece)
	}
	for _, r := range d.replace {
		if strings.Contains(piece, r[0]) {
			piece = strings.ReplaceAll(piece, r[0], r[1])
		}
	}
	if d.byteFallback {
		if b, ok := byteToken(piece); ok {
			return append(dst, b)
		}
	}
	return append(dst, piece...)
}

func (d *decoder) appendByteLevel(dst []byte, piece string) []byte {
	start := len(dst)
	for _, r := range piece {
		b, ok := d.byteLevel[r]
		if !ok { // an added token with characters outside the table is plain text
			return append(dst[:start], piece...)
		}
		dst = append(dst, b)
	}
	return dst
}

// byteToken reads <0xNN>.
func byteToken(piece string) (byte, bool) {
	if len(piece) != 6 || piece[:3] != "<0x" || piece[5] != '>' {
		return 0, false
	}
	n, err := strconv.ParseUint(piece[3:5], 16, 8)
	return byte(n), err == nil
}

// byteLevelTable is GPT-2's: printable Latin-1 stands for itself, the other 68
// bytes for the characters from U+0100 on, in order.
func byteLevelTable() map[rune]byte {
	table := make(map[rune]byte, 256)
	next := rune(0x100)
	for b := range rune(256) {
		if (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD) {
			table[b] = byte(b)
		} else {
			table[next] = byte(b)
			next++
		}
	}
	return table
}
