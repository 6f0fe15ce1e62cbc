package footprint

// Sample is the process's memory at one moment, in bytes.
type Sample struct {
	Bytes             int64 // footprint
	LifetimePeakBytes int64 // the largest since the process began; on Linux of resident memory
}

// Read reads the process's memory once. On Linux the lifetime peak reaches back to the last window that a Watcher
// opened; Watcher.Read knows what was before.
func Read() (Sample, error) {
	p, err := newProbe()
	if err != nil {
		return Sample{}, err
	}
	defer p.close()
	r, err := p.read()
	if err != nil {
		return Sample{}, err
	}
	return Sample{Bytes: r.footprint, LifetimePeakBytes: r.mark}, nil
}

// probe is the operating system. Only one goroutine at a time may use it.
type probe interface {
	// read allocates nothing unless it fails.
	read() (reading, error)
	// resetMark lets the high-water mark begin anew at the present size, and says whether it could.
	resetMark() bool
	close()
}

// reading is what a probe sees, in bytes.
type reading struct {
	footprint int64
	swapped   int64 // the part of footprint that the mark does not count
	mark      int64 // high-water mark since the process began or the mark was reset
}
