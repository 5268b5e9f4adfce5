#!/usr/bin/env python3
"""Makes a tiny BERT of sentence embeddings with random seeded weights, and what transformers computes with it.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors tokenizers
    venv/bin/python tests/golden/make_bert.py

Writes tests/golden/bert/: config.json and model.safetensors as save_pretrained leaves them, a WordPiece tokenizer.json of
`tokenizers`, and golden.safetensors: for text I of TEXTS its ids.I [T] i64, last_hidden_state.I [T, D], and embedding.I [D]:
the mean over all tokens, at unit norm, as sentence-transformers pools all-MiniLM-L6-v2. PROVENANCE.md says with which versions.
"""
import pathlib
import string

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import models, normalizers, pre_tokenizers, processors

OUT = pathlib.Path(__file__).resolve().parent / "bert"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "cat", "sat", "on", "a", "mat", "hello", "world", "un", "##believ", "##able", "##s", ".", ",", "!", "?", "'"]
TEXTS = ["The cat sat on a mat.", "Hello, w\u00f6rld! Unbelievable cats?", "", "x", "a zebra's \u4e16 mat " * 6]


def make_tokenizer():
    letters = list(string.ascii_lowercase + string.digits)
    pieces = SPECIAL + WORDS + [c for c in letters if c not in WORDS] + ["##" + c for c in letters if "##" + c not in WORDS]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])])
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer, len(pieces)


def main():
    OUT.mkdir(exist_ok=True)
    tokenizer, vocabulary = make_tokenizer()
    tokenizer.save(str(OUT / "tokenizer.json"), pretty=False)
    tokenizer.enable_truncation(50)  # the last text is longer
    torch.manual_seed(11)
    # Sizes of no power of two, so that a mixed-up shape does not fit.
    config = transformers.BertConfig(vocab_size=vocabulary, hidden_size=24, num_hidden_layers=3, num_attention_heads=4,
                                     intermediate_size=38, max_position_embeddings=50, layer_norm_eps=1e-5,
                                     initializer_range=0.3, attn_implementation="eager")
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
        model.save_pretrained(OUT)
        golden = {}
        for i, text in enumerate(TEXTS):
            ids = torch.tensor([tokenizer.encode(text).ids])
            state = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
            golden[f"ids.{i}"] = ids[0].contiguous()
            golden[f"last_hidden_state.{i}"] = state.contiguous()
            golden[f"embedding.{i}"] = torch.nn.functional.normalize(state.mean(0), dim=0).contiguous()
            print(i, ids.shape[1])
    save_file(golden, OUT / "golden.safetensors")
    print("transformers", transformers.__version__, "torch", torch.__version__, "tokenizers", tokenizers.__version__)


if __name__ == "__main__":
    main()
