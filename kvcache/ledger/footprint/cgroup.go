package footprint

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// unlimited is where a version 1 limit stands for none (the kernel prints the largest page multiple).
const unlimited = 1 << 60

// hierarchy names the files of one version of control groups.
type hierarchy struct {
	mounts            []string
	limit, used, stat string
	droppable         string // the line of stat with the inactive file pages
}

var (
	version2 = hierarchy{
		mounts: []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"},
		limit:  "memory.max", used: "memory.current", stat: "memory.stat", droppable: "inactive_file",
	}
	version1 = hierarchy{
		mounts: []string{"sys/fs/cgroup/memory"},
		limit:  "memory.limit_in_bytes", used: "memory.usage_in_bytes", stat: "memory.stat", droppable: "total_inactive_file",
	}
)

// cgroupLimit returns the tightest memory limit over the process's group and the groups around it, in either
// version. root is the file system's root. What cannot be read limits nothing.
func cgroupLimit(root fs.FS) Limit {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return Limit{}
	}
	var tightest Limit
	for line := range strings.Lines(string(text)) {
		// id:controllers:path, with no controllers in version 2
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		var h hierarchy
		switch {
		case id == "0" && controllers == "":
			h = version2
		case hasController(controllers, "memory"):
			h = version1
		default:
			continue
		}
		for _, mount := range h.mounts {
			tightest = tighter(tightest, h.limitOf(root, mount, group))
		}
	}
	return tightest
}

func hasController(list, name string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}

// limitOf walks from a group up to the mount. Inside a container the group's path is often the host's and not to be
// found; the mount is then the container's own group.
func (h hierarchy) limitOf(root fs.FS, mount, group string) Limit {
	var tightest Limit
	for dir := path.Join(mount, path.Clean("/"+group)); ; dir = path.Dir(dir) {
		if limit, ok := readNumber(root, path.Join(dir, h.limit)); ok && limit < unlimited {
			used, _ := readNumber(root, path.Join(dir, h.used))
			used = max(0, used-h.droppableBytes(root, dir))
			tightest = tighter(tightest, Limit{Bytes: limit, RoomBytes: max(0, limit-used)})
		}
		if len(dir) <= len(mount) {
			return tightest
		}
	}
}

func (h hierarchy) droppableBytes(root fs.FS, dir string) int64 {
	text, err := fs.ReadFile(root, path.Join(dir, h.stat))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), h.droppable+" "); ok {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// tighter holds both limits at once: the largest and the fullest group need not be the same.
func tighter(a, b Limit) Limit {
	switch {
	case a.Bytes == 0:
		return b
	case b.Bytes == 0:
		return a
	}
	return Limit{Bytes: min(a.Bytes, b.Bytes), RoomBytes: min(a.RoomBytes, b.RoomBytes)}
}

func readNumber(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // version 2 writes "max" for none
	return n, err == nil && n > 0
}
