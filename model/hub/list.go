package hub

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// List returns the checkpoints that Resolve finds by name, sorted by name. One
// that is there but cannot be used has its Problem set.
func List() ([]Checkpoint, error) {
	p, err := findPlaces()
	if err != nil {
		return nil, err
	}
	return p.list(), nil
}

func (p places) list() []Checkpoint {
	all := p.listHome()
	if c, ok := p.small(); ok {
		all = append(all, c)
	}
	all = append(all, p.listCache()...)
	slices.SortStableFunc(all, func(a, b Checkpoint) int { return cmp.Compare(a.Name, b.Name) })
	// Of two by one name only the first is what Resolve finds: home wins.
	return slices.CompactFunc(all, func(a, b Checkpoint) bool { return a.Name == b.Name })
}

// listHome walks models/NAME and models/ORG/NAME.
func (p places) listHome() []Checkpoint {
	var found []Checkpoint
	for _, name := range subfolders(p.models) {
		dir := filepath.Join(p.models, name)
		if hasConfig(dir) {
			found = append(found, Checkpoint{Name: name, Dir: dir, Source: FromHome})
			continue
		}
		for _, sub := range subfolders(dir) {
			if inner := filepath.Join(dir, sub); hasConfig(inner) {
				found = append(found, Checkpoint{Name: name + "/" + sub, Dir: inner, Source: FromHome})
			}
		}
	}
	return found
}

func (p places) listCache() []Checkpoint {
	var found []Checkpoint
	for _, entry := range subfolders(p.hub) {
		name, ok := strings.CutPrefix(entry, "models--")
		if !ok {
			continue
		}
		// An org's name has no "--"; a model's may.
		id := strings.Replace(name, "--", "/", 1)
		if !hubID.MatchString(id) {
			continue
		}
		c, err := p.cached(id)
		if err != nil {
			c = Checkpoint{Name: id, Dir: filepath.Join(p.hub, entry), Source: FromHuggingFace, Problem: err.Error()}
		}
		found = append(found, c)
	}
	return found
}

// subfolders lists dir's folders, links to folders included; none when dir
// cannot be read, as when it does not exist.
func subfolders(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// maxNear is how many resembling names an error shows.
const maxNear = 3

// near returns the names that resemble ref: nearest first, none that is
// further off than a third of its length.
func near(ref string, all []Checkpoint) []string {
	type scored struct {
		name string
		cost int
	}
	var candidates []scored
	for _, c := range all {
		if cost := resemblance(ref, c.Name); cost*3 <= len(ref) {
			candidates = append(candidates, scored{c.Name, cost})
		}
	}
	slices.SortStableFunc(candidates, func(a, b scored) int { return cmp.Compare(a.cost, b.cost) })
	names := make([]string, 0, maxNear)
	for _, c := range candidates[:min(maxNear, len(candidates))] {
		names = append(names, c.name)
	}
	return names
}

// resemblance is the edit distance of two names, by their last parts too, so
// that a wrong or missing org is no distance; a name that continues the other
// counts as near.
func resemblance(ref, name string) int {
	ref, name = strings.ToLower(ref), strings.ToLower(name)
	refBase, nameBase := ref[strings.LastIndexByte(ref, '/')+1:], name[strings.LastIndexByte(name, '/')+1:]
	if len(refBase) >= 3 && strings.Contains(nameBase, refBase) {
		return 1
	}
	return min(editDistance(ref, name), editDistance(refBase, nameBase)+1)
}

// editDistance is Levenshtein's, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
