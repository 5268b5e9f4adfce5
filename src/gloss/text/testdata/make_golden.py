#!/usr/bin/env python3
"""Makes the small tokenizers of this folder and the ids that the Hugging Face package gives for hostile texts.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 xxhash
    venv/bin/python make_golden.py [FOLDER-WITH-DATA]

Without an argument: byte_level.json, byte_fallback.json and the vectors of both. With the folder that holds `tokenizers`
and `text` (data that is not part of the project): reference_hashes.json as well. Nothing here is random.
"""
import gzip
import json
import pathlib
import subprocess
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent

# A text of our own to learn from: some languages, some code.
TEXT = [
    "The lighthouse keeper counts the ships that pass in the night, and the ships count the flashes of the lighthouse.",
    "She said that the weather would hold until Thursday, but the sailors' knees said otherwise; they were right.",
    "There are 12 boats, 365 days and 1,024 ropes in the harbour. The 3rd boat isn't ours, we'll take the 7th.",
    "Der Leuchtturmwärter zählt die Schiffe, und die Schiffe zählen die Blitze. Schöne Grüße aus Köln!",
    "Le gardien du phare compte les navires; les navires comptent les éclats. Où est-il allé, à l'été dernier?",
    "El farero cuenta los barcos. ¿Cuántos barcos hay? Mañana habrá más, señor.",
    "Смотритель маяка считает корабли, а корабли считают вспышки маяка.",
    "灯台守は船を数え、船は光を数える。 夜の海は静かだ。",
    "등대지기는 배를 세고 배는 불빛을 센다.",
    "for (int i = 0; i < n; ++i) {\n    total += ships[i].count();\n}\nreturn total;\n",
    "def count(ships):\n\t\"\"\"How many ships are there?\"\"\"\n\treturn sum(1 for ship in ships if ship is not None)\n",
    "https://example.org/ships?page=2&sort=name  <a href=\"#top\">top</a>   \n\n\n    indented\n",
] * 4

TEXTS = [
    "", " ", "  ", "   a", "a", " a", "a ", "\n", "\n\n\n", "\r\n\r\n x", "\t\tx", "a\n \n  b",
    "The ships count the flashes.", "the THE The tHE", "don't won't I'll we've it's 'S 'LL 'RE she'd", "\u2019s '\u017f",
    "0 1 12 123 1234 12345678 3.14159 1,024 \u0661\u0662\u0663 \u00b2\u00bd \u2167", "a1b2c3 x_y_z __init__ CamelCaseWord",
    "Köln Ko\u0308ln na\u00efve nai\u0308ve \u1e9b\u0323 \uac00 \u1100\u1161\u11a8", "\u0301\u0300 starts with marks",
    "灯台守は船を数え、船は光を数える。", "등대지기는 배를 세고", "Смотритель маяка", "שומר המגדלור", "حارس المنارة يعدّ السفن",
    "ผู้ดูแลประภาคาร", "दीपस्तंभ का रखवाला", "\U00020000\U0002a6d6 \U00031350\U0002ebf0 rare Han",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467\U0001f3fd \U0001f1e9\U0001f1ea", "\u00a0\u1680\u180e\u2003\u2028\u2029\u202f\u3000x\ufeff",
    "\x00\x01\x1f\x7f\x80\x9f", "zero\u200bwidth\u200djoin\u2060er", "!!! ... ?!?! --- ***bold*** `code` ~~~", "$100 €5 £3 ¥7 50% #tag @you",
    "for (int i = 0; i < n; ++i) {\n    total += ships[i].count();\n}\n", "def f(x):\n\treturn x  # comment   \n\n\n",
    "<s>hello</s>", "<s> hello </s> <unk><unk>", "a<pad>b <pad> c", "x <mask> y<mask>z  <mask>\t\n w", "one [SEP]two[SEP] [SEP]",
    "[sep] [SEP]s s[SEP] _[SEP]_ é[SEP]", "word<|word|> <|word|>word <|word|>", "<|word|>", "<0x41><0x0A> <0xE2><0x96><0x81>",
    "\u2581\u2581the \u2581", "\u0120the\u010a \u0100", "ends with spaces   ", "https://example.org/ships?page=2&sort=name",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "the" * 60, " " * 100 + "x" + "\n" * 70, "\ufffd\ufffd \U0010ffff\ue000", "\u0378\u0897\u1c89\U00010d40\U00011de0 unassigned once",
]


def added(name, **flags):
    return AddedToken(name, **flags)


def byte_level():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.normalizer = normalizers.NFC()
    words = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(words), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=440, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>"]))
    t.add_tokens([added("<mask>", lstrip=True, rstrip=False, normalized=True),
                  added("[SEP]", single_word=True, normalized=False),
                  added("  ", normalized=True), added("<pad>", rstrip=True, normalized=False, special=True)])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", t.token_to_id("<s>"))])])
    return t


def byte_fallback():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Split(Regex("(?<=[^▁])▁"), behavior="merged_with_next")  # while learning only
    t.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=500, show_progress=False, limit_alphabet=100,
        special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]))
    t.pre_tokenizer = None
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    t.add_tokens([added("<|word|>", single_word=True, lstrip=True, rstrip=True, normalized=False, special=True),
                  added("<pad>", normalized=True)])
    made = json.loads(t.to_str())  # the bytes are ordinary pieces, not added tokens
    made["added_tokens"] = [a for a in made["added_tokens"] if not a["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(made))


def vectors(t):
    rows = []
    for text in TEXTS:
        ids = t.encode(text, add_special_tokens=False).ids
        rows.append({"text": text, "ids": ids, "decoded": t.decode(ids, skip_special_tokens=False),
                     "decoded_without_special": t.decode(ids, skip_special_tokens=True)})
    return rows


def write(name, value):
    rows = ",\n".join(json.dumps(v, separators=(",", ":")) for v in value)
    (HERE / name).write_text("[\n" + rows + "\n]\n")


FILES = ["HumanEval.jsonl.gz", "canterbury/alice29.txt.gz", "hostile/blns.txt", "hostile/utf8tests.txt",
         "hostile/utf8_sequence_0-0xfff_assigned_including-unprintable-asis_unseparated.txt", "multilingual/udhr-arb.html",
         "multilingual/udhr-cmn_hans.html", "multilingual/udhr-heb.html", "multilingual/udhr-hin.html",
         "multilingual/udhr-jpn.html", "multilingual/udhr-kor.html", "multilingual/udhr-rus.html",
         "multilingual/udhr-tam.html", "multilingual/udhr-tha.html", "multilingual/udhr-vie.html",
         "wagahaiwa_nekodearu.txt.gz", "wikitext-2/valid.txt.gz"]
TOKENIZERS = ["falcon/tokenizer.json.zst", "gpt-neox/20B_tokenizer.json", "gpt2/tokenizer.json", "phi-2/tokenizer.json.zst",
              "phi-3/tokenizer.json", "roberta-base/tokenizer.json.zst"]


def reference_hashes(data):
    """XXH3-128 of the ids, as u32 little-endian, of each whole file."""
    import numpy
    import xxhash
    result = {}
    for name in TOKENIZERS:
        raw = (data / "tokenizers" / name).read_bytes()
        if name.endswith(".zst"):
            raw = subprocess.run(["zstd", "-dc"], input=raw, stdout=subprocess.PIPE, check=True).stdout
        t = Tokenizer.from_str(raw.decode())
        t.no_truncation()
        t.no_padding()
        result[name] = {}
        for file in FILES:
            text = (data / "text" / file).read_bytes()
            text = (gzip.decompress(text) if file.endswith(".gz") else text).decode()
            ids = numpy.array(t.encode(text, add_special_tokens=False).ids, dtype="<u4")
            result[name][file] = {"tokens": len(ids), "xxh3_128": xxhash.xxh3_128_hexdigest(ids.tobytes())}
    (HERE / "reference_hashes.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


def main():
    for name, make in (("byte_level", byte_level), ("byte_fallback", byte_fallback)):
        t = make()
        (HERE / f"{name}.json").write_text(t.to_str(pretty=False) + "\n")
        write(f"{name}_vectors.json", vectors(t))
        print(name, t.get_vocab_size(), "tokens,", len(TEXTS), "texts, tokenizers", tokenizers.__version__)
    if len(sys.argv) > 1:
        reference_hashes(pathlib.Path(sys.argv[1]))


if __name__ == "__main__":
    main()
