#!/usr/bin/env python3
"""Which planted patterns has the coder a latent for?

For every pattern of patterns.json: the tokens at which a latent for it should fire (its pivots), and the latent of a cached run
whose firings match them best by F1, with its explanation. Python's standard library only.

    python3 small-model/match_patterns.py runs/demo [HOOKPOINT]
"""
import array
import json
import re
import sqlite3
import struct
import sys
from pathlib import Path


EXPLANATION = """
SELECT e.text FROM explanation e JOIN name h ON h.id = e.hookpoint JOIN name x ON x.id = e.explainer
WHERE h.text = ? AND e.latent = ? AND x.text = 'pattern'"""


def read_safetensors(path: Path) -> dict[str, array.array]:
    """Tensors of a safetensors file as flat arrays; F16 as raw u16."""
    codes = {"U32": "I", "U64": "Q", "F32": "f", "F64": "d", "F16": "H"}
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    tensors: dict = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = array.array(codes[entry["dtype"]], data[begin:end])
        tensors[name + ".shape"] = entry["shape"]
    return tensors


def byte_level_alphabet() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


def token_texts(tokenizer: Path) -> list[str]:
    """What each token id stands for; special tokens as a newline, so that no pattern runs over them."""
    spec = json.loads(tokenizer.read_text())
    alphabet = byte_level_alphabet()
    texts = [""] * (max(spec["model"]["vocab"].values()) + 1)
    for piece, index in spec["model"]["vocab"].items():
        texts[index] = bytes(alphabet[c] for c in piece if c in alphabet).decode("latin-1")
    for added in spec["added_tokens"]:
        texts[added["id"]] = "\n"
    return texts


def pivots(tokens: array.array, ctx_len: int, texts: list[str], regex: str) -> set[int]:
    """Positions of the tokens that overlap a pivot in more than their leading space."""
    pattern = re.compile(regex)
    found = set()
    for first in range(0, len(tokens), ctx_len):
        starts, ends, text = [], [], ""
        for token in tokens[first : first + ctx_len]:
            piece = texts[token]
            starts.append(len(text) + (len(piece) - len(piece.lstrip(" "))))
            text += piece
            ends.append(len(text))
        for match in pattern.finditer(text):
            begin, end = match.span("pivot")
            found.update(first + i for i in range(len(starts)) if starts[i] < end and ends[i] > begin)
    return found


def best_latent(index: dict, wanted: set[int]) -> tuple[float, int, float, float]:
    """(F1, latent, precision, recall) of the latent whose firings match the wanted positions best."""
    offsets, positions = index["offsets"], index["positions"]
    best = (0.0, -1, 0.0, 0.0)
    for latent in range(len(offsets) - 1):
        n = offsets[latent + 1] - offsets[latent]
        if n == 0:
            continue
        hits = sum(1 for p in positions[offsets[latent] : offsets[latent + 1]] if p in wanted)
        f1 = 2 * hits / (n + len(wanted))
        if f1 > best[0]:
            best = (f1, latent, hits / n, hits / len(wanted))
    return best


def main() -> None:
    run = Path(sys.argv[1])
    hookpoint = sys.argv[2] if len(sys.argv) > 2 else "layers.2"
    tensors = read_safetensors(run / "tokens.safetensors")
    tokens, ctx_len = tensors["tokens"], tensors["tokens.shape"][1]
    texts = token_texts(run / "tokenizer.json")
    index = read_safetensors(run / "latents" / hookpoint / "index.safetensors")
    store = sqlite3.connect(f"file:{run / 'results.db'}?mode=ro", uri=True)
    for pattern in json.loads((Path(__file__).parent / "patterns.json").read_text()):
        wanted = pivots(tokens, ctx_len, texts, pattern["pivot_regex"])
        if not wanted:
            print(f"{pattern['name']}: not in this text")
            continue
        f1, latent, precision, recall = best_latent(index, wanted)
        row = store.execute(EXPLANATION, (hookpoint, latent)).fetchone()
        print(f"{pattern['name']}: {len(wanted)} tokens; latent {latent}: F1 {f1:.2f}, precision {precision:.2f}, "
              f"recall {recall:.2f}\n    {row[0] if row else '(not explained)'}")


if __name__ == "__main__":
    main()
