package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Opt is a value that may not have been measured. The zero Opt is null.
type Opt[T any] struct {
	value T
	known bool
}

// Some is a measured value.
func Some[T any](v T) Opt[T] { return Opt[T]{value: v, known: true} }

// Ms is a duration in milliseconds, to the microsecond.
func Ms(d time.Duration) Opt[float64] { return Some(float64(d.Microseconds()) / 1e3) }

// Get returns the value and whether there is one.
func (o Opt[T]) Get() (T, bool) { return o.value, o.known }

// Or returns the value, or otherwise when there is none.
func (o Opt[T]) Or(otherwise T) T {
	if o.known {
		return o.value
	}
	return otherwise
}

// Known says whether there is a value.
func (o Opt[T]) Known() bool { return o.known }

// MarshalJSON writes the value, or null. A float that JSON cannot hold is null as well: the row must not be lost
// over it (Check names it).
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if !o.known || !finite(o.value) {
		return []byte("null"), nil
	}
	return encode(o.value)
}

// encode is json.Marshal with a line feed behind it, and <, > and & left as they are: identity errors hold them.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// UnmarshalJSON reads a value or null.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*o = Opt[T]{}
		return nil
	}
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*o = Some(v)
	return nil
}

// measured is what the columns see of an Opt, whatever its type.
func (o Opt[T]) measured() (any, bool) { return o.value, o.known }

// cell is the value as CSV prints it; null is empty.
func (o Opt[T]) cell() string {
	if !o.known || !finite(o.value) {
		return ""
	}
	if f, ok := any(o.value).(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(o.value)
}

func finite(v any) bool {
	f, ok := v.(float64)
	return !ok || !(math.IsNaN(f) || math.IsInf(f, 0))
}
