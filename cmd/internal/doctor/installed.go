package doctor

import (
	"os"
	"path/filepath"
	"strings"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/models"
	"reprise/model/hub"
)

// builtFor is the MLX that this source is bound to: third_party/pins.txt has the same (a test compares).
const builtFor = "0.32.2"

// libraries compares the MLX that was loaded with the one that this binary was built for.
func (r *Report) libraries() {
	if v := r.system.mlx(); v != builtFor {
		r.add("libraries", Problem, "run `make build` again; a libmlx that comes first on the library path (DYLD_LIBRARY_PATH, LD_LIBRARY_PATH) must go", "libmlx is %s, this binary was built for %s", v, builtFor)
		return
	}
	r.ok("libraries", "MLX %s, as this binary was built for", builtFor)
}

// models looks through the checkpoints on this machine for damaged ones.
func (r *Report) models() {
	list, err := models.List()
	if err != nil {
		r.add("models", Warning, "make the folder readable, or name a model by its folder", "the list of models could not be read: %v", err)
		return
	}
	var bad []string
	for _, m := range list {
		if m.Problem != "" {
			bad = append(bad, m.Name+": "+m.Problem)
		}
	}
	switch {
	case len(list) == 0:
		r.add("models", Warning, "`make build` imports the small one; `hf download ORG/NAME` brings others", "none on this machine")
	case len(bad) > 0:
		r.add("models", Warning, "download them again, or remove their folders (`reprise models ls` names them)", "%d of %d cannot be used: %s", len(bad), len(list), strings.Join(bad, "; "))
	default:
		r.ok("models", "%d on this machine", len(list))
	}
}

// leastDisk is room for a day of ledger rows and stored blocks.
const leastDisk = 5_000_000_000

// disk looks at the file system that models, blocks and rows go to.
func (r *Report) disk() {
	home, err := hub.Home()
	if err != nil {
		return // told under "folders"
	}
	at := home
	for at != filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		at = filepath.Dir(at)
	}
	free, err := r.system.disk(at)
	switch {
	case err != nil:
		r.add("disk", Warning, "see with `df` whether there is room, or set REPRISE_HOME to another disk", "free space could not be read: %v", err)
	case free < leastDisk:
		r.add("disk", Warning, "free some, or set REPRISE_HOME to another disk", "%s are free where %s is: stored state and models need more than %s", console.Bytes(free), home, console.Bytes(leastDisk))
	default:
		r.ok("disk", "%s are free where %s is", console.Bytes(free), home)
	}
}
