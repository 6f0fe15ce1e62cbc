package oracle

// Held is the sequence that the turn leaves behind, for those who show it.
func (t *Turn) Held() []int32 { return t.held() }
