package jinja

import (
	"errors"
	"fmt"
)

// ErrorKind says what a render or a parse failed on, named after the Python
// exception that the reference would raise.
type ErrorKind string

// The kinds of Error.
const (
	KindSyntax    ErrorKind = "TemplateSyntaxError" // the template does not parse
	KindRaised    ErrorKind = "TemplateError"       // the template called raise_exception
	KindUndefined ErrorKind = "UndefinedError"      // an undefined value was used
	KindType      ErrorKind = "TypeError"
	KindValue     ErrorKind = "ValueError"
	KindSecurity  ErrorKind = "SecurityError" // the sandbox refuses
	KindLimit     ErrorKind = "LimitError"    // a budget of Limits is spent
)

// Error is a failed parse or render.
type Error struct {
	Kind ErrorKind
	Msg  string // what Python's exception says, where there is one
	Line int    // line of the template, from 1; 0 when unknown
}

// Error gives the kind, the message and the template's line.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Kind, e.Msg)
	}
	return fmt.Sprintf("%s: %s (template line %d)", e.Kind, e.Msg, e.Line)
}

func errorf(kind ErrorKind, format string, a ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, a...)}
}

func typeErrorf(format string, a ...any) error  { return errorf(KindType, format, a...) }
func valueErrorf(format string, a ...any) error { return errorf(KindValue, format, a...) }

// atLine adds the line to an error that has none yet, so that the innermost
// statement wins.
func atLine(err error, line int) error {
	var e *Error
	if errors.As(err, &e) && e.Line == 0 {
		return &Error{Kind: e.Kind, Msg: e.Msg, Line: line}
	}
	return err
}
