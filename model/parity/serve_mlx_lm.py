"""mlx_lm.server on a checkpoint widened to float32 on the CPU, as bench_mlx_lm.py widens it: MLX's quantized product is scalar there.

usage: serve_mlx_lm.py CHECKPOINT [flags of mlx_lm.server]
"""
import sys

import mlx.core as mx
from mlx_lm import server

from bench_mlx_lm import widen

mx.set_default_device(mx.cpu)
plain = server.load


def load(*args, **kwargs):
    model, *others = plain(*args, lazy=True, **kwargs)
    widen(model)
    print("the model is loaded", file=sys.stderr, flush=True)  # it says that it is healthy before
    return (model, *others)


server.load = load
sys.argv = ["mlx_lm.server", "--model", sys.argv[1], *sys.argv[2:]]
server.main()
