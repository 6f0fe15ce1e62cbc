package dash

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
)

// Every value that a row can have is said in words.
func TestReasonsHaveWords(t *testing.T) {
	for _, name := range []ledger.MissReason{ledger.MissNone, ledger.MissFirstRequest, ledger.MissPrefixChanged, ledger.MissEvicted, ledger.MissNoSnapshot, ledger.MissModelChanged,
		ledger.MissMediaChanged, ledger.MissBadBlock, ledger.MissTierTimeout, ledger.MissTierDown, ledger.MissStoreOff, ledger.MissReuseOff} {
		if !strings.Contains(why, string(name)+`: "`) {
			t.Errorf("the page has no words for miss_reason %s", name)
		}
	}
	for _, name := range []ledger.LimitedBy{ledger.LimitLastToken, ledger.LimitFull, ledger.LimitSliding, ledger.LimitRecurrent, ledger.LimitMemory} {
		if !strings.Contains(why, string(name)+`: "`) {
			t.Errorf("the page has no words for limited_by %s", name)
		}
	}
}

// The page asks no other host for anything, runs only what its policy names, and sets no text as markup.
func TestPage(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	for _, tag := range []string{"style", "script"} {
		_, rest, _ := strings.Cut(body, "<"+tag+">")
		content, _, found := strings.Cut(rest, "</"+tag+">")
		if !found || !strings.Contains(policy, tag+"-src "+checksum(content)) {
			t.Errorf("the policy %q does not name the page's %s", policy, tag)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; connect-src 'self'") {
		t.Errorf("policy %q", policy)
	}
	if out := regexp.MustCompile(`(?i)(src|href)="(https?:)?//|url\(|@import|https?://`).FindString(body); out != "" {
		t.Errorf("the page names another place: %q", out)
	}
	if bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son[a-z]+="`).FindString(body); bad != "" {
		t.Errorf("the page has %q", bad)
	}
}
