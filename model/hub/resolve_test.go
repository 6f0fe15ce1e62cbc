package hub

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// machine lays out a home, a Hugging Face cache and a set-up.
func machine(t *testing.T) places {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{
		"home/models/mine/config.json":                      "{}",
		"home/models/google/gemma-3/config.json":            "{}",
		"home/models/empty/readme":                          "",
		"hf/models--org--good/refs/main":                    "abc123\n",
		"hf/models--org--good/snapshots/abc123/config.json": "{}",
		"hf/models--org--two--dashes/refs/main":             "def",
		"hf/models--org--two--dashes/snapshots/def/x":       "",
		"hf/models--org--dangling/refs/main":                "fff",
		"hf/models--org--dangling/snapshots/abc/x":          "",
		"hf/models--org--noref/snapshots/abc/config.json":   "{}",
		"hf/models--org--evil/refs/main":                    "../../models--org--good/snapshots/abc123",
		"hf/models--org--broken/refs/main":                  "abc",
		"hf/datasets--org--data/refs/main":                  "abc",
		"setup/gemma-3-270m/config.json":                    "{}",
		"gemma.gguf":                                        "",
	})
	link := filepath.Join(root, "hf/models--org--broken/snapshots/abc/config.json")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../blobs/absent", link); err != nil {
		t.Fatal(err)
	}
	return places{
		models: filepath.Join(root, "home/models"),
		hub:    filepath.Join(root, "hf"),
		setup:  []string{filepath.Join(root, "nowhere"), filepath.Join(root, "setup/gemma-3-270m")},
	}
}

func TestResolveFinds(t *testing.T) {
	p := machine(t)
	mine := filepath.Join(p.models, "mine")
	tests := []struct {
		ref  string
		want Checkpoint
	}{
		{"mine", Checkpoint{Name: "mine", Dir: mine, Source: FromHome}},
		{"google/gemma-3", Checkpoint{Name: "google/gemma-3", Dir: filepath.Join(p.models, "google/gemma-3"), Source: FromHome}},
		{mine, Checkpoint{Name: mine, Dir: mine, Source: FromFolder}},
		{"org/good", Checkpoint{Name: "org/good", Dir: filepath.Join(p.hub, "models--org--good/snapshots/abc123"), Source: FromHuggingFace, Revision: "abc123"}},
		{"", Checkpoint{Name: SmallModel, Dir: p.setup[1], Source: FromSetup}},
		{SmallModel, Checkpoint{Name: SmallModel, Dir: p.setup[1], Source: FromSetup}},
	}
	for _, test := range tests {
		if got, err := p.resolve(test.ref); err != nil || got != test.want {
			t.Errorf("%q: %+v, %v; want %+v", test.ref, got, err, test.want)
		}
	}
	write(t, p.models, map[string]string{SmallModel + "/config.json": "{}"})
	if got, err := p.resolve(""); err != nil || got.Source != FromHome {
		t.Errorf("a model of one's own by the small model's name does not win: %+v, %v", got, err)
	}
}

func TestResolveRelativeFolder(t *testing.T) {
	p := machine(t)
	t.Chdir(p.models)
	for _, ref := range []string{"./mine", "mine", "google/gemma-3"} {
		got, err := p.resolve(ref)
		if err != nil || got.Source != FromFolder || !filepath.IsAbs(got.Dir) || !hasConfig(got.Dir) {
			t.Errorf("%q: %+v, %v", ref, got, err)
		}
	}
	t.Chdir(p.hub) // a file or an empty folder here does not hide a name
	write(t, p.hub, map[string]string{"mine": "", SmallModel + "/x": ""})
	for _, ref := range []string{"mine", SmallModel} {
		if got, err := p.resolve(ref); err != nil || got.Source == FromFolder {
			t.Errorf("%q: %+v, %v", ref, got, err)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	p := machine(t)
	root := filepath.Dir(p.hub)
	tests := []struct {
		ref      string
		notFound bool
		parts    []string
	}{
		{"mime", true, []string{`"mime"`, filepath.Join(p.models, "mime"), "did you mean mine?", "models ls"}},
		{"gemma-3-270", true, []string{"did you mean gemma-3-270m"}},
		{"org/goood", true, []string{"models--org--goood", "did you mean org/good", "downloading is not built yet", "hf download org/goood"}},
		{"other/good", true, []string{"did you mean org/good"}},
		{"zzzzzzzzzz", true, []string{"not found"}},
		{"/no/such/folder", true, []string{"the folder /no/such/folder"}},
		{"../x", true, []string{"the folder ../x"}},
		{"org/dangling", false, []string{"org/dangling", "names commit fff, which has no snapshot", "hf download org/dangling"}},
		{"org/noref", false, []string{"has no", "refs/main"}},
		{"org/broken", false, []string{"has no config.json"}},
		{"org/evil", false, []string{"holds no commit"}},
		{filepath.Join(p.models, "empty"), false, []string{"has no config.json"}},
		{filepath.Join(root, "gemma.gguf"), false, []string{"reprise models import"}},
		{filepath.Join(p.models, "mine/config.json"), false, []string{"is a file"}},
	}
	for _, test := range tests {
		_, err := p.resolve(test.ref)
		wantError(t, err, test.parts...)
		var missing *NotFoundError
		if errors.As(err, &missing) != test.notFound {
			t.Errorf("%q: a NotFoundError is %v, want %v (%v)", test.ref, !test.notFound, test.notFound, err)
		}
		if test.ref == "zzzzzzzzzz" && missing != nil && len(missing.Near) > 0 {
			t.Errorf("%v is no near name of %q", missing.Near, test.ref)
		}
	}
	p.setup = []string{"/nowhere"}
	_, err := p.resolve("")
	wantError(t, err, SmallModel, "/nowhere", "make build")
}

func TestList(t *testing.T) {
	p := machine(t)
	write(t, p.models, map[string]string{"org/good/config.json": "{}"}) // hides the cache's
	var names, problems []string
	for _, c := range p.list() {
		names = append(names, c.Name)
		if c.Problem != "" {
			problems = append(problems, c.Name)
		} else if again, err := p.resolve(c.Name); err != nil || again != c {
			t.Errorf("%s is listed as %+v but resolved as %+v, %v", c.Name, c, again, err)
		}
	}
	if want := []string{SmallModel, "google/gemma-3", "mine", "org/broken", "org/dangling", "org/evil", "org/good", "org/noref", "org/two--dashes"}; !slices.Equal(names, want) {
		t.Errorf("listed %v, want %v", names, want)
	}
	if want := []string{"org/broken", "org/dangling", "org/evil", "org/noref", "org/two--dashes"}; !slices.Equal(problems, want) {
		t.Errorf("with problems %v, want %v", problems, want)
	}
}

func TestPlacesFromEnvironment(t *testing.T) {
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "REPRISE_HOME", "REPRISE_BUILD_CACHE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", "/user")
	steps := []struct{ name, value, hub, models string }{
		{"HOME", "/user", "/user/.cache/huggingface/hub", "/user/.cache/reprise/models"},
		{"XDG_CACHE_HOME", "/xdg", "/xdg/huggingface/hub", "/user/.cache/reprise/models"},
		{"HF_HOME", "/hf", "/hf/hub", "/user/.cache/reprise/models"},
		{"HF_HUB_CACHE", "/hub", "/hub", "/user/.cache/reprise/models"},
		{"REPRISE_HOME", "/rep", "/hub", "/rep/models"},
	}
	for _, s := range steps {
		t.Setenv(s.name, s.value)
		p, err := findPlaces()
		if err != nil || p.hub != s.hub || p.models != s.models {
			t.Errorf("with %s=%s: hub %s, models %s, %v; want %s, %s", s.name, s.value, p.hub, p.models, err, s.hub, s.models)
		}
	}
	cache := folder(t, map[string]string{"import-1/gemma-3-270m/config.json": "{}"})
	t.Setenv("REPRISE_BUILD_CACHE", cache)
	if got, err := Resolve(""); err != nil || got.Dir != filepath.Join(cache, "import-1", SmallModel) {
		t.Errorf("the small model in the build cache: %+v, %v", got, err)
	}
}
