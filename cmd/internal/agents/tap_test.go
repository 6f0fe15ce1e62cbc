package agents

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/cmd/internal/loop/oracle"
)

// A stream goes through the tap piece by piece, a refusal is kept, and both sides see what the other sent, to the byte.
func TestTap(t *testing.T) {
	next := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "no to %s", body)
			return
		}
		w.Header().Set("X-Reprise-Turn", "turn_1")
		fmt.Fprintf(w, "data: %s\n", body)
		w.(http.Flusher).Flush()
		<-next // the first piece must have arrived by then
		fmt.Fprintf(w, "data: [DONE]\n")
	}))
	defer srv.Close()
	tap, err := Listen(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tap.Close() }()
	res, err := http.Post(tap.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"a": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(res.Body)
	if first, err := lines.ReadString('\n'); err != nil || first != "data: {\"a\": 1}\n" {
		t.Fatalf("%q, %v", first, err)
	}
	close(next)
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != "data: [DONE]\n" {
		t.Fatalf("%q, %v", rest, err)
	}
	_ = res.Body.Close()
	if res, err = http.Post(tap.URL+"/no", "text/plain", strings.NewReader("you")); err != nil {
		t.Fatal(err)
	}
	if raw, _ := io.ReadAll(res.Body); string(raw) != "no to you" {
		t.Errorf("%q", raw)
	}
	_ = res.Body.Close()
	seen := tap.Take()
	if len(seen) != 2 || string(seen[0].Body) != `{"a": 1}` || seen[0].Turn != "turn_1" || seen[0].Status != 200 || seen[1].Refusal != "no to you" || seen[1].Status != 400 {
		t.Errorf("%+v", seen)
	}
	if left := tap.Take(); len(left) != 0 {
		t.Errorf("taken twice: %+v", left)
	}
}

// A program sees its own home and nothing of this machine's, has a limit, and leaves nothing behind that runs.
func TestHome(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "secret")
	h, err := NewHome(filepath.Join(t.TempDir(), "home"), "/somewhere")
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Run(t.Context(), time.Minute, "/bin/sh", "-c", `echo "$HOME $OPENAI_API_KEY"; echo oh >&2; sleep 600 > /dev/null 2>&1 & echo $! > pid; exit 3`)
	if err != nil || out.Text != h.Dir+" \n" || out.Errors != "oh\n" || out.Code != 3 {
		t.Fatalf("%+v, %v", out, err)
	}
	gone(t, filepath.Join(h.Dir, "pid"))
	if _, err := h.Run(t.Context(), 50*time.Millisecond, "/bin/sh", "-c", "echo $$ > pid; sleep 600"); err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("beyond its limit: %v", err)
	}
	if _, err := h.Run(t.Context(), time.Minute, filepath.Join(h.Dir, "nosuch")); err == nil {
		t.Error("a program that is not there")
	}
}

// gone waits until the process whose number the file holds is no more: it was ended, but the kernel takes its time.
func gone(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("no /proc: what leaves its group is not seen here")
	}
	for range 200 {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(raw)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %s still runs", raw)
}

func TestShare(t *testing.T) {
	if n := oracle.Common([]int32{1, 2, 3}, []int32{1, 2, 4, 5}); n != 2 {
		t.Errorf("%d in common", n)
	}
	// sha256 of the bytes 01 00 00 00 02 01 00 00, by sha256sum
	if sum := checksum([]int32{1, 258}); sum != "fb8bbe2ad3ab5292f19bc5d75bbab9b5fbddc5a78ce47ab41b2d3d59bca08596" {
		t.Errorf("checksum %s", sum)
	}
}
