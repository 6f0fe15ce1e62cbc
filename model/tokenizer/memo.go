package tokenizer

import (
	"container/list"
	"crypto/sha256"
	"slices"
	"sort"
	"sync"
	"unicode/utf8"
)

// Memo encodes texts and remembers, by its hash, what every piece between two
// special tokens became, so that a prompt which was sent before with a shorter
// tail costs the library the tail. It holds at most so many bytes; the piece
// that was not needed for the longest time goes first. It is safe for
// concurrent use.
//
// The ids are exactly those of Tokenizer.Encode (see splitter for why). Without
// a splitter the piece is the whole text.
type Memo struct {
	tok    *Tokenizer
	limit  int64
	encode func(text string) ([]int32, error) // Tokenizer.Encode without added tokens

	mu    sync.Mutex
	known map[[sha256.Size]byte]*list.Element // of *remembered
	order list.List                           // front: needed last
	bytes int64
}

type remembered struct {
	key [sha256.Size]byte
	ids []int32
}

// remembered pieces cost their ids and about this much beside them.
const pieceOverhead = 200

func (r *remembered) bytes() int64 { return int64(4*len(r.ids)) + pieceOverhead }

// NewMemo returns an empty memo of at most limit bytes.
func (t *Tokenizer) NewMemo(limit int64) *Memo {
	m := &Memo{tok: t, limit: limit, known: map[[sha256.Size]byte]*list.Element{}}
	m.encode = func(text string) ([]int32, error) { return t.Encode(text, false) }
	return m
}

// Encoding is a text's ids, and where in the text they stand.
type Encoding struct {
	IDs   []int32
	Given int // characters that the library was given: what the memo did not know

	tok    *Tokenizer
	pieces []piece
}

// piece is a special token, or what lies between two.
type piece struct {
	text    string
	at      int // byte of the text where it begins
	token   int // index in IDs where it begins; set last
	special int32
	ids     []int32 // nil: not known yet
	key     [sha256.Size]byte
}

const plain int32 = -1 // piece.special of one that is no special token

// Encode returns a text's ids without adding special tokens to it.
func (m *Memo) Encode(text string) (*Encoding, error) {
	if err := checkNUL(text); err != nil {
		return nil, err
	}
	e := &Encoding{tok: m.tok, pieces: m.pieces(text)}
	m.recall(e.pieces)
	for from := 0; ; {
		first, last := missing(e.pieces, from)
		if first < 0 {
			break
		}
		given, err := m.learn(text, e.pieces[first:last+1])
		if err != nil {
			return nil, err
		}
		e.Given += given
		from = last + 1
	}
	for i := range e.pieces {
		e.pieces[i].token = len(e.IDs)
		e.IDs = append(e.IDs, e.pieces[i].ids...)
	}
	return e, nil
}

// pieces cuts a text at its special tokens.
func (m *Memo) pieces(text string) []piece {
	var cuts []cut
	if s := m.tok.vocab.split; s != nil {
		cuts = s.cuts(text)
	}
	out := make([]piece, 0, 2*len(cuts)+1)
	at := 0
	for _, c := range append(cuts, cut{start: len(text), end: len(text)}) {
		if c.start > at {
			out = append(out, piece{text: text[at:c.start], at: at, special: plain})
		}
		if c.end > c.start {
			out = append(out, piece{text: text[c.start:c.end], at: c.start, special: c.id, ids: []int32{c.id}})
		}
		at = c.end
	}
	return out
}

// recall fills in what is known.
func (m *Memo) recall(pieces []piece) {
	for i := range pieces {
		if pieces[i].special == plain {
			pieces[i].key = sha256.Sum256([]byte(pieces[i].text))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range pieces {
		if pieces[i].special != plain {
			continue
		}
		if x, ok := m.known[pieces[i].key]; ok {
			m.order.MoveToFront(x)
			pieces[i].ids = x.Value.(*remembered).ids
		}
	}
}

// smallPiece is how long, in bytes, a known piece between unknown ones may be to be encoded again with them: one
// call of the library costs about that much, and tool declarations are cut into thousands of pieces.
const smallPiece = 64

// missing finds the next run of pieces to encode together: from an unknown one to the last unknown one that only
// special tokens and small pieces separate from it. first is -1 when there is none.
func missing(pieces []piece, from int) (first, last int) {
	first = -1
	for i := from; i < len(pieces); i++ {
		p := &pieces[i]
		switch {
		case p.ids == nil:
			if first < 0 {
				first = i
			}
			last = i
		case first >= 0 && p.special == plain && len(p.text) >= smallPiece:
			return first, last
		}
	}
	return first, last
}

// learn encodes a run of pieces, which lie side by side in text, with one call, and remembers them. It returns how
// many characters that gave to the library.
func (m *Memo) learn(text string, run []piece) (given int, err error) {
	end := run[len(run)-1]
	whole := text[run[0].at : end.at+len(end.text)]
	ids, err := m.encode(whole)
	if err != nil {
		return 0, err
	}
	given = utf8.RuneCountInString(whole)
	if !m.deal(run, ids) { // the special tokens are not where they should be: no known tokenizer does this
		for i := range run {
			if run[i].special != plain {
				continue
			}
			if run[i].ids, err = m.encode(run[i].text); err != nil {
				return 0, err
			}
			given += utf8.RuneCountInString(run[i].text)
		}
	}
	m.remember(run)
	return given, nil
}

// deal hands a run's ids to its pieces: the special tokens part them. It refuses ids that have not exactly the run's
// special tokens.
func (m *Memo) deal(run []piece, ids []int32) bool {
	split := m.tok.vocab.split
	at := 0
	for i := range run {
		p := &run[i]
		if p.special != plain {
			if at >= len(ids) || ids[at] != p.special {
				return false
			}
			at++
			continue
		}
		start := at
		for at < len(ids) && (split == nil || !split.special[ids[at]]) {
			at++
		}
		p.ids = slices.Clone(ids[start:at])
		if p.ids == nil {
			p.ids = []int32{} // known to be nothing
		}
	}
	return at == len(ids)
}

func (m *Memo) remember(run []piece) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range run {
		if run[i].special != plain {
			continue
		}
		if _, ok := m.known[run[i].key]; ok {
			continue
		}
		r := &remembered{run[i].key, run[i].ids}
		m.known[r.key] = m.order.PushFront(r)
		m.bytes += r.bytes()
	}
	for m.bytes > m.limit {
		oldest := m.order.Back()
		r := m.order.Remove(oldest).(*remembered)
		delete(m.known, r.key)
		m.bytes -= r.bytes()
	}
}

// Bytes is what the memo holds, in bytes.
func (m *Memo) Bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// TokenAt returns the last token that begins at or before a byte of the text. exact tells whether it begins there;
// it is len(IDs) at the text's end. Where a tokenizer changes the text (by composing characters), the tokens of a
// piece cannot be told apart: then it is the piece's first.
func (e *Encoding) TokenAt(at int) (token int, exact bool) {
	i := sort.Search(len(e.pieces), func(i int) bool { return e.pieces[i].at > at }) - 1
	if i < 0 {
		return 0, at == 0
	}
	p := &e.pieces[i]
	if at >= p.at+len(p.text) {
		return len(e.IDs), true
	}
	if at == p.at || p.special != plain {
		return p.token, at == p.at
	}
	sizes, ok := e.tok.sizes(p.ids, p.text)
	if !ok {
		return p.token, false
	}
	token, begins := p.token, p.at
	for _, size := range sizes {
		if begins+size > at {
			break
		}
		begins += size
		token++
	}
	return token, begins == at
}

// sizes returns how many bytes of text each of its ids stands for; ok is false when they do not add up to it. A
// space that the tokenizer put before the text has no size.
func (t *Tokenizer) sizes(ids []int32, text string) (sizes []int, ok bool) {
	sizes = make([]int, len(ids))
	total := 0
	for i, id := range ids {
		sizes[i] = len(t.Bytes(id))
		total += sizes[i]
	}
	if total == len(text)+1 && sizes[0] > 0 && t.Bytes(ids[0])[0] == ' ' && text[0] != ' ' {
		sizes[0]--
		total--
	}
	return sizes, total == len(text)
}
