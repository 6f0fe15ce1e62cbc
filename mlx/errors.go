package mlx

/*
#include "capture.h"
*/
import "C"

import (
	"fmt"
	"strings"
)

// Error is a failure that MLX reported.
type Error struct {
	Op      string // the op or call that failed
	Message string // MLX's own words, without the source position that mlx-c appends
	Inputs  string // dtypes and shapes of the op's inputs
}

func (e *Error) Error() string {
	if e.Inputs == "" {
		return fmt.Sprintf("mlx %s: %s", e.Op, e.Message)
	}
	return fmt.Sprintf("mlx %s(%s): %s", e.Op, e.Inputs, e.Message)
}

// lastError makes an Error of what mlx-c recorded on this thread.
func lastError(op string, inputs ...Array) *Error {
	msg := C.GoString(C.reprise_take_error())
	if i := strings.LastIndex(msg, " at /"); i > 0 {
		msg = msg[:i]
	}
	if msg == "" {
		msg = "failed without a message"
	}
	names := make([]string, len(inputs))
	for i, a := range inputs {
		names[i] = a.String()
	}
	return &Error{Op: op, Message: msg, Inputs: strings.Join(names, ", ")}
}
