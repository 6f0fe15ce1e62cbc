package prompt

import (
	"slices"
	"sort"

	"reprise/model/tokenizer"
)

// joined is a rendering as ids: its text, tokenized, with what was put back in between.
type joined struct {
	ids            []int32
	given, spliced int
	stretches      []stretch // cover the text in order
}

// stretch is a run of the text that was tokenized together, or that ids were put in the place of.
type stretch struct {
	start, end int // bytes of the rendering
	token      int // index of its first id
	encoding   *tokenizer.Encoding
}

// join tokenizes a rendering around its echoes.
func (a *Assembler) join(c *conversation) (*joined, error) {
	var echoes []*echo
	for _, e := range c.echoes {
		if e != nil {
			echoes = append(echoes, e)
		}
	}
	slices.SortFunc(echoes, func(x, y *echo) int { return x.start - y.start })
	j := &joined{}
	at := 0
	for _, e := range echoes {
		if err := j.addText(a.memo, c.render.Text, at, e.start); err != nil {
			return nil, err
		}
		j.stretches = append(j.stretches, stretch{start: e.start, end: e.end, token: len(j.ids)})
		j.ids = append(j.ids, e.ids...)
		j.spliced += e.generated
		at = e.end
	}
	return j, j.addText(a.memo, c.render.Text, at, len(c.render.Text))
}

func (j *joined) addText(memo *tokenizer.Memo, text string, start, end int) error {
	if start == end {
		return nil
	}
	e, err := memo.Encode(text[start:end])
	if err != nil {
		return err
	}
	j.stretches = append(j.stretches, stretch{start, end, len(j.ids), e})
	j.ids = append(j.ids, e.IDs...)
	j.given += e.Given
	return nil
}

// tokenAt is the last token that begins at or before a byte of the rendering; exact tells whether it begins there.
func (j *joined) tokenAt(at int) (token int, exact bool) {
	i := sort.Search(len(j.stretches), func(i int) bool { return j.stretches[i].end > at })
	if i == len(j.stretches) {
		return len(j.ids), true
	}
	s := j.stretches[i]
	if s.encoding == nil {
		return s.token, at == s.start
	}
	token, exact = s.encoding.TokenAt(at - s.start)
	return s.token + token, exact
}
