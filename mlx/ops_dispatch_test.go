package mlx

import "slices"

// opFunc applies one bound op to a case's inputs, which come in the order of testdata/README.md.
type opFunc func(s *Scope, in []Array, a attrs) []Array

// dispatch maps mlx-c's function name, without its mlx_, to our binding.
var dispatch = map[string]opFunc{
	// element-wise
	"abs":      unaryOp((*Scope).Abs),
	"add":      binaryOp((*Scope).Add),
	"subtract": binaryOp((*Scope).Subtract),
	"multiply": binaryOp((*Scope).Multiply),
	"divide":   binaryOp((*Scope).Divide),
	"power":    binaryOp((*Scope).Power),
	"maximum":  binaryOp((*Scope).Maximum),
	"minimum":  binaryOp((*Scope).Minimum),
	"negative": unaryOp((*Scope).Negative),
	"exp":      unaryOp((*Scope).Exp),
	"expm1":    unaryOp((*Scope).Expm1),
	"log":      unaryOp((*Scope).Log),
	"log1p":    unaryOp((*Scope).Log1p),
	"sqrt":     unaryOp((*Scope).Sqrt),
	"rsqrt":    unaryOp((*Scope).Rsqrt),
	"square":   unaryOp((*Scope).Square),
	"sigmoid":  unaryOp((*Scope).Sigmoid),
	"tanh":     unaryOp((*Scope).Tanh),
	"erf":      unaryOp((*Scope).Erf),
	"sin":      unaryOp((*Scope).Sin),
	"cos":      unaryOp((*Scope).Cos),
	"floor":    unaryOp((*Scope).Floor),
	"isnan":    unaryOp((*Scope).IsNaN),
	"where":    ternaryOp((*Scope).Where),
	"clip": func(s *Scope, in []Array, a attrs) []Array {
		in = optional(in, 1, a, "min", "max")
		return one(s.Clip(in[0], in[1], in[2]))
	},

	// comparisons and logic
	"equal":         binaryOp((*Scope).Equal),
	"not_equal":     binaryOp((*Scope).NotEqual),
	"greater":       binaryOp((*Scope).Greater),
	"greater_equal": binaryOp((*Scope).GreaterEqual),
	"less":          binaryOp((*Scope).Less),
	"less_equal":    binaryOp((*Scope).LessEqual),
	"logical_and":   binaryOp((*Scope).LogicalAnd),
	"logical_or":    binaryOp((*Scope).LogicalOr),
	"logical_not":   unaryOp((*Scope).LogicalNot),

	// products
	"matmul": binaryOp((*Scope).Matmul),
	"addmm": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.AddMM(in[0], in[1], in[2], get[float32](a, "alpha"), get[float32](a, "beta")))
	},
	"gather_mm": func(s *Scope, in []Array, a attrs) []Array {
		in = optional(in, 2, a, "lhs", "rhs")
		return one(s.GatherMM(in[0], in[1], in[2], in[3], get[bool](a, "sorted")))
	},
	"quantize": func(s *Scope, in []Array, a attrs) []Array {
		return s.Quantize(in[0], get[int](a, "group_size"), get[int](a, "bits"), get[string](a, "mode"), Array{})
	},
	"dequantize": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Dequantize(in[0], in[1], in[2], get[int](a, "group_size"), get[int](a, "bits"), get[string](a, "mode"), Array{}, a.dtype()))
	},
	"quantized_matmul": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.QuantizedMatmul(in[0], in[1], in[2], in[3], get[bool](a, "transpose"),
			get[int](a, "group_size"), get[int](a, "bits"), get[string](a, "mode")))
	},
	"gather_qmm": func(s *Scope, in []Array, a attrs) []Array {
		in = optional(in, 4, a, "lhs", "rhs")
		return one(s.GatherQMM(in[0], in[1], in[2], in[3], in[4], in[5], get[bool](a, "transpose"),
			get[int](a, "group_size"), get[int](a, "bits"), get[string](a, "mode"), get[bool](a, "sorted")))
	},
	"conv1d": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Conv1d(in[0], in[1], get[int](a, "stride"), get[int](a, "padding"), get[int](a, "dilation"), get[int](a, "groups")))
	},

	// reductions, order
	"sum_axis":       reduction((*Scope).SumAxis),
	"mean_axis":      reduction((*Scope).MeanAxis),
	"max_axis":       reduction((*Scope).MaxAxis),
	"min_axis":       reduction((*Scope).MinAxis),
	"prod_axis":      reduction((*Scope).ProdAxis),
	"logsumexp_axis": reduction((*Scope).LogSumExpAxis),
	"argmax_axis":    reduction((*Scope).ArgMaxAxis),
	"argmin_axis":    reduction((*Scope).ArgMinAxis),
	"softmax_axis": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.SoftmaxAxis(in[0], a.axis(), get[bool](a, "precise")))
	},
	"cumsum_axis": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.CumSumAxis(in[0], a.axis(), get[bool](a, "reverse"), get[bool](a, "inclusive"), DefaultDtype))
	},
	"sort_axis":    func(s *Scope, in []Array, a attrs) []Array { return one(s.SortAxis(in[0], a.axis())) },
	"argsort_axis": func(s *Scope, in []Array, a attrs) []Array { return one(s.ArgSortAxis(in[0], a.axis())) },
	"partition_axis": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.PartitionAxis(in[0], get[int](a, "kth"), a.axis()))
	},
	"argpartition_axis": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.ArgPartitionAxis(in[0], get[int](a, "kth"), a.axis()))
	},
	"topk_axis": func(s *Scope, in []Array, a attrs) []Array { return one(s.TopKAxis(in[0], get[int](a, "k"), a.axis())) },

	// shape
	"reshape":        func(s *Scope, in []Array, a attrs) []Array { return one(s.Reshape(in[0], get[[]int](a, "shape"))) },
	"transpose_axes": func(s *Scope, in []Array, a attrs) []Array { return one(s.Transpose(in[0], get[[]int](a, "axes"))) },
	"swapaxes": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.SwapAxes(in[0], get[int](a, "axis1"), get[int](a, "axis2")))
	},
	"expand_dims":      func(s *Scope, in []Array, a attrs) []Array { return one(s.ExpandDims(in[0], a.axis())) },
	"squeeze_axis":     func(s *Scope, in []Array, a attrs) []Array { return one(s.SqueezeAxis(in[0], a.axis())) },
	"broadcast_to":     func(s *Scope, in []Array, a attrs) []Array { return one(s.BroadcastTo(in[0], get[[]int](a, "shape"))) },
	"concatenate_axis": func(s *Scope, in []Array, a attrs) []Array { return one(s.Concatenate(in, a.axis())) },
	"stack_axis":       func(s *Scope, in []Array, a attrs) []Array { return one(s.Stack(in, a.axis())) },
	"split": func(s *Scope, in []Array, a attrs) []Array {
		return s.Split(in[0], get[int](a, "num_splits"), a.axis())
	},
	"split_sections": func(s *Scope, in []Array, a attrs) []Array {
		return s.SplitSections(in[0], get[[]int](a, "indices"), a.axis())
	},
	"repeat_axis": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Repeat(in[0], get[int](a, "repeats"), a.axis()))
	},
	"tile": func(s *Scope, in []Array, a attrs) []Array { return one(s.Tile(in[0], get[[]int](a, "reps"))) },
	"pad": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Pad(in[0], get[[]int](a, "axes"), get[[]int](a, "low"), get[[]int](a, "high"), in[1], get[string](a, "mode")))
	},
	"flatten": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Flatten(in[0], get[int](a, "start_axis"), get[int](a, "end_axis")))
	},
	"contiguous": func(s *Scope, in []Array, a attrs) []Array { return one(s.Contiguous(in[0], false)) },
	"view":       func(s *Scope, in []Array, a attrs) []Array { return one(s.View(in[0], a.dtype())) },
	"astype":     func(s *Scope, in []Array, a attrs) []Array { return one(s.AsType(in[0], a.dtype())) },

	// indexing
	"slice": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Slice(in[0], get[[]int](a, "start"), get[[]int](a, "stop"), get[[]int](a, "strides")))
	},
	"slice_dynamic": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.SliceDynamic(in[0], in[1], get[[]int](a, "axes"), get[[]int](a, "size")))
	},
	"slice_update": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.SliceUpdate(in[0], in[1], get[[]int](a, "start"), get[[]int](a, "stop"), get[[]int](a, "strides")))
	},
	"slice_update_dynamic": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.SliceUpdateDynamic(in[0], in[2], in[1], get[[]int](a, "axes")))
	},
	"take_axis":       func(s *Scope, in []Array, a attrs) []Array { return one(s.Take(in[0], in[1], a.axis())) },
	"take_along_axis": func(s *Scope, in []Array, a attrs) []Array { return one(s.TakeAlongAxis(in[0], in[1], a.axis())) },
	"put_along_axis":  func(s *Scope, in []Array, a attrs) []Array { return one(s.PutAlongAxis(in[0], in[1], in[2], a.axis())) },

	// creation
	"full": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Full(get[[]int](a, "shape"), in[0], a.dtype()))
	},
	"zeros": func(s *Scope, in []Array, a attrs) []Array { return one(s.Zeros(get[[]int](a, "shape"), a.dtype())) },
	"ones":  func(s *Scope, in []Array, a attrs) []Array { return one(s.Ones(get[[]int](a, "shape"), a.dtype())) },
	"arange": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Arange(get[float64](a, "start"), get[float64](a, "stop"), get[float64](a, "step"), a.dtype()))
	},
	"eye": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Eye(get[int](a, "n"), get[int](a, "m"), get[int](a, "k"), a.dtype()))
	},
	"tri": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.Tri(get[int](a, "n"), get[int](a, "m"), get[int](a, "k"), a.dtype()))
	},

	// fast
	"fast_rms_norm": func(s *Scope, in []Array, a attrs) []Array {
		in = optional(in, 1, a, "weight")
		return one(s.RMSNorm(in[0], in[1], get[float32](a, "eps")))
	},
	"fast_layer_norm": func(s *Scope, in []Array, a attrs) []Array {
		in = optional(in, 1, a, "weight", "bias")
		return one(s.LayerNorm(in[0], in[1], in[2], get[float32](a, "eps")))
	},
	"fast_rope": func(s *Scope, in []Array, a attrs) []Array {
		in = optional(in, 1, a, "freqs")
		return one(s.RoPE(in[0], get[int](a, "dims"), get[bool](a, "traditional"), a.ropeBase(), get[float32](a, "scale"), get[int](a, "offset"), in[1]))
	},
	"fast_rope_dynamic": func(s *Scope, in []Array, a attrs) []Array {
		in = optional(in, 1, a, "freqs", "offset_array")
		return one(s.RoPEDynamic(in[0], get[int](a, "dims"), get[bool](a, "traditional"), a.ropeBase(), get[float32](a, "scale"), in[2], in[1]))
	},
	"fast_scaled_dot_product_attention": func(s *Scope, in []Array, a attrs) []Array {
		mask := append(slices.Clone(in[3:]), Array{})[0]
		return one(s.SDPA(in[0], in[1], in[2], get[float32](a, "scale"), get[string](a, "mask"), mask, Array{}, false))
	},

	// random
	"random_key": func(s *Scope, in []Array, a attrs) []Array { return one(s.Key(get[uint64](a, "seed"))) },
	"random_split": func(s *Scope, in []Array, a attrs) []Array {
		first, second := s.RandomSplit(in[0])
		return one(s.Stack([]Array{first, second}, 0)) // python returns the keys as one array
	},
	"random_uniform": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.RandomUniform(in[0], in[1], get[[]int](a, "shape"), a.dtype(), in[2]))
	},
	"random_normal": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.RandomNormal(get[[]int](a, "shape"), a.dtype(), get[float32](a, "loc"), get[float32](a, "scale"), in[0]))
	},
	"random_gumbel": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.RandomGumbel(get[[]int](a, "shape"), a.dtype(), in[0]))
	},
	"random_categorical": func(s *Scope, in []Array, a attrs) []Array {
		return one(s.RandomCategorical(in[0], a.axis(), in[1]))
	},
}

func one(a Array) []Array { return []Array{a} }

func unaryOp(op func(*Scope, Array) Array) opFunc {
	return func(s *Scope, in []Array, _ attrs) []Array { return one(op(s, in[0])) }
}

func binaryOp(op func(*Scope, Array, Array) Array) opFunc {
	return func(s *Scope, in []Array, _ attrs) []Array { return one(op(s, in[0], in[1])) }
}

func ternaryOp(op func(*Scope, Array, Array, Array) Array) opFunc {
	return func(s *Scope, in []Array, _ attrs) []Array { return one(op(s, in[0], in[1], in[2])) }
}

func reduction(op func(s *Scope, a Array, axis int, keepdims bool) Array) opFunc {
	return func(s *Scope, in []Array, a attrs) []Array {
		return one(op(s, in[0], a.axis(), get[bool](a, "keepdims")))
	}
}

// optional puts in the arrays that the case left out: after the first `required` inputs, one for each flag
// that is set, and the array that is none for each that is not.
func optional(in []Array, required int, a attrs, flags ...string) []Array {
	out := slices.Clone(in[:required])
	rest := in[required:]
	for _, flag := range flags {
		if get[bool](a, flag) {
			out, rest = append(out, rest[0]), rest[1:]
		} else {
			out = append(out, Array{})
		}
	}
	return out
}
