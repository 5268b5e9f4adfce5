#!/usr/bin/env python3
"""Makes the golden models: for each family a tiny seeded one, with what transformers computes at every hookpoint.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/golden/make_models.py [NAME...]
    venv/bin/python tests/golden/make_models.py --generate [NAME...]   # generated.safetensors alone

Writes tests/golden/models/NAME/: config.json and model.safetensors as save_pretrained leaves them, and golden.safetensors
with the tokens [B, T], every activation [B, T, width] by gloss's hookpoint name, and the logits [B, T, V], all of one eager
float32 pass on the CPU; and generated.safetensors with prompts of several lengths as `generate` goes on with them, greedily.
PROVENANCE.md beside it says with which versions the committed files were made.
"""
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parent / "models"
BATCH, LENGTH, VOCABULARY = 2, 70, 83  # longer than a block of 64 queries
PROMPTS, GENERATED = (1, 9, 17, 40), 64  # tokens of the prompts; of the texts that become of them

# Sizes of no power of two, so that a mixed-up shape does not fit.
LLAMA = dict(vocab_size=VOCABULARY, hidden_size=24, intermediate_size=38, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-3, pad_token_id=0)


def rope(kind="default", theta=300.0, **more):
    return dict(rope_type=kind, rope_theta=theta, **more)


FAMILIES = {
    "llama": ("LlamaConfig", dict(LLAMA, rope_parameters=rope(), tie_word_embeddings=False)),
    "llama3": ("LlamaConfig", dict(LLAMA, head_dim=10, attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                                   rope_parameters=rope("llama3", 500.0, factor=8.0, low_freq_factor=1.0,
                                                        high_freq_factor=4.0, original_max_position_embeddings=32))),
    "llama-linear": ("LlamaConfig", dict(LLAMA, rope_parameters=rope("linear", factor=3.0))),
    "mistral": ("MistralConfig", dict(LLAMA, head_dim=6, sliding_window=9, rope_parameters=rope())),
    "qwen2": ("Qwen2Config", dict(LLAMA, num_hidden_layers=4, use_sliding_window=True, sliding_window=11,
                                  max_window_layers=2, rope_parameters=rope())),
    "qwen2-yarn": ("Qwen2Config", dict(LLAMA, rope_parameters=rope("yarn", factor=4.0,
                                                                   original_max_position_embeddings=32))),
    "qwen3": ("Qwen3Config", dict(LLAMA, head_dim=12, rope_parameters=rope())),
    "gemma": ("GemmaConfig", dict(LLAMA, head_dim=10, num_key_value_heads=1, rope_parameters=rope())),
    "gemma2": ("Gemma2Config", dict(LLAMA, head_dim=10, num_hidden_layers=4, query_pre_attn_scalar=17, sliding_window=13,
                                    attn_logit_softcapping=3.0, final_logit_softcapping=5.0, rope_parameters=rope())),
    "gemma3": ("Gemma3TextConfig", dict(LLAMA, head_dim=10, num_hidden_layers=7, query_pre_attn_scalar=17,
                                        sliding_window=8, rope_parameters=dict(
                                            full_attention=rope("linear", 900.0, factor=8.0),
                                            sliding_attention=rope(theta=100.0)))),
    "gpt2": ("GPT2Config", dict(vocab_size=VOCABULARY, n_positions=96, n_embd=28, n_layer=3, n_head=4, n_inner=50,
                                layer_norm_epsilon=1e-3, bos_token_id=0, eos_token_id=0)),
    "gpt2-layer-scaled": ("GPT2Config", dict(vocab_size=VOCABULARY, n_positions=96, n_embd=28, n_layer=3, n_head=7,
                                             scale_attn_by_inverse_layer_idx=True, bos_token_id=0, eos_token_id=0)),
    "gpt-neo": ("GPTNeoConfig", dict(vocab_size=VOCABULARY, max_position_embeddings=96, hidden_size=28, num_layers=4,
                                     num_heads=4, attention_types=[[["global", "local"], 2]], window_size=10,
                                     layer_norm_epsilon=1e-3, bos_token_id=0, eos_token_id=0)),
    "gpt-neox": ("GPTNeoXConfig", dict(vocab_size=VOCABULARY, hidden_size=40, num_hidden_layers=3, num_attention_heads=4,
                                       intermediate_size=46, max_position_embeddings=96, layer_norm_eps=1e-3,
                                       rope_parameters=rope(partial_rotary_factor=0.4))),
    "gpt-neox-sequential": ("GPTNeoXConfig", dict(vocab_size=VOCABULARY, hidden_size=40, num_hidden_layers=3,
                                                  num_attention_heads=4, intermediate_size=46, use_parallel_residual=False,
                                                  max_position_embeddings=96, tie_word_embeddings=True,
                                                  rope_parameters=rope(partial_rotary_factor=0.8))),
}


def fill(model, offset):
    """Weights under which every part matters: outputs keep the scale of inputs, norms and biases are not trivial."""
    for name, p in model.named_parameters():
        if p.dim() == 1:
            gain = "norm" in name or "ln_" in name
            if gain and name.endswith("weight"):
                p.uniform_(0.6 - offset, 1.4 - offset)
            else:
                p.normal_(0, 0.2)
        elif "embed" in name or "wte" in name or "wpe" in name:
            p.normal_(0, 1.0)
        else:
            fan_in = p.shape[0] if name.split(".")[-2] in ("c_attn", "c_fc", "c_proj") and "Conv1D" in str(
                type(model.get_submodule(name.rsplit(".", 1)[0]))) else p.shape[1]
            p.normal_(0, 1.5 / fan_in ** 0.5)


def first(x):
    return x[0] if isinstance(x, (tuple, list)) else x


class Recorder:
    """Reads the modules of a model as gloss names their places."""

    def __init__(self, model):
        self.seen = {}
        body = getattr(model, "model", None) or getattr(model, "transformer", None) or model.gpt_neox
        layers = getattr(body, "layers", None)
        layers = body.h if layers is None else layers
        for i, layer in enumerate(layers):
            self.watch_layer(f"layers.{i}", layer)

    def output(self, module, name):
        module.register_forward_hook(lambda m, args, out: self.keep(name, first(out)))

    def input(self, module, name):
        module.register_forward_pre_hook(
            lambda m, args, kwargs: self.keep(name, args[0] if args else kwargs["hidden_states"]), with_kwargs=True)

    def keep(self, name, value):
        assert name not in self.seen, name
        self.seen[name] = value.detach().clone().contiguous()

    def watch_layer(self, name, layer):
        attention = next(m for n, m in layer.named_children() if "attn" in n or n == "attention")
        inner = getattr(attention, "attention", attention)
        mlp = layer.mlp
        out = next(getattr(inner, n) for n in ("o_proj", "c_proj", "out_proj", "dense") if hasattr(inner, n))
        down = next(getattr(mlp, n) for n in ("down_proj", "c_proj", "dense_4h_to_h") if hasattr(mlp, n))
        self.input(layer, f"{name}.input")
        self.output(layer, name)
        self.input(attention, f"{name}.attn.input")
        self.input(out, f"{name}.attn.heads")
        self.output(attention, f"{name}.attn")
        self.input(mlp, f"{name}.mlp.input")
        self.input(down, f"{name}.mlp.hidden")
        self.output(mlp, f"{name}.mlp")
        if hasattr(layer, "post_feedforward_layernorm"):
            self.output(layer.post_attention_layernorm, f"{name}.attn.added")
            self.output(layer.post_feedforward_layernorm, f"{name}.mlp.added")
            self.input(layer.pre_feedforward_layernorm, f"{name}.mid")
        elif not getattr(layer, "use_parallel_residual", False):
            norm = getattr(layer, "ln_2", None)
            self.input(layer.post_attention_layernorm if norm is None else norm, f"{name}.mid")


def make(name, config_class, fields):
    torch.manual_seed(sum(name.encode()))
    config = getattr(transformers, config_class)(**fields)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    offset = 1.0 if "Gemma" in config_class else 0.0
    with torch.no_grad():
        fill(model, offset)
        recorder = Recorder(model)
        tokens = torch.randint(VOCABULARY, (BATCH, LENGTH))
        logits = model(tokens, use_cache=False).logits
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    # Activations of a few positions, before and after the edge of a block of queries, keep the files small.
    positions = torch.tensor([0, 1, 2, 7, 13, 31, 62, 63, 64, 69])
    kept = {k: v[:, positions].contiguous() for k, v in recorder.seen.items()}
    save_file(dict(kept, tokens=tokens, positions=positions, logits=logits[:, positions].contiguous()),
              folder / "golden.safetensors")
    print(f"{name}: {len(recorder.seen)} hookpoints, {sum(f.stat().st_size for f in folder.iterdir()) / 1024:.0f} KiB")


def generate(name):
    """What `generate` makes of prompts of several lengths, with its own cache of keys and values."""
    folder = OUT / name
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None  # every text gets its full length
    model.generation_config.pad_token_id = 0
    torch.manual_seed(len(name))
    texts, lengths, narrowest = [], [], float("inf")
    while len(texts) < len(PROMPTS):
        prompt = torch.randint(1, VOCABULARY, (1, PROMPTS[len(texts)]))
        with torch.no_grad():
            out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_length=GENERATED,
                                 return_dict_in_generate=True, output_logits=True)
        best = torch.stack(out.logits)[:, 0].topk(2, dim=-1).values
        gap = (best[:, 0] - best[:, 1]).min().item()
        if gap < 1e-3:  # rounding could decide
            continue
        narrowest = min(narrowest, gap)
        assert out.sequences.shape == (1, GENERATED)
        texts.append(out.sequences[0])
        lengths.append(prompt.shape[1])
    save_file({"tokens": torch.stack(texts).to(torch.int32), "prompt_lengths": torch.tensor(lengths, dtype=torch.int32)},
              folder / "generated.safetensors")
    print(f"{name}: {len(texts)} texts of {GENERATED} tokens, narrowest choice {narrowest:.1e}")


def main():
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(FAMILIES)
    for name in chosen:
        if "--generate" not in sys.argv:
            make(name, *FAMILIES[name])
        generate(name)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")


if __name__ == "__main__":
    main()
