package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"

	"reprise/server/api/wire"
)

// guard turns away who must not come in.
func (s *Server) guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	for _, origin := range s.opts.Origins {
		_ = origins.AddTrustedOrigin(origin) // NewServer tried it
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.trusted(w, r) {
			return
		}
		var err *wire.Error
		switch {
		case s.loopback && !loopbackName(r.Host):
			err = &wire.Error{Status: http.StatusForbidden, Code: "host_not_allowed", Param: "Host",
				Message: "this server answers to localhost and 127.0.0.1 only, not to the Host of this request"}
		case origins.Check(r) != nil:
			err = &wire.Error{Status: http.StatusForbidden, Code: "origin_not_allowed", Param: "Origin",
				Message: "web pages of other origins may not use this server"}
		case !s.admitted(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			err = &wire.Error{Status: http.StatusUnauthorized, Code: "invalid_api_key", Param: "Authorization",
				Message: "the API key is missing or wrong: send Authorization: Bearer KEY, or x-api-key: KEY"}
		}
		if err != nil {
			writeError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// trusted lets a page of a named origin read answers, and says whether the request was only its question whether it may: a
// browser asks that without a key.
func (s *Server) trusted(w http.ResponseWriter, r *http.Request) (answered bool) {
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(s.opts.Origins, origin) {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "X-Reprise-Turn, Retry-After")
	h.Add("Vary", "Origin")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" || s.loopback && !loopbackName(r.Host) {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
	return true
}

// loopbackName says whether a Host header means this machine. Browsers send the name that a page was loaded from,
// whatever address it led to.
func loopbackName(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// admitted compares the key that the client shows; /health needs none, nor does the page that asks for it. Hashes are compared, so that neither the
// time nor the length of a wrong key says anything.
func (s *Server) admitted(r *http.Request) bool {
	if s.opts.APIKey == "" || r.URL.Path == healthPath || r.URL.Path == "/" {
		return true
	}
	shown := r.Header.Get("X-Api-Key")
	if scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		shown = strings.TrimSpace(key)
	}
	sum := sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(sum[:], s.key[:]) == 1
}
