package engines

import (
	"io"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// exposition is what a /metrics page said at one moment.
type exposition map[string]*dto.MetricFamily

func parse(in io.Reader) (exposition, error) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	return p.TextToMetricFamilies(in)
}

// value adds up a family's samples, those that have the label or, without one, all; a wanted value that ends in * is
// any that begins so. Of a histogram or a summary it is the sum of what was observed.
func (e exposition) value(name, label, wanted string) (total float64, ok bool) {
	for _, m := range e[name].GetMetric() {
		if label == "" || labelledAs(m, label, wanted) {
			total, ok = total+reading(m), true
		}
	}
	return total, ok
}

func labelledAs(m *dto.Metric, label, wanted string) bool {
	for _, l := range m.GetLabel() {
		if l.GetName() != label {
			continue
		}
		prefix, open := strings.CutSuffix(wanted, "*")
		return l.GetValue() == wanted || open && strings.HasPrefix(l.GetValue(), prefix)
	}
	return false
}

func reading(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.GetCounter().GetValue()
	case m.Gauge != nil:
		return m.GetGauge().GetValue()
	case m.Histogram != nil:
		return m.GetHistogram().GetSampleSum()
	case m.Summary != nil:
		return m.GetSummary().GetSampleSum()
	}
	return m.GetUntyped().GetValue()
}
