package hub

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText prints the inspection for a terminal. Sizes are decimal.
func (in *Inspection) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	in.writeHead(w)
	in.writeState(w)
	fmt.Fprintf(w, "\ncomponent\ttensors\tin files\ton a GPU\ta token reads\n")
	for _, c := range in.Components {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", strings.ReplaceAll(c.Name, "_", " "), c.Tensors, SizeText(c.Bytes), SizeText(c.Held), SizeText(c.Active))
	}
	fmt.Fprintf(w, "all\t%d\t%s\t%s\t%s\n", in.Tensors, SizeText(in.Bytes), SizeText(in.HeldBytes), SizeText(in.ActiveBytes))
	fmt.Fprintf(w, "\nstored as\ttensors\tbytes\tparameters\n")
	for _, f := range in.Formats {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", f.Format, f.Tensors, SizeText(f.Bytes), countText(f.Parameters))
	}
	in.writeRules(w)
	for _, note := range in.Notes {
		fmt.Fprintf(w, "\nnote: %s\n", note)
	}
	return w.Flush()
}

func (in *Inspection) writeHead(w io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	if in.Dir != "" {
		line("folder", "%s", in.Dir)
	}
	modelType := in.ModelType
	if in.TextModelType != "" {
		modelType += " (text: " + in.TextModelType + ")"
	}
	line("model type", "%s", modelType)
	if len(in.Architectures) > 0 {
		line("architecture", "%s", strings.Join(in.Architectures, ", "))
	}
	line("weights", "%s in %d tensors, %s parameters", SizeText(in.Bytes), in.Tensors, countText(in.Parameters))
	if in.DType != "" {
		line("dtype", "%s", in.DType)
	}
	if in.Experts > 0 {
		line("experts", "%d a layer, %d for a token", in.Experts, in.TopK)
	}
	if in.Context > 0 {
		line("context", "%d tokens", in.Context)
	} else {
		line("context", "not said")
	}
	line("special ids", "bos %s, eos %s, pad %s", idsText(in.Special.BOS), idsText(in.Special.EOS), idsText(in.Special.Pad))
	template := in.Template
	if template == "" {
		template = "none"
	}
	line("chat template", "%s", template)
}

func (in *Inspection) writeState(w io.Writer) {
	var kinds []string
	for _, k := range in.LayerKinds {
		text := fmt.Sprintf("%d %s", k.Layers, strings.ReplaceAll(k.Kind, "_", " "))
		if k.Cached != k.Layers {
			text += fmt.Sprintf(" (%d with state of their own)", k.Cached)
		}
		kinds = append(kinds, text)
	}
	fmt.Fprintf(w, "layers\t%d: %s\n", in.Layers, strings.Join(kinds, ", "))
	fmt.Fprintf(w, "\nstate of\tlayers\ta token, bf16\tf32\ta snapshot, bf16\tf32\n")
	for _, k := range in.LayerKinds {
		token, snapshot := k.TokenElements, k.WindowElements+k.ConvElements
		if k.Kind == SlidingAttention { // what a token adds to a window, a later one takes away
			token = 0
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", strings.ReplaceAll(k.Kind, "_", " "), k.Cached, SizeText(2*token), SizeText(4*token),
			SizeText(2*snapshot+4*k.StateElements), SizeText(4*snapshot+4*k.StateElements))
	}
	if in.State.WindowBF16 > 0 {
		fmt.Fprintf(w, "windows hold %d tokens\n", in.Window)
	}
}

func (in *Inspection) writeRules(w io.Writer) {
	if in.Rules == nil {
		return
	}
	fmt.Fprintf(w, "\nconfig.json\tquantizes at %s\n", in.Rules.Spec)
	for _, o := range in.Rules.Overrides {
		fmt.Fprintf(w, "override\t%s\n", o)
	}
}

func idsText(ids []int32) string {
	if len(ids) == 0 {
		return "none"
	}
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(ids)), ", "), "[]")
}

// SizeText is a size in decimal units: "1.07 GB".
func SizeText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

func countText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f B", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	}
	return fmt.Sprint(n)
}
