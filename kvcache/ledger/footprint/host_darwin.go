package footprint

// groupLimit is none: macOS has no control groups.
func groupLimit() Limit { return Limit{} }
