package wire

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"reprise/server/engine"
)

// Memory's refusals: one to come back to, and one that a shorter prompt helps, by the code that agents know.
func TestMemoryRefusals(t *testing.T) {
	later := AsError(fmt.Errorf("turn: %w", &engine.MemoryError{RetryAfter: 10 * time.Second, Message: "5 MB are left"}))
	if later.Status != http.StatusServiceUnavailable || later.Code != CodeMemory || later.RetryAfter != 10*time.Second || later.Message != "5 MB are left" {
		t.Errorf("%+v", later)
	}
	never := AsError(&engine.MemoryError{Never: true, Message: "maximum context length is 7 tokens"})
	if never.Status != http.StatusBadRequest || never.Code != "context_length_exceeded" || never.Param != "messages" || never.RetryAfter != 0 {
		t.Errorf("%+v", never)
	}
}
