package sidebyside

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Others says what kept the machine busy beside the measurement, during one round. A neighbour's load changes
// figures more than most code does.
type Others struct {
	Cores  *float64 `json:"cores"`  // used by other processes, on average; null where the system does not tell
	Stolen *float64 `json:"stolen"` // taken by other virtual machines, on average
}

// busiest says it in words, of the busiest round; "" when nothing is known.
func busiest(rounds []Others) string {
	var cores, stolen float64
	known := false
	for _, o := range rounds {
		if o.Cores != nil && o.Stolen != nil {
			known = true
			cores, stolen = max(cores, *o.Cores), max(stolen, *o.Stolen)
		}
	}
	if !known {
		return ""
	}
	return fmt.Sprintf("other processes used %.2f cores and other virtual machines %.2f in the busiest round", cores, stolen)
}

// use is processor time so far, in seconds.
type use struct {
	at           time.Time
	busy, stolen float64 // of the machine
	own          float64 // of this process and those that it waited for
	known        bool
}

// ticks is the unit of /proc/stat, a second; it is the same on every Linux that Go runs on.
const ticks = 100

func readUse() use {
	u := use{at: time.Now()}
	for _, whose := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(whose, &r) != nil {
			return u
		}
		u.own += time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
	}
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u
	}
	u.busy, u.stolen, u.known = readStat(string(b))
	return u
}

// readStat reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, stolen.
func readStat(text string) (busy, stolen float64, ok bool) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, 0, false
	}
	for i, word := range f[1:9] {
		n, err := strconv.ParseFloat(word, 64)
		switch {
		case err != nil:
			return 0, 0, false
		case i == 7:
			stolen = n
		case i != 3 && i != 4:
			busy += n
		}
	}
	return busy / ticks, stolen / ticks, true
}

// since is what others used from before to u. All programs of the round must have been waited for.
func (u use) since(before use) Others {
	seconds := u.at.Sub(before.at).Seconds()
	if !u.known || !before.known || seconds <= 0 {
		return Others{}
	}
	cores := hundredths(max(0, (u.busy-before.busy-(u.own-before.own))/seconds))
	stolen := hundredths((u.stolen - before.stolen) / seconds)
	return Others{Cores: &cores, Stolen: &stolen}
}

func hundredths(v float64) float64 { return math.Round(v*100) / 100 }
