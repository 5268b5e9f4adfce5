#!/usr/bin/env python3
"""gloss against the reference implementations, line by line: ids, decoded text, speed.

    cmake -B build/dev --preset dev && cmake --build build/dev --target tokenize_lines
    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 tiktoken==0.14.0
    venv/bin/python bench/compare_tokenizers.py build/dev/bench/tokenize_lines DATA [NAME ...] [--threads N]

DATA holds `tokenizers` and `text` (data that is not part of the project). References: `tokenizers` for tokenizer.json;
for other files the package of their makers, which finds no special tokens in a text: for those, their names are spelled
otherwise in the text. Prints a Markdown table.
"""
import argparse
import gzip
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# name: (file in DATA/tokenizers, reference)
CASES = {
    "GPT-2": ("gpt2/tokenizer.json", "tokenizers"),
    "GPT-2, encoder.json": ("gpt2/encoder.json", "tokenizers:gpt2/tokenizer.json"),
    "GPT-NeoX": ("gpt-neox/20B_tokenizer.json", "tokenizers"),
    "Falcon": ("falcon/tokenizer.json.zst", "tokenizers"),
    "Phi-2": ("phi-2/tokenizer.json.zst", "tokenizers"),
    "RoBERTa": ("roberta-base/tokenizer.json.zst", "tokenizers"),
    "Phi-3": ("phi-3/tokenizer.json", "tokenizers"),
    "Llama 2, tokenizer.model": ("llama-2/tokenizer.model", "sentencepiece"),
    "Mistral v1, tokenizer.model": ("mistral/tokenizer.model.v1", "sentencepiece"),
    "Mistral v3, tokenizer.model": ("mistral/mistral_instruct_tokenizer_240323.model.v3", "sentencepiece"),
    "Llama 3, ranks": ("llama-3/tokenizer.model", "tiktoken"),
    "Qwen, ranks": ("qwen/qwen.tiktoken", "tiktoken"),
    "BERT": ("bert-base-uncased/tokenizer.json", "tokenizers"),
    "BERT, vocab.txt": ("bert-base-uncased/vocab.txt", "tokenizers:bert-base-uncased/tokenizer.json"),
    "MiniLM": ("all-MiniLM-L6-v2/tokenizer.json", "tokenizers"),
    "T5": ("t5-small/tokenizer.json", "tokenizers"),
    "T5, spiece.model": ("t5-small/t5_tokenizer_base.model", "sentencepiece"),
    "T5, spiece.model as transformers converts it": ("t5-small/t5_tokenizer_base.model", "transformers"),
    "Unigram, test_model.model": ("sentencepiece-unigram/test_model.model", "sentencepiece"),
}


def unpacked(path):
    raw = path.read_bytes()
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc"], input=raw, stdout=subprocess.PIPE, check=True).stdout
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def lines_of(data):
    lines = data.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def reference(kind, path, tokenizers_folder):
    """encode(list of str) -> list of ids, decode(ids) -> str or None where it cannot be compared."""
    if kind.startswith("tokenizers"):
        import tokenizers
        if ":" in kind:
            path = tokenizers_folder / kind.split(":")[1]
        t = tokenizers.Tokenizer.from_str(unpacked(path).decode())
        t.no_truncation()
        t.no_padding()
        return (lambda lines: [e.ids for e in t.encode_batch_fast(lines, add_special_tokens=False)],
                lambda ids: t.decode(ids, skip_special_tokens=False))
    if kind == "sentencepiece":
        import sentencepiece
        s = sentencepiece.SentencePieceProcessor(model_file=str(path))
        # the package writes unknown pieces its own way
        return (lambda lines: s.encode(lines, num_threads=ARGS.threads),
                lambda ids: s.decode(ids).replace(" \u2047 ", "<unk>"))
    if kind == "transformers":
        from transformers.convert_slow_tokenizer import SpmConverter
        class Slow:
            vocab_file, add_prefix_space, legacy = str(path), True, True
        t = SpmConverter(Slow()).converted()
        return (lambda lines: [e.ids for e in t.encode_batch_fast(lines, add_special_tokens=False)],
                lambda ids: t.decode(ids, skip_special_tokens=False))
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe
    qwen = path.name == "qwen.tiktoken"
    e = tiktoken.Encoding("ranks", pat_str=QWEN if qwen else LLAMA3, mergeable_ranks=load_tiktoken_bpe(str(path)),
                          special_tokens={})
    nfc = (lambda s: unicodedata.normalize("NFC", s)) if qwen else (lambda s: s)
    return (lambda lines: e.encode_ordinary_batch([nfc(s) for s in lines], num_threads=ARGS.threads), e.decode)


def read_rows(path, of_ids):
    data = path.read_bytes()
    at, rows = 0, []
    while at < len(data):
        n = struct.unpack_from("<I", data, at)[0]
        at += 4
        size = n * 4 if of_ids else n
        rows.append(list(struct.unpack_from("<%dI" % n, data, at)) if of_ids else data[at:at + size].decode())
        at += size
    return rows


SPECIAL = [b"<unk>", b"<s>", b"</s>", b"<pad>", b"<|endoftext|>", b"<|begin_of_text|>", b"[INST]"]


def without_special(text, work):
    data = text.read_bytes()
    for name in SPECIAL:
        data = data.replace(name, name[:-1] + b" " + name[-1:])
    (work / "plain").write_bytes(data)
    return work / "plain"


def compare(name, text, work):
    file, kind = CASES[name]
    if not kind.startswith("tokenizers"):
        text = without_special(text, work)
    path = ARGS.data / "tokenizers" / file
    ours = path
    if path.suffix == ".zst":
        ours = work / path.stem
        ours.write_bytes(unpacked(path))
    if path.suffix.startswith(".v"):  # tokenizer.model.v1
        ours = work / "tokenizer.model"
        shutil.copy(path, ours)
    run = subprocess.run([ARGS.program, ours, text, work / "out", str(ARGS.threads)], stdout=subprocess.PIPE, check=True)
    size, seconds = run.stdout.decode().split()
    ids, decoded = read_rows(work / "out.ids", True), read_rows(work / "out.text", False)
    lines = [line.decode(errors="replace") for line in lines_of(text.read_bytes())]
    encode, decode = reference(kind, path, ARGS.data / "tokenizers")
    start = time.perf_counter()
    wanted = encode(lines)
    theirs = time.perf_counter() - start
    other_ids = [i for i in range(len(lines)) if ids[i] != wanted[i]]
    differing = sum(sum(a != b for a, b in zip(ids[i], wanted[i])) + abs(len(ids[i]) - len(wanted[i])) for i in other_ids)
    other_text = [i for i in range(len(lines)) if decoded[i] != decode(wanted[i])]
    for i in (other_ids + other_text)[:ARGS.show]:
        print(f"{name}: {lines[i]!r}\n  ours   {ids[i]} {decoded[i]!r}\n  theirs {wanted[i]} {decode(wanted[i])!r}",
              file=sys.stderr)
    mb = int(size) / 1e6
    print(f"| {name} | {kind.split(':')[0]} | {mb:.2f} | {sum(map(len, wanted))} | {differing} in {len(other_ids)} lines | "
          f"{len(other_text)} | {mb / float(seconds):.1f} | {mb / theirs:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--show", type=int, default=3, help="differing lines to show of each")
    global ARGS
    ARGS = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        text = work / "text"
        with text.open("wb") as out:
            for path in sorted((ARGS.data / "text").rglob("*")):
                if path.is_file() and path.suffix not in (".zip", ".md"):
                    out.write(unpacked(path).rstrip(b"\n") + b"\n")
        print("| tokenizer | reference | MB | ids | differing ids | lines decoded otherwise | MB/s | MB/s of the reference |")
        print("|---|---|---|---|---|---|---|---|")
        for name in ARGS.names or CASES:
            compare(name, text, work)


if __name__ == "__main__":
    main()
