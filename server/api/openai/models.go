package openai

import (
	"encoding/json"
	"net/http"

	"reprise/server/api/wire"
	"reprise/server/engine"
)

// modelEntry describes the loaded model. It has exactly one length that agents look for.
type modelEntry struct {
	ID       string  `json:"id"`
	Object   string  `json:"object"`
	Created  int64   `json:"created"` // when it was loaded, Unix seconds
	OwnedBy  string  `json:"owned_by"`
	Context  int     `json:"context_length"`                   // prompt and answer, tokens
	Trained  int     `json:"trained_context_length,omitempty"` // only when --ctx goes beyond it
	Template *string `json:"chat_template"`                    // "checkpoint", a built-in's name, a file; null: none
	Base     bool    `json:"base_model"`                       // never trained on conversations
	// KV is how keys and values of growing layers are kept, null: as they come. It is part of the cache's key.
	KV *kvForm `json:"kv_quantization"`
	// KernelsOff are those that gave other values than the plain ops that now take their place.
	KernelsOff []kernelOff `json:"kernels_off,omitempty"`
}

type kvForm struct {
	Bits  int `json:"bits"`
	Group int `json:"group"`
}

type kernelOff struct {
	Kernel string `json:"kernel"`
	Reason string `json:"reason"`
}

func (a *API) entry() modelEntry {
	m := a.model()
	e := modelEntry{ID: m.Name, Object: "model", Created: a.created, OwnedBy: "reprise", Context: m.Context,
		Template: orNull(m.TemplateName), Base: isBase(m)}
	if m.Trained > 0 && m.Context > m.Trained {
		e.Trained = m.Trained
	}
	if m.KV.On() {
		e.KV = &kvForm{m.KV.Bits, m.KV.Group}
	}
	for _, k := range m.Kernels {
		if !k.On {
			e.KernelsOff = append(e.KernelsOff, kernelOff{k.Kernel, k.Reason})
		}
	}
	return e
}

// isBase reads the importer's mark in config.json.
func isBase(m *engine.Model) bool {
	var config struct {
		Reprise struct {
			Base bool `json:"base_model"`
		} `json:"reprise"`
	}
	return m.Config != nil && json.Unmarshal(m.Config.Raw, &config) == nil && config.Reprise.Base
}

func (a *API) listModels(w http.ResponseWriter, _ *http.Request) error {
	return wire.WriteJSON(w, http.StatusOK, struct {
		Object string       `json:"object"`
		Data   []modelEntry `json:"data"`
	}{"list", []modelEntry{a.entry()}})
}

func (a *API) getModel(w http.ResponseWriter, r *http.Request) error {
	if err := wire.Known(r.PathValue("id"), a.model().Name); err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, a.entry())
}

// embeddings are what no model here computes. What is wrong with the request besides is said first.
func (a *API) embeddings(w http.ResponseWriter, r *http.Request) error {
	o, err := wire.ReadObject(w, r)
	if err != nil {
		return err
	}
	return toEmbed(o, a.model().Name)
}

func toEmbed(o *wire.Object, loaded string) error {
	wire.Model(o, loaded)
	if o.Raw("input") == nil {
		o.Missing("input", "the text to embed")
	}
	o.Count("dimensions")
	o.String("encoding_format")
	o.String("user")
	o.Unknown()
	o.Fail("model", wire.CodeUnsupported, "the model %s cannot compute embeddings", wire.Quoted(loaded))
	return o.Err()
}
