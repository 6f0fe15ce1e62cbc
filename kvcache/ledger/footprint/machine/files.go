package machine

import (
	"io/fs"
	"path"
	"strings"
)

// fromFiles reads what Linux tells in /proc, /sys and /etc. root is the file system's root.
func fromFiles(root fs.FS) Machine {
	physical, logical := cores(root)
	return Machine{
		Model:         model(root),
		Processor:     field(content(root, "proc/cpuinfo"), "model name", ":"),
		OS:            release(root),
		PhysicalCores: physical,
		LogicalCores:  logical,
	}
}

// model is the vendor's name for the machine: from the firmware on a PC, from the device tree on a board.
func model(root fs.FS) string {
	name := content(root, "sys/class/dmi/id/product_name")
	if name == "" {
		return strings.TrimRight(content(root, "proc/device-tree/model"), "\x00")
	}
	if vendor := content(root, "sys/class/dmi/id/sys_vendor"); vendor != "" && !strings.HasPrefix(name, vendor) {
		return vendor + " " + name
	}
	return name
}

func release(root fs.FS) string {
	name := strings.Trim(field(content(root, "etc/os-release"), "PRETTY_NAME", "="), `"'`)
	kernel := content(root, "proc/sys/kernel/osrelease")
	switch {
	case kernel == "":
		return name
	case name == "":
		return "Linux " + kernel
	}
	return name + ", Linux " + kernel
}

// cores counts processors that are online, and the cores that they share. Threads of one core list the same
// siblings. 0 is unknown.
func cores(root fs.FS) (physical, logical int) {
	files, err := fs.Glob(root, "sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list")
	if err == nil && len(files) > 0 {
		siblings := make(map[string]bool)
		for _, f := range files {
			siblings[content(root, f)] = true
		}
		return len(siblings), len(files)
	}
	return coresOfCPUInfo(content(root, "proc/cpuinfo"))
}

// coresOfCPUInfo is for containers without /sys. On arm64 it has no core ids: physical is unknown there.
func coresOfCPUInfo(text string) (physical, logical int) {
	ids := make(map[string]bool)
	for block := range strings.SplitSeq(text, "\n\n") {
		if field(block, "processor", ":") == "" {
			continue
		}
		logical++
		if core := field(block, "core id", ":"); core != "" {
			ids[path.Join(field(block, "physical id", ":"), core)] = true
		}
	}
	return len(ids), logical
}

// field is the value of the first line "name <separator> value".
func field(text, name, separator string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, separator)
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// content is a file's text without the space around it; empty when it cannot be read.
func content(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
