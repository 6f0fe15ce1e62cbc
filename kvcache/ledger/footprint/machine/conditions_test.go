package machine

import (
	"runtime"
	"testing"
)

func said(s *string) string {
	if s == nil {
		return "not told"
	}
	return *s
}

func TestConditions(t *testing.T) {
	for _, tt := range []struct{ batt, therm, power, thermal string }{
		{"", "", "not told", "not told"},
		{"Now drawing from 'AC Power'\n -InternalBattery-0 (id=4849763)\t100%; charged; 0:00 remaining present: true\n",
			"Note: No thermal warning level has been recorded\nNote: No performance warning level has been recorded\nNote: No CPU power status has been recorded\n", "AC Power", "nominal"},
		{"Now drawing from 'Battery Power'\n", "2026-11-26 10:00:00 +0000 CPU Power notify\n\tCPU_Scheduler_Limit \t= 100\n\tCPU_Available_CPUs \t= 8\n\tCPU_Speed_Limit \t= 62\n",
			"Battery Power", "CPU_Speed_Limit = 62"},
	} {
		c := conditionsOf(tt.batt, tt.therm)
		if said(c.PowerSource) != tt.power || said(c.Thermal) != tt.thermal {
			t.Errorf("%q, %q: power %q, thermal %q", tt.batt, tt.therm, said(c.PowerSource), said(c.Thermal))
		}
	}
	if c := ReadConditions(t.Context()); runtime.GOOS != "darwin" && (c.PowerSource != nil || c.Thermal != nil) {
		t.Errorf("on %s: %+v", runtime.GOOS, c)
	}
}
