#!/usr/bin/env python3
"""Forward pass of gloss against transformers' eager PyTorch: same random model, same tokens, in turn, in one run.

    VENV/bin/python bench/forward_against_eager.py build/dev/bench/bench_forward [threads]

The venv needs torch and transformers. Both compute the stream after the last layer for 8 contexts of 128 tokens in float32; its
norm must agree before a time is told. Printed: tokens/s of each, the ratio (median of the rounds), and peak memory of each process.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import transformers

SHAPES = {
    "gpt2-small": transformers.GPT2Config(),
    "pythia-160m": transformers.GPTNeoXConfig(
        vocab_size=50304, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        max_position_embeddings=2048,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25)),
}
BATCH, LENGTH, ROUNDS = 8, 128, 5


def gloss(program, folder, threads):
    environment = dict(os.environ, GLOSS_BENCH_MODEL=folder, GOMP_SPINCOUNT="2000")
    out = subprocess.run([program, f"--benchmark_filter=threads:{threads}/", "--benchmark_format=json",
                          "--benchmark_min_time=1"], env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(out)["benchmarks"][0]


class LastLayer(Exception):
    pass


class Eager:
    """The model in this process, stopped after its last layer, as gloss stops."""

    def __init__(self, config, folder, attention):
        torch.manual_seed(1)
        self.model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
        self.model.save_pretrained(folder)
        body = getattr(self.model, "transformer", None) or self.model.gpt_neox
        (body.h if hasattr(body, "h") else body.layers)[-1].register_forward_hook(self.stop)
        ids = (torch.arange(BATCH * LENGTH) * 7919 + 13) % config.vocab_size
        self.tokens = ids.view(BATCH, LENGTH)

    def stop(self, module, arguments, output):
        self.stream = output[0] if isinstance(output, tuple) else output
        raise LastLayer

    def run(self):
        with torch.no_grad():
            try:
                self.model(self.tokens, use_cache=False)
            except LastLayer:
                pass

    def tokens_per_second(self):
        self.run()
        begin, passes = time.perf_counter(), 0
        while time.perf_counter() - begin < 1.0:
            self.run()
            passes += 1
        return BATCH * LENGTH * passes / (time.perf_counter() - begin)


def peak_mebibytes():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def compare(program, threads, name, attention):
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        eager = Eager(SHAPES[name], folder, attention)
        rounds, memory = [], 0.0
        for _ in range(ROUNDS):
            theirs, mine = eager.tokens_per_second(), gloss(program, folder, threads)
            wanted = eager.stream.norm().item()
            if abs(mine["norm"] - wanted) > 1e-4 * wanted:
                sys.exit(f"{name}: the streams differ: norm {mine['norm']} here, {wanted} there")
            rounds.append((mine["tokens/s"], theirs, mine["tokens/s"] / theirs, mine["time/bare"]))
            memory = mine["peak MiB"]
        ours, theirs, ratio, bare = (statistics.median(column) for column in zip(*rounds))
        print(f"{name:12} against {attention:6} gloss {ours:7.0f} tokens/s, PyTorch {theirs:7.0f}: ratio {ratio:.2f}; time over "
              f"bare products {bare:.2f}; peak memory {memory:.0f} MiB, PyTorch process {peak_mebibytes():.0f} MiB", flush=True)


def main():
    program, threads = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    if len(sys.argv) > 4:
        compare(program, threads, sys.argv[3], sys.argv[4])
        return
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {threads} thread(s)", flush=True)
    for name in SHAPES:
        for attention in ("eager", "sdpa"):  # a process each, so that the peak of memory is its own
            subprocess.run([sys.executable, __file__, program, str(threads), name, attention], check=True)


if __name__ == "__main__":
    main()
