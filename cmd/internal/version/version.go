package version

import (
	"fmt"
	"runtime"

	"reprise/mlx"
)

// Commit is the source's, set by the Makefile through -ldflags.
var Commit = "unknown"

// Info is what `reprise version --json` prints.
type Info struct {
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	MLX      string `json:"mlx"`
	Platform string `json:"platform"` // GOOS/GOARCH
}

// Read collects the versions.
func Read() Info {
	return Info{Commit: Commit, Go: runtime.Version(), MLX: mlx.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

// String is one line.
func (i Info) String() string {
	return fmt.Sprintf("reprise %s, MLX %s, %s, %s", i.Commit, i.MLX, i.Go, i.Platform)
}
