// Package footprint reads the memory of this process and of its host, as the operating system counts it.
//
// It owns the probes and the windows in which a turn's peak is looked for. It must not know turns, rows or MLX:
// MLX's own counters are another quantity (they exclude its buffer cache and everything that is not an array), and
// the two are never mixed.
//
// What the footprint is: on macOS ri_phys_footprint of proc_pid_rusage, the figure that Activity Monitor shows and
// that the system's memory limits act on; on Linux VmRSS + VmSwap of /proc/self/status. The kernel keeps resident
// counts per CPU, so Linux' figures may be some hundred KB off.
//
// How a window's peak is found. Both systems keep a high-water mark, of the process's life on macOS, since the last
// write of 5 to /proc/self/clear_refs on Linux. A mark that rises while a window is open is that window's exact
// peak. Where it did not rise, the largest of the samples stands in, and the window says Sampled. The mark is also
// no exact answer for a window during which another one opened (on Linux, where that resets the mark and a spike of
// some microseconds could hide in between), nor while part of the process is swapped out (the mark counts resident
// memory only).
//
// Invariants:
//
//   - A window's peak is at least every reading made while it was open, the ones at its opening and closing included.
//   - The mark is read into every open window before it is reset. Only one Watcher of a process may reset it.
//   - Sampling allocates nothing, and nothing is sampled while no window is open.
//   - The goroutine ends with Watcher.Close.
package footprint
