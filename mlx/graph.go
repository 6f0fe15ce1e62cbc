package mlx

/*
#include <stdlib.h>
#include "graph.h"
*/
import "C"

import (
	"maps"
	"regexp"
	"sync"
	"unsafe"
)

// Graphs is what was evaluated while a worker counted.
type Graphs struct {
	Evaluations int
	Nodes       map[string]int // by MLX's name of the primitive, over all evaluations
}

// views are primitives that launch nothing: they give another shape or a part of an array's own buffer. Reshape and
// Contiguous copy only where strides do not allow it.
var views = map[string]bool{
	"Broadcast": true, "BroadcastAxes": true, "ExpandDims": true, "Flatten": true, "Unflatten": true, "Reshape": true, "Squeeze": true,
	"Slice": true, "Split": true, "Transpose": true, "AsStrided": true, "StopGradient": true, "View": true, "Contiguous": true, "Copy": true, "Depends": true,
}

// Total counts all nodes, and those that launch something: every primitive but views. A primitive may launch more than
// one kernel.
func (g Graphs) Total() (nodes, launches int) {
	for name, n := range g.Nodes {
		if nodes += n; !views[name] {
			launches += n
		}
	}
	return nodes, launches
}

// counter adds up graphs. It is written on the worker and read by whoever asks.
type counter struct {
	mu     sync.Mutex
	graphs Graphs
}

// StartCount makes the worker count the nodes of what is evaluated through a Scope, until StopCount. Writing a graph
// down takes milliseconds: nothing is timed meanwhile.
func (w *Worker) StartCount() { w.count.Store(&counter{graphs: Graphs{Nodes: map[string]int{}}}) }

// StopCount ends the counting and returns what was counted.
func (w *Worker) StopCount() Graphs {
	c := w.count.Swap(nil)
	if c == nil {
		return Graphs{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return Graphs{Evaluations: c.graphs.Evaluations, Nodes: maps.Clone(c.graphs.Nodes)}
}

// node is how MLX's DOT text has one that computes something.
var node = regexp.MustCompile(`\[label ="([^"]*)", shape=rectangle\]`)

func (c *counter) add(arrays C.mlx_vector_array) {
	text := C.reprise_graph(arrays)
	if text == nil {
		return
	}
	defer C.free(unsafe.Pointer(text))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.graphs.Evaluations++
	for _, m := range node.FindAllStringSubmatch(C.GoString(text), -1) {
		c.graphs.Nodes[m[1]]++
	}
}
