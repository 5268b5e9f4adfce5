#!/usr/bin/env python3
"""Trains a TopK coder with EleutherAI's sparsify on the tokens that `gloss train-sae` trained on, to compare the two.

    gloss train-sae OURS --model MODEL --hookpoint layers.2 --text TEXT --latents 2048 --k 4 --tokens 2M --optimizer signum \\
        --auxk-alpha 0 --batch-tokens 1024
    SPARSIFY_DISABLE_TRITON=1 VENV/bin/python bench/train_against_sparsify.py MODEL OURS THEIRS --hookpoint layers.2 --latents 2048 --k 4 --tokens 2000000
    gloss cache RUN --model MODEL --sae THEIRS ...      prints the FVU of either coder on the same text

The venv needs torch, transformers, eai-sparsify. Same tokens, latents, K, optimizer (sparsify's default), rate and tokens a step;
sparsify runs on the processor as it is. Printed: tokens/s.
"""
import argparse
import pathlib
import time

import torch
import transformers
from safetensors import safe_open
from sparsify import SaeConfig, Trainer, TrainConfig


class Contexts(torch.utils.data.Dataset):
    """Rows of tokens, as a data set with the few methods that the trainer asks for."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return {"input_ids": self.rows[index]}

    def shuffle(self, seed):
        order = torch.randperm(len(self.rows), generator=torch.Generator().manual_seed(seed))
        return Contexts(self.rows[order])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("ours", help="what gloss train-sae wrote: its tokens are taken")
    parser.add_argument("theirs")
    parser.add_argument("--hookpoint", default="layers.2")
    parser.add_argument("--latents", type=int, default=2048)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=2_000_000)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--optimizer", default="signum")
    parser.add_argument("--learning-rate", type=float, default=None)
    o = parser.parse_args()

    with safe_open(pathlib.Path(o.ours) / "text" / "tokens.safetensors", "pt") as file:
        contexts = file.get_tensor("tokens").long()
    length = contexts.shape[1]
    rounds = -(-o.tokens // contexts.numel())
    contexts = contexts.repeat(rounds, 1)[: o.tokens // length]
    model = transformers.AutoModelForCausalLM.from_pretrained(o.model, dtype=torch.float32)
    config = TrainConfig(SaeConfig(num_latents=o.latents, k=o.k), batch_size=o.batch_tokens // length, optimizer=o.optimizer,
                         lr=o.learning_rate, hookpoints=[o.hookpoint], save_dir=o.theirs, run_name="run", log_to_wandb=False,
                         save_every=10**9)
    trainer = Trainer(config, Contexts(contexts), model)
    begin = time.perf_counter()
    trainer.fit()
    print(f"{contexts.numel()} tokens, {contexts.numel() / (time.perf_counter() - begin):.0f} tokens/s")


if __name__ == "__main__":
    main()
