package doctor

import (
	"context"
	"errors"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/mlx"
	"reprise/model/arch"
	"reprise/model/chat"
	"reprise/model/hub"
	"reprise/model/tokenizer"
)

// checkpoint looks at the model's files, without loading weights.
func (r *Report) checkpoint(ctx context.Context, o Options, d device) {
	ckpt, err := hub.Resolve(o.Model)
	if err != nil {
		r.add("model", Problem, "run `make build`, which imports the small model, or name another with --model (`reprise models ls`)", "%v", err)
		return
	}
	in, err := hub.Inspect(ckpt.Dir, arch.Supported())
	if err != nil {
		r.add("model", Problem, "download or import the checkpoint again, or name another with --model", "%v", err)
		return
	}
	cfg, err := hub.ReadConfig(ckpt.Dir)
	if err != nil {
		r.add("model", Problem, "download or import the checkpoint again, or name another with --model", "%v", err)
		return
	}
	kind := ""
	if load.Base(cfg) {
		kind = ", a base model: `run` takes prompts as raw text"
	}
	r.ok("model", "%s, %s, weights %s, in %s%s", ckpt.Name, in.ModelType, console.Bytes(in.Bytes), ckpt.Dir, kind)
	r.context(o, in)
	r.fits(in, d)
	r.kernels(ctx, cfg, d)
	r.template(ckpt.Dir, in.Template)
	r.tokenizer(ckpt.Dir)
}

func (r *Report) context(o Options, in *hub.Inspection) {
	switch {
	case in.Context == 0:
		r.add("context", Warning, "name one with --ctx", "the checkpoint does not say what it was trained for")
	case o.Context > in.Context:
		r.add("context", Warning, "keep --ctx within what the weights were trained for, or expect worse answers beyond it",
			"%s tokens, trained for %s", console.Count(o.Context), console.Count(in.Context))
	case o.Context > 0:
		r.ok("context", "%s tokens of the %s that it was trained for", console.Count(o.Context), console.Count(in.Context))
	default:
		r.ok("context", "%s tokens, all that it was trained for", console.Count(in.Context))
	}
}

// fits compares what the weights need, held as they are stored, with what is free.
func (r *Report) fits(in *hub.Inspection, d device) {
	need := in.Bytes
	host, err := r.system.host()
	if err != nil {
		return // told under "memory"
	}
	free, where := host.FreeBytes(), "free memory"
	if d.kind == mlx.GPU && d.room > 0 {
		free, where = d.room, "the device's room"
	}
	if need > free {
		r.add("fits", Warning, "free memory, or take a smaller model: `reprise plan` has every line",
			"weights need %s, %s is %s", console.Bytes(need), where, console.Bytes(free))
		return
	}
	r.ok("fits", "weights need %s of %s", console.Bytes(need), console.Bytes(free))
}

func (r *Report) template(dir, file string) {
	t, err := chat.LoadFor(dir)
	switch {
	case errors.Is(err, chat.ErrNoTemplate):
		r.add("template", Warning, "name one with --chat-template FILE or a built-in (gemma4, qwen3.6); `run` continues raw text", "the checkpoint has no chat template")
	case err != nil:
		r.add("template", Problem, "name another with --chat-template", "%v", err)
	case !t.SupportsTools():
		r.add("template", Warning, "agents need one that has: name it with --chat-template", "%s has no place for tools", file)
	default:
		r.ok("template", "%s, with a place for tools", file)
	}
}

func (r *Report) tokenizer(dir string) {
	t, err := tokenizer.Load(dir)
	if err != nil {
		r.add("tokenizer", Problem, "download or import the checkpoint again: it needs tokenizer.json", "%v", err)
		return
	}
	defer func() { _ = t.Close() }()
	if eos := t.EOS(); len(eos) == 0 {
		r.add("tokenizer", Problem, "set eos_token_id in generation_config.json", "no id ends a text")
	} else {
		r.ok("tokenizer", "%s tokens, end ids %v", console.Count(t.VocabSize()), eos)
	}
}
