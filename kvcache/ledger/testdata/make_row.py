"""Writes row.jsonl, the row that row_test.go's warmTurn must print. Python 3.9 or later, standard library only:

    python3 make_row.py > row.jsonl

The names and their order are typed from the contract ("The ledger row"), not taken from the Go code.
"""
import json

NAMES = """
turn_id session_id parent_turn_id time model purpose worker evidence identity_error
prompt_tokens prompt_tokens_est lookup_requested_tokens matched_tokens lookup_hit_tokens lower_hit_tokens
l0_hit_tokens l1_hit_tokens l2_hit_tokens recompute_tokens new_tokens displaced_tokens paid_again_tokens
prefill_tokens unprefilled_tokens spliced_tokens generated_tokens stored_tokens evicted_tokens l1_blocks l2_blocks
limited_by miss_reason diverged_at diverged_in matched_path
weights_load_ms template_ms tokenize_ms lookup_ms queue_ms blocked_ms restore_ms l1_load_ms l2_transfer_ms
prefill_ms ttft_ms decode_ms itl_p50_ms itl_p95_ms prefill_tps decode_tps l1_store_ms l2_store_ms pd_transfer_ms
restore_bytes l1_read_bytes l2_read_bytes l1_write_bytes l2_write_bytes kv_live_bytes weights_bytes
mlx_active_bytes mlx_peak_bytes mlx_cache_bytes footprint_bytes footprint_peak_bytes
footprint_lifetime_peak_bytes host_available_bytes swap_used_bytes
concurrent_turns batch_width finish_reason audit audit_max_diff prompt_sha256
""".split()

MEASURED = dict(
    turn_id="t2", session_id="s1", parent_turn_id="t1", time="2026-03-04T05:06:07.089Z",
    model="gemma-3-270m", purpose="turn", worker="w1",
    evidence={"footprint_peak_bytes": "sampled", "prompt_tokens_est": "estimated"},
    prompt_tokens=100, prompt_tokens_est=110, lookup_requested_tokens=100, matched_tokens=80,
    lookup_hit_tokens=70, lower_hit_tokens=20, l0_hit_tokens=50, l1_hit_tokens=15, l2_hit_tokens=5,
    recompute_tokens=10, new_tokens=20, displaced_tokens=8, paid_again_tokens=18,
    prefill_tokens=30, unprefilled_tokens=0, generated_tokens=7,
    limited_by="sliding", miss_reason="no_snapshot",
    diverged_at=80, diverged_in="message 3 user", matched_path=[1, 4, 9],
    prefill_ms=12.345, prefill_tps=30 / 0.012345, ttft_ms=20.5,
    kv_live_bytes=1 << 33, concurrent_turns=1, batch_width=1,
    finish_reason="stop", prompt_sha256="<ab&cd>",
)

assert not set(MEASURED) - set(NAMES)
print(json.dumps({n: MEASURED.get(n) for n in NAMES}, separators=(",", ":")))
