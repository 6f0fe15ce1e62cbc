package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

func filterAbs(_ *frame, in Value, a args) (Value, error) {
	if f, ok := in.(float64); ok {
		return math.Abs(f), nil
	}
	n, ok := toInt(in)
	if !ok {
		return nil, typeErrorf("bad operand type for abs(): '%s'", typeName(in))
	}
	return normInt(new(big.Int).Abs(n)), nil
}

func filterInt(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("int", "default", "base")
	if err != nil {
		return nil, err
	}
	base, err := intArg(b[1], 10)
	if err != nil {
		return nil, err
	}
	if n, ok := toInt(in); ok {
		return normInt(n), nil
	}
	if u, ok := in.(*Undefined); ok {
		return nil, u.fail()
	}
	if s, ok := in.(string); ok {
		if n, ok := parseInt(s, base); ok {
			return n, nil
		}
	}
	if f, ok := parseFloat(in); ok && !math.IsInf(f, 0) && !math.IsNaN(f) {
		n, _ := new(big.Float).SetFloat64(f).Int(nil)
		return normInt(n), nil
	}
	return orDefault(b[0], int64(0)), nil
}

func parseInt(s string, base int) (Value, bool) {
	s = strings.TrimFunc(s, isSpace)
	if strings.Contains(s, "__") || strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || len(s) > maxIntDigits {
		return nil, false
	}
	s = strings.ReplaceAll(s, "_", "")
	if prefix := map[int]string{2: "0b", 8: "0o", 16: "0x"}[base]; prefix != "" {
		digits := strings.TrimLeft(s, "+-")
		if len(digits) > 2 && strings.EqualFold(digits[:2], prefix) {
			s = s[:len(s)-len(digits)] + digits[2:]
		}
	}
	if base < 2 || base > 36 {
		return nil, false
	}
	n, ok := new(big.Int).SetString(s, base)
	if !ok {
		return nil, false
	}
	return normInt(n), true
}

// parseFloat is Python's float() for numbers and strings.
func parseFloat(v Value) (float64, bool) {
	s, ok := v.(string)
	if !ok {
		return toFloat(v)
	}
	s = strings.TrimFunc(s, isSpace)
	if strings.ContainsAny(s, "xXpP") {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

func filterFloat(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("float", "default")
	if err != nil {
		return nil, err
	}
	if u, ok := in.(*Undefined); ok {
		return nil, u.fail()
	}
	if f, ok := parseFloat(in); ok {
		return f, nil
	}
	return orDefault(b[0], 0.0), nil
}

func filterRound(_ *frame, in Value, a args) (Value, error) {
	b, err := a.bind("round", "precision", "method")
	if err != nil {
		return nil, err
	}
	prec, err := intArg(b[0], 0)
	if err != nil {
		return nil, err
	}
	how, err := strArg(b[1], "common")
	if err != nil {
		return nil, err
	}
	x, ok := toFloat(in)
	if !ok {
		return nil, typeErrorf("type %s doesn't define __round__ method", typeName(in))
	}
	scale := math.Pow10(prec)
	switch how {
	case "ceil":
		return math.Ceil(x*scale) / scale, nil
	case "floor":
		return math.Floor(x*scale) / scale, nil
	case "common":
		if _, isFloat := in.(float64); !isFloat && prec >= 0 {
			n, _ := toInt(in)
			return normInt(n), nil
		}
		if prec < 0 {
			r := math.RoundToEven(x/math.Pow10(-prec)) * math.Pow10(-prec)
			if _, isFloat := in.(float64); !isFloat {
				return int64(r), nil
			}
			return r, nil
		}
		r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', min(prec, 400), 64), 64)
		return r, nil
	}
	return nil, valueErrorf("method must be common, ceil or floor")
}
