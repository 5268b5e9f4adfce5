#!/usr/bin/env python3
"""Train the demo's tokenizer and language model on text from make_text.py, and write the golden files.

    make_model.py train --out model               tokenizer.json, config.json, model.safetensors
    make_model.py golden --model model --out .    golden.json, golden.safetensors

The model is of the Llama family: RMSNorm, rotary positions in the rotate-half form, grouped-query attention, SwiGLU,
tied embeddings. Shapes: B sequences, T tokens, D width, H heads, G key/value heads, E head width, V vocabulary.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional as F

from make_text import documents

END = "<|endoftext|>"
TOKENIZER_SEED, TRAIN_SEED, HELD_OUT_SEED, GOLDEN_SEED = 1, 2, 3, 11
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1024, "hidden_size": 128,
    "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "torch_dtype": "float32",
    "bos_token_id": 0, "eos_token_id": 0,
}
Weights = dict[str, Tensor]


# --- tokenizer --------------------------------------------------------------------------------------------------


def train_tokenizer(vocab_size: int, count: int = 6000) -> Tokenizer:
    """A GPT-2-style byte-level BPE; END is piece 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=[END], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(documents(TOKENIZER_SEED, count), trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Iterator[str]) -> np.ndarray:
    """The texts' tokens in one row [n], END before each text."""
    rows = [[0, *encoding.ids] for encoding in tokenizer.encode_batch(list(texts))]
    return np.concatenate([np.array(row, dtype=np.int64) for row in rows])


# --- model ------------------------------------------------------------------------------------------------------


def initial_weights(config: dict, seed: int = 0) -> Weights:
    """Normal weights of deviation 0.02 (output projections smaller by sqrt(2L)), by Hugging Face names."""
    generator = torch.Generator().manual_seed(seed)
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    shared = width // config["num_attention_heads"] * config["num_key_value_heads"]

    def normal(rows: int, columns: int, deviation: float = 0.02) -> Tensor:
        return torch.randn(rows, columns, generator=generator) * deviation

    weights = {"model.embed_tokens.weight": normal(config["vocab_size"], width), "model.norm.weight": torch.ones(width)}
    small = 0.02 / math.sqrt(2 * layers)
    for layer in range(layers):
        weights |= {f"model.layers.{layer}.{name}.weight": value for name, value in {
            "input_layernorm": torch.ones(width), "post_attention_layernorm": torch.ones(width),
            "self_attn.q_proj": normal(width, width), "self_attn.k_proj": normal(shared, width),
            "self_attn.v_proj": normal(shared, width), "self_attn.o_proj": normal(width, width, small),
            "mlp.gate_proj": normal(inner, width), "mlp.up_proj": normal(inner, width),
            "mlp.down_proj": normal(width, inner, small)}.items()}
    return weights


def rms_norm(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    """x [..., D], scale [D] -> [..., D]."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * scale


def rope_tables(length: int, head_width: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin [T, E]; the second half of E repeats the first. Computed in float64."""
    frequency = theta ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angle = torch.outer(torch.arange(length, dtype=torch.float64), frequency).repeat(1, 2)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, rotate-half form: x [B, H, T, E] -> [B, H, T, E]."""
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


def attention(x: Tensor, weights: Weights, prefix: str, config: dict, tables: tuple[Tensor, Tensor],
              mask: Tensor) -> Tensor:
    """Causal grouped-query attention: x [B, T, D] -> [B, T, D]; mask [T, T] is -inf above the diagonal."""
    batch, length, width = x.shape
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    head_width = width // heads

    def project(name: str, count: int) -> Tensor:
        y = F.linear(x, weights[f"{prefix}.{name}_proj.weight"])
        return y.view(batch, length, count, head_width).transpose(1, 2)

    q, k, v = rotate(project("q", heads), *tables), rotate(project("k", shared), *tables), project("v", shared)
    k, v = (t.repeat_interleave(heads // shared, dim=1) for t in (k, v))
    pattern = (q @ k.transpose(-1, -2) / math.sqrt(head_width) + mask).softmax(-1)
    mixed = (pattern @ v).transpose(1, 2).reshape(batch, length, width)
    return F.linear(mixed, weights[f"{prefix}.o_proj.weight"])


def mlp(x: Tensor, weights: Weights, prefix: str) -> Tensor:
    """SwiGLU: x [..., D] -> [..., D]."""
    gate, up = (F.linear(x, weights[f"{prefix}.{name}_proj.weight"]) for name in ("gate", "up"))
    return F.linear(F.silu(gate) * up, weights[f"{prefix}.down_proj.weight"])


def forward(tokens: Tensor, weights: Weights, config: dict) -> tuple[Tensor, list[Tensor]]:
    """tokens [B, T] -> logits [B, T, V] and the stream [B, T, D] after the embedding and after each layer."""
    x = F.embedding(tokens, weights["model.embed_tokens.weight"])
    length, eps = tokens.shape[1], config["rms_norm_eps"]
    tables = rope_tables(length, x.shape[-1] // config["num_attention_heads"], config["rope_theta"], x.dtype)
    mask = torch.full((length, length), -math.inf, dtype=x.dtype).triu(1)
    states = [x]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        x = x + attention(rms_norm(x, weights[f"{at}.input_layernorm.weight"], eps), weights, f"{at}.self_attn", config,
                          tables, mask)
        x = x + mlp(rms_norm(x, weights[f"{at}.post_attention_layernorm.weight"], eps), weights, f"{at}.mlp")
        states.append(x)
    logits = F.linear(rms_norm(x, weights["model.norm.weight"], eps), weights["model.embed_tokens.weight"])
    return logits, states


# --- training ---------------------------------------------------------------------------------------------------


def loss_of(rows: Tensor, weights: Weights, config: dict) -> Tensor:
    """Mean cross entropy, nats per token, of rows [B, T+1]."""
    logits, _ = forward(rows[:, :-1], weights, config)
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def batches(tokenizer: Tokenizer, batch: int, length: int) -> Iterator[Tensor]:
    """Rows [B, T+1] of fresh text without end: document streams of successive seeds, cut into rows, shuffled."""
    for part in range(1_000_000):
        tokens = encode(tokenizer, documents(TRAIN_SEED * 1_000_000 + part, 8000))
        rows = tokens[: len(tokens) // (length + 1) * (length + 1)].reshape(-1, length + 1)
        rows = np.random.default_rng(part).permutation(rows)
        for at in range(0, len(rows) - batch + 1, batch):
            yield torch.from_numpy(rows[at:at + batch])


@torch.no_grad()
def held_out_loss(tokenizer: Tokenizer, weights: Weights, config: dict) -> float:
    """Loss over 64 rows of a seed never trained on."""
    length = config["max_position_embeddings"]
    tokens = encode(tokenizer, documents(HELD_OUT_SEED, 300))[: 64 * (length + 1)]
    return loss_of(torch.from_numpy(tokens.reshape(64, length + 1)), weights, config).item()


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 100 steps, then a cosine to a fiftieth of the peak."""
    decay = 0.5 * (1 + math.cos(math.pi * step / steps))
    return peak * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * decay)


def write_tensors(arrays: dict[str, np.ndarray], path: Path) -> None:
    """A safetensors file, readable by all."""
    save_file(arrays, str(path), metadata={"format": "pt"})
    path.chmod(0o644)


def save(folder: Path, tokenizer: Tokenizer, weights: Weights, config: dict) -> None:
    """Write tokenizer.json, config.json and model.safetensors (float32)."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    arrays = {name: value.detach().float().numpy() for name, value in weights.items()}
    write_tensors(arrays, folder / "model.safetensors")


def train(out: Path, tokens: int, batch: int, peak: float) -> None:
    """Train on `tokens` tokens and save, with a checkpoint every 500 steps."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(CONFIG["vocab_size"])
    config = CONFIG | {"vocab_size": tokenizer.get_vocab_size()}
    weights = {name: value.requires_grad_() for name, value in initial_weights(config).items()}
    matrices, vectors = ([w for w in weights.values() if (w.dim() > 1) == flag] for flag in (True, False))
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=peak, betas=(0.9, 0.98))
    length = config["max_position_embeddings"]
    steps, start, recent = tokens // (batch * length), time.time(), []
    for step, rows in zip(range(steps), batches(tokenizer, batch, length)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        loss = loss_of(rows, weights, config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        optimizer.step()
        recent.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            rate = (step + 1) * batch * length / (time.time() - start)
            print(f"step {step + 1}/{steps}  loss {np.mean(recent):.4f}  {rate:.0f} tokens/s", flush=True)
            recent.clear()
        if (step + 1) % 500 == 0 or step + 1 == steps:
            print(f"  held-out loss {held_out_loss(tokenizer, weights, config):.4f}", flush=True)
            save(out, tokenizer, weights, config)


# --- golden files -----------------------------------------------------------------------------------------------


def golden(model: Path, out: Path, length: int = 64) -> None:
    """Two texts, their tokens [2, T], the stream [L+1, 2, T, D], one text's logits [1, T, V]; all from float64."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    config = json.loads((model / "config.json").read_text())
    weights = {name: torch.from_numpy(value).double() for name, value in load_file(model / "model.safetensors").items()}
    texts = [t for t in documents(GOLDEN_SEED, 50) if len(tokenizer.encode(t).ids) >= length][:2]
    tokens = torch.tensor([[0, *tokenizer.encode(text).ids][:length] for text in texts])
    logits, states = forward(tokens, weights, config)
    arrays = {"tokens": tokens.numpy(), "hidden_states": torch.stack(states).float().numpy(),
              "logits": logits[:1].float().numpy()}
    write_tensors(arrays, out / "golden.safetensors")
    about = {"texts": texts, "tokens": tokens.tolist(), "text_tokens": [tokenizer.encode(text).ids for text in texts],
             "decoded": [tokenizer.decode(row[1:]) for row in tokens.tolist()],
             "hidden_states": "[L+1, 2, T, D]: the embedding, then the stream after each layer (before the final norm)",
             "logits": "[1, T, V]: of the first text",
             "computed": "float64, stored as float32"}
    (out / "golden.json").write_text(json.dumps(about, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="The demo's tokenizer, model and golden files.")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--out", type=Path, default=Path("model"))
    training.add_argument("--tokens", type=int, default=8_000_000)
    training.add_argument("--batch", type=int, default=24)
    training.add_argument("--peak", type=float, default=3e-3, help="highest learning rate")
    fixing = commands.add_parser("golden")
    fixing.add_argument("--model", type=Path, default=Path("model"))
    fixing.add_argument("--out", type=Path, default=Path("."))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "train":
        train(options.out, options.tokens, options.batch, options.peak)
    else:
        golden(options.model, options.out)


if __name__ == "__main__":
    main()
