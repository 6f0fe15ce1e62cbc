package engine

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAConversationLargerThanTheBudget: nothing that is kept in memory has room for it, and yet each turn goes on from where the last
// one ended: its state is read out before the budget takes it, and comes back from the disk beside the budget.
func TestAConversationLargerThanTheBudget(t *testing.T) {
	for name, dir := range map[string]string{"gemma-3-270m": "", "qwen3_5": tinyHybrid(t), "gemma4": tiny(t, "gemma4/testdata/tiny-e4b-f32")} {
		t.Run(name, func(t *testing.T) {
			e := openWith(t, Options{Model: dir, CacheDisk: t.TempDir(), CacheMem: 4096})
			plain := openWith(t, Options{Model: dir, NoReuse: true})
			rng := rand.New(rand.NewPCG(11, 12))
			talk := randomIDs(rng, 300)
			for turn := range 4 {
				res := e.ask(talk, 4)
				r := &res.Row
				if l1, least := r.L1HitTokens.Or(0), len(talk)-41; turn > 0 && (l1 < least || l1 != r.LookupHitTokens.Or(-1)) {
					t.Errorf("turn %d of %d tokens hits %d, %d of them from the disk, at least %d could be (%s)", turn, len(talk), r.LookupHitTokens.Or(-1), l1, least, r.MissReason.Or(""))
				}
				e.check("a turn larger than the budget", res, 0)
				e.flushed()
				if s := e.CacheStats(); s.LiveBytes+s.PieceBytes+s.SnapBytes > s.Budget {
					t.Errorf("%+v", s)
				}
				if cold := plain.ask(talk, 4); !slices.Equal(cold.IDs, res.IDs) {
					t.Errorf("turn %d answers %v, a cold one %v", turn, res.IDs, cold.IDs)
				}
				talk = slices.Concat(talk, res.IDs, randomIDs(rng, 36))
			}
			if w := e.TierStats().Writer; w.Lost > 0 {
				t.Errorf("%d blocks were gone before they could be read", w.Lost)
			}
			if s := e.AuditStats(); s.Mismatches+s.Within+s.Failed > 0 {
				t.Errorf("audits: %+v", s)
			}
			if err := e.VerifyCache(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}
