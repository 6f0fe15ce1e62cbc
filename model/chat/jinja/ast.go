package jinja

// expr is a node that has a value.
type expr interface {
	eval(f *frame) (Value, error)
}

// stmt is a node that writes, assigns or steers.
type stmt interface {
	exec(f *frame) (signal, error)
}

// signal is how a statement ended.
type signal uint8

const (
	sigNone signal = iota
	sigBreak
	sigContinue
)

type (
	constExpr struct{ val Value }
	nameExpr  struct{ name string }
	listExpr  struct {
		items []expr
		kind  listKind
	}
	dictExpr struct{ keys, vals []expr }
	attrExpr struct {
		obj  expr
		name string
	}
	itemExpr  struct{ obj, key expr }
	sliceExpr struct{ obj, start, stop, step expr } // nil bounds are None
	callExpr  struct {
		fn   expr
		args argList
	}
	filterExpr struct {
		in   expr // nil: the block that the filter is applied to
		name string
		args argList
	}
	testExpr struct {
		in   expr
		name string
		args argList
	}
	notExpr   struct{ x expr }
	unaryExpr struct {
		op string
		x  expr
	}
	binaryExpr struct {
		op   string
		x, y expr
	}
	concatExpr struct{ parts []expr }
	logicExpr  struct { // and, or
		or   bool
		x, y expr
	}
	compareExpr struct {
		first expr
		ops   []string
		rest  []expr
	}
	condExpr struct {
		cond, then, alt expr // alt nil: undefined
		line            int
	}
)

// argList is the argument list of a call as it is written.
type argList struct {
	pos              []expr
	kw               []kwExpr
	starPos, starKws expr
}

type kwExpr struct {
	name string
	val  expr
}

type (
	dataStmt   struct{ text string }
	outputStmt struct { // {{ x }}, or {% print x, y %}
		xs   []expr
		line int
	}
	ifStmt struct {
		conds  []expr
		bodies [][]stmt // one per condition, then that of else if there is one
		line   int
	}
	forStmt struct {
		target    target
		iter      expr
		test      expr // nil: none
		body, alt []stmt
		recursive bool
		line      int
	}
	setStmt struct {
		target target
		val    expr
		line   int
	}
	setBlockStmt struct {
		target target
		filter *filterExpr // nil: none
		body   []stmt
		line   int
	}
	withStmt struct {
		targets []target
		vals    []expr
		body    []stmt
		line    int
	}
	filterBlockStmt struct {
		filter *filterExpr
		body   []stmt
		line   int
	}
	scopedStmt struct{ body []stmt } // {% generation %}
	jumpStmt   struct{ sig signal }
	macroStmt  struct{ macro *macroDef }
	callStmt   struct {
		call   *callExpr
		caller *macroDef
		line   int
	}
)

// macroDef is the body and signature of a macro or of a call block.
type macroDef struct {
	name                             string
	params                           []string
	defaults                         []expr // of the last params
	body                             []stmt
	usesCaller, usesKwargs, usesArgs bool // the body names caller, kwargs, varargs
}

// target is what a value is assigned to: a name, a namespace attribute, or a
// tuple of targets.
type target struct {
	name  string
	attr  string // set: name is a namespace
	tuple []target
}
