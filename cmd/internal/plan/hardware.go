package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"reprise/kvcache/ledger/footprint/machine"
)

// Backend says how MLX computes there: it decides the form of weights and state, and what a prefill keeps in flight.
type Backend string

// The backends.
const (
	Metal Backend = "metal"
	CUDA  Backend = "cuda"
	CPU   Backend = "cpu"
)

// Hardware is a machine as far as a plan needs it.
type Hardware struct {
	Name    string  `json:"name"`
	Chip    string  `json:"chip"`
	Backend Backend `json:"backend"`
	Devices int     `json:"devices"`      // GPUs; 1 of a machine with one pool of memory
	Memory  int64   `json:"memory_bytes"` // of all devices; on Apple silicon the one pool
	// Bandwidth is in GB/s of one device; nil: not known here.
	Bandwidth *float64 `json:"bandwidth_gb_s"`
	// Compute is what a prefill sustains in 4 bit, TFLOP/s of one device: an assumption, never measured here.
	Compute *float64 `json:"prefill_tflops_estimated"`
	// Limit is what Metal recommends as working set, or what a control group allows: 0: by rule, or none.
	Limit int64 `json:"limit_bytes,omitempty"`
	// Note says what is known of it besides.
	Note string `json:"note,omitempty"`
	Here bool   `json:"detected"`
}

// gib: Apple counts memory in these, whatever it calls them.
const gib = 1 << 30

// chip is a row of the table of machines.
type chip struct {
	key, name string
	backend   Backend
	devices   int
	bandwidth float64
	compute   float64 // TFLOP/s that a prefill sustains, estimated
	sizes     []int   // GiB that it is sold with; nil: the name must say, any
	memory    int64   // of a GPU machine
	note      string
}

// chips is the table. Bandwidths and memory are the vendors' figures; compute is this package's estimate: of Apple's chips
// from published times to the first token, of NVIDIA's from prefills of made-up weights on an H100 (cmd/reprise/testdata/proofs).
var chips = []chip{
	{key: "m5", name: "Apple M5", backend: Metal, devices: 1, bandwidth: 153, compute: 12, sizes: []int{16, 24, 32}},
	{key: "m5-pro", name: "Apple M5 Pro", backend: Metal, devices: 1, bandwidth: 307, compute: 24},
	{key: "m5-max", name: "Apple M5 Max", backend: Metal, devices: 1, bandwidth: 614, compute: 48, note: "of the larger chip; m5-max-460 is the smaller"},
	{key: "m5-max-460", name: "Apple M5 Max", backend: Metal, devices: 1, bandwidth: 460, compute: 38},
	{key: "m4-pro", name: "Apple M4 Pro", backend: Metal, devices: 1, bandwidth: 273, compute: 6.5},
	{key: "m4-max", name: "Apple M4 Max", backend: Metal, devices: 1, bandwidth: 546, compute: 13, note: "of the larger chip; m4-max-410 is the smaller"},
	{key: "m4-max-410", name: "Apple M4 Max", backend: Metal, devices: 1, bandwidth: 410, compute: 10.5},
	{key: "h100", name: "NVIDIA H100 SXM", backend: CUDA, devices: 1, bandwidth: 3350, compute: 130, memory: 80e9},
	{key: "h200", name: "NVIDIA H200 SXM", backend: CUDA, devices: 1, bandwidth: 4800, compute: 130, memory: 141e9},
	{key: "dgx-b200", name: "NVIDIA DGX B200", backend: CUDA, devices: 8, bandwidth: 8000, compute: 290, memory: 1440e9, note: "arithmetic: this program computes on one GPU"},
	{key: "gb200-nvl72", name: "NVIDIA GB200 NVL72", backend: CUDA, devices: 72, bandwidth: 8000, compute: 290, memory: 13.4e12, note: "arithmetic: this program computes on one GPU; its GPUs' bandwidth is taken to be the DGX B200's"},
}

// This is the name of the machine that the plan is made on.
const This = "this"

var sized = regexp.MustCompile(`^(.+)-(\d+)gb$`)

// FindHardware is the machine of a name: one of the table, an Apple chip with its memory behind ("m5-16gb").
func FindHardware(name string) (*Hardware, error) {
	key, size := strings.ToLower(name), 0
	if m := sized.FindStringSubmatch(key); m != nil {
		key = m[1]
		size, _ = strconv.Atoi(m[2]) // digits; one that overflows is refused below
	}
	i := slices.IndexFunc(chips, func(c chip) bool { return c.key == key })
	if i < 0 {
		return nil, fmt.Errorf("--machine %s: there are %s", name, strings.Join(MachineNames(), ", "))
	}
	c := &chips[i]
	switch {
	case c.memory > 0 && size > 0:
		return nil, fmt.Errorf("--machine %s: %s has %s; its name is %s", name, c.name, sizeText(c.memory), c.key)
	case c.memory == 0 && size == 0:
		return nil, fmt.Errorf("--machine %s: say how much memory it has, for instance %s-%dgb", name, c.key, cmpFirst(c.sizes, 48))
	case c.sizes != nil && !slices.Contains(c.sizes, size):
		return nil, fmt.Errorf("--machine %s: the %s has %v GB", name, c.name, c.sizes)
	case c.memory == 0 && (size < 8 || size > 1024):
		return nil, fmt.Errorf("--machine %s: %d GB is no size of a Mac", name, size)
	}
	h := c.hardware()
	h.Name = key
	if size > 0 {
		h.Name, h.Memory = fmt.Sprintf("%s-%dgb", key, size), int64(size)*gib
	}
	return h, nil
}

func cmpFirst(sizes []int, otherwise int) int {
	if len(sizes) > 0 {
		return sizes[0]
	}
	return otherwise
}

func (c *chip) hardware() *Hardware {
	bandwidth, compute := c.bandwidth, c.compute
	return &Hardware{Name: c.key, Chip: c.name, Backend: c.backend, Devices: c.devices, Memory: c.memory, Bandwidth: &bandwidth, Compute: &compute, Note: c.note}
}

// MachineNames are the names that FindHardware takes, with N for a size.
func MachineNames() []string {
	names := []string{This}
	for _, c := range chips {
		switch {
		case c.memory > 0:
			names = append(names, c.key)
		case c.sizes != nil:
			for _, n := range c.sizes {
				names = append(names, fmt.Sprintf("%s-%dgb", c.key, n))
			}
		default:
			names = append(names, c.key+"-Ngb")
		}
	}
	return names
}

// Seen is what was found out about the machine that this runs on.
type Seen struct {
	Machine  machine.Machine
	GPU      string // its name; "": MLX has none
	GPUSize  int64  // its memory, when it is not the machine's
	Limit    int64  // of the working set, or of the control group; 0: none
	HasMetal bool
}

// Detect makes a machine of what was seen. A chip that the table lacks has no bandwidth, so no ceiling follows from it.
func Detect(s Seen) *Hardware {
	h := &Hardware{Name: This, Chip: s.Machine.Processor, Backend: CPU, Devices: 1, Memory: s.Machine.MemoryBytes, Limit: s.Limit, Here: true}
	if h.Chip == "" {
		h.Chip = "unknown processor"
	}
	name := h.Chip
	switch {
	case s.HasMetal:
		h.Backend = Metal
	case s.GPU != "":
		h.Backend, h.Chip, name = CUDA, s.GPU, s.GPU
		if s.GPUSize > 0 {
			h.Memory, h.Limit = s.GPUSize, 0
		}
	}
	c := lookUp(name)
	if c == nil || h.Backend == CPU && c.backend != CPU {
		h.Note = "its memory bandwidth is not in the table: name it with --bandwidth to have a ceiling"
		return h
	}
	known := c.hardware()
	h.Bandwidth, h.Compute = known.Bandwidth, known.Compute
	if strings.Contains(c.key, "-max-") {
		h.Note = "two chips have this name; the slower one's bandwidth is taken"
	}
	return h
}

// lookUp finds the row of a chip by the name that the system gives it, the slower one where two share it.
func lookUp(name string) *chip {
	var best *chip
	for i := range chips {
		c := &chips[i]
		short := strings.TrimSuffix(c.name, " SXM")
		if name != c.name && !(c.backend == CUDA && c.devices == 1 && strings.HasPrefix(name, short)) {
			continue
		}
		if best == nil || c.bandwidth < best.bandwidth {
			best = c
		}
	}
	return best
}
