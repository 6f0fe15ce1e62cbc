package kvcache_test

import (
	"testing"

	"reprise/kvcache"
	"reprise/kvcache/ledger"
)

// The ledger prints these values; it must know every one of them, by the same name.
func TestReasonsAreTheLedgers(t *testing.T) {
	for ours, theirs := range map[kvcache.Miss]ledger.MissReason{
		kvcache.MissNone: ledger.MissNone, kvcache.MissFirst: ledger.MissFirstRequest, kvcache.MissChanged: ledger.MissPrefixChanged,
		kvcache.MissEvicted: ledger.MissEvicted, kvcache.MissSnapshot: ledger.MissNoSnapshot, kvcache.MissModel: ledger.MissModelChanged,
		kvcache.MissMedia: ledger.MissMediaChanged, kvcache.MissReuse: ledger.MissReuseOff,
		kvcache.MissBadBlock: ledger.MissBadBlock, kvcache.MissTimeout: ledger.MissTierTimeout, kvcache.MissDown: ledger.MissTierDown, kvcache.MissStoreOff: ledger.MissStoreOff,
	} {
		if string(ours) != string(theirs) {
			t.Errorf("%q is the ledger's %q", ours, theirs)
		}
	}
	for ours, theirs := range map[kvcache.LimitedBy]ledger.LimitedBy{
		kvcache.LimitNone: ledger.LimitNone, kvcache.LimitLast: ledger.LimitLastToken, kvcache.LimitFull: ledger.LimitFull,
		kvcache.LimitSliding: ledger.LimitSliding, kvcache.LimitRecurrent: ledger.LimitRecurrent, kvcache.LimitMemory: ledger.LimitMemory,
	} {
		if string(ours) != string(theirs) {
			t.Errorf("%q is the ledger's %q", ours, theirs)
		}
	}
}
