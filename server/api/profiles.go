package api

import (
	"net/http"
	"net/http/pprof"

	"reprise/server/api/wire"
)

// profiles are Go's own, for finding out where the process spends time and memory.
func profiles() []wire.Route {
	one := func(w http.ResponseWriter, r *http.Request) error {
		switch name := r.PathValue("name"); name {
		case "profile":
			pprof.Profile(w, r)
		case "trace":
			pprof.Trace(w, r)
		case "cmdline":
			pprof.Cmdline(w, r)
		default:
			pprof.Handler(name).ServeHTTP(w, r)
		}
		return nil
	}
	all := func(w http.ResponseWriter, r *http.Request) error {
		pprof.Index(w, r)
		return nil
	}
	return []wire.Route{{Method: http.MethodGet, Path: "/debug/pprof/{$}", Handle: all}, {Method: http.MethodGet, Path: "/debug/pprof/{name}", Handle: one}}
}
