package footprint

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Evidence says how a peak was found. The words are those of the ledger row.
type Evidence string

// How a peak is found.
const (
	Measured Evidence = ""        // the system's own high-water mark
	Sampled  Evidence = "sampled" // the largest of the samples; what lies between may be larger
)

// Peak is the largest footprint while a window was open.
type Peak struct {
	Bytes    int64
	Evidence Evidence
}

// errNoReading is for a window in which the system never answered.
var errNoReading = errors.New("footprint: no reading while the window was open")

// Watcher looks for the peaks of the windows that are open. It is safe for concurrent use.
type Watcher struct {
	interval time.Duration
	ticker   *time.Ticker
	stop     chan struct{}
	stopped  chan struct{}

	mu       sync.Mutex
	probe    probe
	open     map[*Window]struct{}
	lifetime int64 // the largest mark before a reset
	closed   bool
}

// Window is the time during which a turn is open.
type Window struct {
	watcher  *Watcher
	peak     int64
	baseline int64 // a mark above it was reached in this window
	risen    bool  // the mark was above it at the last reading
	blurred  bool  // the mark was reset, or did not count everything
	readings int
	err      error // of the last reading that failed
	done     bool
}

// Watch begins a watcher that samples every interval (20 ms is the ledger's) while a window is open.
func Watch(interval time.Duration) (*Watcher, error) {
	p, err := newProbe()
	if err != nil {
		return nil, err
	}
	return watch(p, interval)
}

func watch(p probe, interval time.Duration) (*Watcher, error) {
	if interval <= 0 {
		p.close()
		return nil, fmt.Errorf("footprint: sampling interval %v: want more than 0", interval)
	}
	w := &Watcher{
		interval: interval, ticker: time.NewTicker(interval),
		stop: make(chan struct{}), stopped: make(chan struct{}),
		probe: p, open: make(map[*Window]struct{}),
	}
	w.ticker.Stop() // until a window opens
	go w.run()
	return w, nil
}

func (w *Watcher) run() {
	defer close(w.stopped)
	for {
		select {
		case <-w.stop:
			return
		case <-w.ticker.C:
			w.mu.Lock()
			_, _ = w.sample()
			w.mu.Unlock()
		}
	}
}

// Open opens a window at this moment.
func (w *Watcher) Open() *Window {
	w.mu.Lock()
	defer w.mu.Unlock()
	win := &Window{watcher: w}
	if w.closed {
		win.done, win.err = true, errors.New("footprint: the watcher is closed")
		return win
	}
	before, err := w.sample() // into the windows that are open already, before the reset
	if err == nil {
		w.lifetime = max(w.lifetime, before.mark)
	}
	if err == nil && w.probe.resetMark() {
		for other := range w.open {
			other.baseline, other.blurred = 0, true
		}
	} else {
		// The mark stands where it stood, perhaps since long before. A window opened blind cannot use it.
		win.baseline, win.blurred = before.mark, err != nil
	}
	w.open[win] = struct{}{}
	if len(w.open) == 1 {
		w.ticker.Reset(w.interval)
	}
	_, _ = w.sample()
	return win
}

// Close closes the window and returns its peak. Closing it again returns the same.
func (win *Window) Close() (Peak, error) {
	w := win.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	if !win.done {
		_, _ = w.sample()
		w.drop(win)
	}
	if win.readings == 0 {
		return Peak{}, errors.Join(errNoReading, win.err)
	}
	if win.risen && !win.blurred {
		return Peak{Bytes: win.peak, Evidence: Measured}, nil
	}
	return Peak{Bytes: win.peak, Evidence: Sampled}, nil
}

// Read reads the process's memory once, with the peak since the process began.
func (w *Watcher) Read() (Sample, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return Sample{}, errors.New("footprint: the watcher is closed")
	}
	r, err := w.sample()
	if err != nil {
		return Sample{}, err
	}
	return Sample{Bytes: r.footprint, LifetimePeakBytes: max(w.lifetime, r.mark)}, nil
}

// Close ends the sampling and waits for it. Windows still open end here.
func (w *Watcher) Close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	_, _ = w.sample()
	for win := range w.open {
		w.drop(win)
	}
	w.closed = true
	w.probe.close()
	w.mu.Unlock()
	close(w.stop)
	<-w.stopped
}

// drop closes a window. w.mu is held.
func (w *Watcher) drop(win *Window) {
	win.done = true
	delete(w.open, win)
	if len(w.open) == 0 {
		w.ticker.Stop()
	}
}

// sample reads the system into every open window. w.mu is held. It allocates nothing.
func (w *Watcher) sample() (reading, error) {
	if w.closed {
		return reading{}, nil
	}
	r, err := w.probe.read()
	for win := range w.open {
		if err != nil {
			win.err = err
		} else {
			win.see(r)
		}
	}
	return r, err
}

// see takes a reading into the window.
func (win *Window) see(r reading) {
	win.readings++
	win.peak = max(win.peak, r.footprint)
	win.blurred = win.blurred || r.swapped > 0
	win.risen = r.mark > win.baseline
	if win.risen {
		win.peak = max(win.peak, r.mark)
	}
}
