package ledger

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"
)

// optional is every Opt[T], seen without its type.
type optional interface {
	measured() (any, bool)
	cell() string
}

// Columns returns the row's field names in their order.
func Columns() []string {
	t := reflect.TypeFor[Row]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("json")
	}
	return names
}

// WriteCSV writes a header and a line per row. What was not measured is empty; evidence and matched_path are JSON
// within their cell.
func WriteCSV(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	if err := out.Write(Columns()); err != nil {
		return fmt.Errorf("ledger csv: %w", err)
	}
	for i := range rows {
		line, err := cells(&rows[i])
		if err == nil {
			err = out.Write(line)
		}
		if err != nil {
			return fmt.Errorf("ledger csv: turn %s: %w", rows[i].TurnID, err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("ledger csv: %w", err)
	}
	return nil
}

func cells(r *Row) ([]string, error) {
	v := reflect.ValueOf(r).Elem()
	line := make([]string, v.NumField())
	for i := range line {
		var err error
		if line[i], err = cell(v.Field(i).Interface()); err != nil {
			return nil, err
		}
	}
	return line, nil
}

func cell(field any) (string, error) {
	switch f := field.(type) {
	case optional:
		return f.cell(), nil
	case time.Time:
		return f.Format(time.RFC3339Nano), nil
	case EvidenceMap, NodePath:
		if reflect.ValueOf(f).Len() == 0 {
			return "", nil
		}
		b, err := json.Marshal(f)
		return string(b), err
	default:
		return fmt.Sprint(f), nil
	}
}
