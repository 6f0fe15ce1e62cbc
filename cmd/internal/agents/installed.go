package agents

import (
	"fmt"
	"os"
	"path/filepath"
)

// Installed is where third_party/clients.sh put the clients.
type Installed struct {
	Node           string // the program
	Modules        string // node_modules
	OpenClawScript string
	HermesProgram  string
	HermesPython   string
	Python         string // the one with the SDKs
}

// Find looks for the clients in a checkout.
func Find(root string) (*Installed, error) {
	dir := filepath.Join(root, "third_party", "build", "clients")
	i := &Installed{
		Node:           filepath.Join(dir, "node", "bin", "node"),
		Modules:        filepath.Join(dir, "npm", "node_modules"),
		OpenClawScript: filepath.Join(dir, "npm", "node_modules", "openclaw", "openclaw.mjs"),
		HermesProgram:  filepath.Join(dir, "hermes", "bin", "hermes"),
		HermesPython:   filepath.Join(dir, "hermes", "bin", "python"),
		Python:         filepath.Join(dir, "sdks", "bin", "python"),
	}
	for _, path := range []string{i.Node, i.OpenClawScript, i.HermesProgram, i.HermesPython, i.Python} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: run third_party/clients.sh", err)
		}
	}
	return i, nil
}
