package responses

import (
	"net/http"

	"reprise/server/api/wire"
)

// API is the endpoint over one engine.
type API struct {
	turns *wire.Turns
	kept  *kept
}

// New makes the endpoint.
func New(turns *wire.Turns) *API { return &API{turns: turns, kept: newKept()} }

// Routes are the endpoints.
func (a *API) Routes() []wire.Route {
	return []wire.Route{{Method: http.MethodPost, Path: "/v1/responses", Handle: a.create}}
}

func (a *API) create(w http.ResponseWriter, r *http.Request) error {
	leave, err := a.turns.Enter()
	if err != nil {
		return err
	}
	defer leave()
	o, err := wire.ReadObject(w, r)
	if err != nil {
		return err
	}
	c, err := take(o, r.Header, a.turns.Engine().Model(), a.kept)
	if err != nil {
		return err
	}
	return a.answer(w, r, c)
}
