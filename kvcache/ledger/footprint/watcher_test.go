package footprint

import (
	"errors"
	"testing"
	"time"
)

// script is a system whose memory the test sets. Like Linux it can reset its mark, or like macOS it cannot.
type script struct {
	now, swapped, mark int64
	resets             bool
	err                error
	closed             bool
}

func (s *script) set(now int64) { s.now, s.mark = now, max(s.mark, now) }

// spike is memory that came and went between two samples.
func (s *script) spike(top int64) { s.mark = max(s.mark, top) }

func (s *script) read() (reading, error) {
	return reading{footprint: s.now + s.swapped, swapped: s.swapped, mark: s.mark}, s.err
}

func (s *script) resetMark() bool {
	if s.resets {
		s.mark = s.now
	}
	return s.resets
}

func (s *script) close() { s.closed = true }

// scripted is a watcher that samples only when a window opens or closes: its ticker does not come to fire.
func scripted(t *testing.T, s *script) *Watcher {
	t.Helper()
	w, err := watch(s, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func peakOf(t *testing.T, win *Window) Peak {
	t.Helper()
	p, err := win.Close()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOneWindow(t *testing.T) {
	for _, tt := range []struct {
		name   string
		resets bool
		before func(*script) // before the window
		during func(*script)
		want   Peak
	}{
		{"linux: spike between samples", true, nil, func(s *script) { s.spike(70) }, Peak{70, Measured}},
		{"linux: spike before the window", true, func(s *script) { s.spike(90) }, func(s *script) { s.set(20) }, Peak{20, Measured}},
		{"linux: shrinks", true, nil, func(s *script) { s.set(4) }, Peak{10, Measured}},
		{"linux: partly swapped out", true, nil, func(s *script) { s.set(8); s.swapped = 30 }, Peak{38, Sampled}},
		{"macOS: new lifetime peak", false, func(s *script) { s.spike(50) }, func(s *script) { s.spike(70) }, Peak{70, Measured}},
		{"macOS: below the lifetime peak", false, func(s *script) { s.spike(90) }, func(s *script) { s.set(20) }, Peak{20, Sampled}},
		{"macOS: nothing happens", false, nil, func(*script) {}, Peak{10, Sampled}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{now: 10, mark: 10, resets: tt.resets}
			w := scripted(t, s)
			if tt.before != nil {
				tt.before(s)
			}
			win := w.Open()
			tt.during(s)
			got := peakOf(t, win)
			if got != tt.want {
				t.Errorf("peak %+v, want %+v", got, tt.want)
			}
			s.set(1000) // after its end
			if again := peakOf(t, win); again != got {
				t.Errorf("closed again: %+v, then %+v", got, again)
			}
		})
	}
}

// TestOverlap: a opens, a spike, b opens (which resets the mark), a smaller spike, a closes, a third spike, b closes.
func TestOverlap(t *testing.T) {
	for _, resets := range []bool{true, false} {
		s := &script{now: 10, mark: 10, resets: resets}
		w := scripted(t, s)
		a := w.Open()
		s.spike(80)
		b := w.Open()
		s.spike(30)
		gotA := peakOf(t, a)
		s.spike(90)
		gotB := peakOf(t, b)
		c := w.Open()
		s.set(20)
		gotC := peakOf(t, c)

		wantA, wantB, wantC := Peak{80, Sampled}, Peak{90, Measured}, Peak{20, Measured}
		if !resets { // nothing was reset, so a's mark is whole; c stays below the mark of before
			wantA, wantC = Peak{80, Measured}, Peak{20, Sampled}
		}
		if gotA != wantA || gotB != wantB || gotC != wantC {
			t.Errorf("resets %v: peaks %+v, %+v, %+v; want %+v, %+v, %+v", resets, gotA, gotB, gotC, wantA, wantB, wantC)
		}
		if got, err := w.Read(); err != nil || got != (Sample{Bytes: 20, LifetimePeakBytes: 90}) {
			t.Errorf("resets %v: Read = %+v, %v: a reset lost the lifetime peak", resets, got, err)
		}
	}
}

func TestSystemThatDoesNotAnswer(t *testing.T) {
	s := &script{now: 10, mark: 10, resets: true, err: errors.New("no /proc")}
	w := scripted(t, s)
	win := w.Open()
	if p, err := win.Close(); !errors.Is(err, s.err) {
		t.Errorf("peak %+v, error %v", p, err)
	}
	if _, err := w.Read(); !errors.Is(err, s.err) {
		t.Errorf("Read: %v", err)
	}
	late := w.Open()
	s.err = nil // it answers again, but the mark may be older than the window
	s.spike(60)
	if got, want := peakOf(t, late), (Peak{60, Sampled}); got != want {
		t.Errorf("peak %+v, want %+v", got, want)
	}
}

func TestWatcherClose(t *testing.T) {
	s := &script{now: 10, mark: 10, resets: true}
	w := scripted(t, s)
	win := w.Open()
	s.set(15)
	w.Close()
	w.Close()
	select {
	case <-w.stopped:
	default:
		t.Error("the goroutine lives on after Close")
	}
	if !s.closed {
		t.Error("the probe is not closed")
	}
	if got := peakOf(t, win); got != (Peak{15, Measured}) {
		t.Errorf("a window that the watcher's end closed: %+v", got)
	}
	if _, err := w.Open().Close(); err == nil {
		t.Error("a window of a closed watcher has a peak")
	}
	if _, err := w.Read(); err == nil {
		t.Error("a closed watcher reads")
	}
	if _, err := watch(&script{}, 0); err == nil {
		t.Error("an interval of 0 is accepted")
	}
}

func TestTickerSamples(t *testing.T) {
	s := &script{now: 10, mark: 10}
	w, err := watch(s, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	win := w.Open()
	w.mu.Lock()
	s.now = 50 // and the mark, as if of another process, stays: only a sample can see it
	seen := win.readings
	w.mu.Unlock()
	for n, waits := seen, 0; n < seen+3; waits++ {
		if waits > 10_000 {
			t.Fatal("nothing is sampled")
		}
		time.Sleep(time.Millisecond)
		w.mu.Lock()
		n = win.readings
		w.mu.Unlock()
	}
	w.mu.Lock()
	s.now = 10
	w.mu.Unlock()
	if got := peakOf(t, win); got != (Peak{50, Sampled}) {
		t.Errorf("peak %+v", got)
	}
}
