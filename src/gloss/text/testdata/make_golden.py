#!/usr/bin/env python3
"""Makes the small tokenizers of this folder and the ids that the Hugging Face package gives for hostile texts.

    python3 -m venv venv
    venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 tiktoken==0.14.0 xxhash numpy
    venv/bin/python make_golden.py [FOLDER-WITH-DATA]

Without an argument: the small tokenizers of this folder, their vectors, and components.json. With the folder that holds
`tokenizers` and `text` (data that is not part of the project): reference_hashes.json as well. A tokenizer that is there is
kept: learning one anew may order equal candidates otherwise.
"""
import base64
import gzip
import io
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


# Marks, cases and compatibility characters that versions of Unicode and of Rust disagree about.
MARKS = ["e\u0301 a\u0323\u0307 \u1734 \u1cf2 \u0898 \u08e2 \U00011c30 \U0001e000", "ÀÉÎ ß İI \u1e9e Σας ΑΣ \ua7cb\ua7dc \U00010d50",
         "ﬁ ² ½ ㎏ ｶﾞ \u32ff \U0001e030 \uab69 \u00ad\u200b\u2060", "\r\n\u0301 a\u0301b \u00e9\u0323 \u1100\u1161 \u0915\u094d\u0937 \u0600a",
         "ａ\u0301ｂｃ\u3000ＤＥ ①②\t™\x1eg", "東京tower 第1章 ᄀ 中", "\x85\u0085 \ufffd\ue000\U000f0000 \u0378"]


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


def unigram():
    """Of T5's kind: SentencePiece's table of characters, spaces as marks, </s> behind."""
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Precompiled(charsmap())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                               pre_tokenizers.Metaspace("▁", prepend_scheme="always")])
    t.decoder = decoders.Metaspace("▁", prepend_scheme="always")
    t.train_from_iterator(TEXT, trainers.UnigramTrainer(
        vocab_size=400, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz")))
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                     special_tokens=[("</s>", t.token_to_id("</s>"))])
    return t


def word_piece():
    """Of BERT's kind."""
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(TEXT, trainers.WordPieceTrainer(
        vocab_size=400, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return t


def word_level():
    t = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "ships": 2, ",": 3, "count": 4, "12": 5, "!": 6}, unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.add_special_tokens(["<s>", "</s>"])
    t.post_processor = processors.RobertaProcessing(("</s>", 8), ("<s>", 7))
    return t


def affixes():
    """BPE with marks inside words and at their end, as GPT-1 and its kin have it."""
    t = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="@", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    t.decoder = decoders.BPEDecoder("</w>")
    t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=400, show_progress=False, special_tokens=["<unk>"],
                                                    continuing_subword_prefix="@", end_of_word_suffix="</w>"))
    return t


# A table of characters of our own: the tables that SentencePiece brings have 240 KB.
RULES = {"ﬁ": "fi", "²": "2", "½": "1/2", "ａ": "a", "Ｄ": "D", "Ｅ": "E", "①": "1", "™": "TM", "e\u0301": "é", "o\u0308": "ö",
         "a\u0323\u0307": "ạ̇", "\u0301": "'", "\u1100\u1161": "가", "\u3000": " ", "\t": " ", "\n": " ", "\u00a0": " ", "\u00ad": "",
         "İ": "i\u0307", "中": "<middle>", "\U0001f600": ":)", "\u2581": " "}


def spm_bytes(kind="unigram", rules=RULES, **options):
    import sentencepiece
    import tempfile
    out = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as tsv:
        for source, target in (rules or {}).items():
            tsv.write(" ".join("%X" % ord(c) for c in source) + "\t" + " ".join("%X" % ord(c) for c in target) + "\n")
        tsv.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([line for text in TEXT for line in text.splitlines() if line.strip()]),
            model_writer=out, model_type=kind, minloglevel=2, num_threads=1,
            **(dict(normalization_rule_tsv=tsv.name) if rules else dict(normalization_rule_name="identity")), **options)
    from sentencepiece import sentencepiece_model_pb2
    made = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
    made.normalizer_spec.normalization_rule_tsv = ""
    return made.SerializeToString(deterministic=True)


def charsmap():
    from sentencepiece import sentencepiece_model_pb2
    made = sentencepiece_model_pb2.ModelProto.FromString(spm_bytes(vocab_size=200))
    return made.normalizer_spec.precompiled_charsmap


def vectors(t):
    rows = []
    for text in TEXTS:
        ids = t.encode(text, add_special_tokens=False).ids
        rows.append({"text": text, "ids": ids, "with_special": t.encode(text).ids,
                     "decoded": t.decode(ids, skip_special_tokens=False),
                     "decoded_without_special": t.decode(ids, skip_special_tokens=True)})
    return rows


def write(name, value):
    rows = ",\n".join(json.dumps(v, separators=(",", ":")) for v in value)
    (HERE / name).write_text("[\n" + rows + "\n]\n")


def plain_vectors(encode, decode):
    rows = []
    for text in TEXTS:
        if any(name in text for name in ("<s>", "</s>", "<unk>", "<0x", "<|")):  # the makers' packages find no special tokens
            continue
        ids = encode(text)
        rows.append({"text": text, "ids": ids, "decoded": decode(ids)})
    return rows


def sentencepiece_models():
    import sentencepiece
    kinds = {"spm_unigram": dict(vocab_size=220),
             "spm_bpe": dict(kind="bpe", rules=None, vocab_size=600, byte_fallback=True, remove_extra_whitespaces=False,
                             split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.98,
                             user_defined_symbols=["ships!"])}
    for name, options in kinds.items():
        file = HERE / f"{name}.model"
        if not file.exists():
            file.write_bytes(spm_bytes(**options))
        data = file.read_bytes()
        s = sentencepiece.SentencePieceProcessor(model_proto=data)
        write(f"{name}_vectors.json", plain_vectors(s.encode, lambda ids: s.decode(ids).replace(" \u2047 ", "<unk>")))


def tiktoken_ranks():
    """The bytes and some of the byte-level tokenizer's merges, in another order."""
    import tiktoken
    made = json.loads((HERE / "byte_level.json").read_text())["model"]["vocab"]
    of_character = {c: b for b, c in bytes_to_unicode().items()}
    tokens = [bytes(of_character[c] for c in token) for token in made if all(c in of_character for c in token)]
    tokens = sorted(tokens, key=lambda t: (len(t) > 1, len(t), t))
    ranks = {token: i for i, token in enumerate(tokens)}
    (HERE / "ranks.tiktoken").write_text("".join(f"{base64.b64encode(t).decode()} {r}\n" for t, r in ranks.items()))
    words = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    e = tiktoken.Encoding("small", pat_str=words, mergeable_ranks=ranks, special_tokens={})
    write("ranks_vectors.json", plain_vectors(e.encode_ordinary, e.decode))


def bytes_to_unicode():
    own = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    others = [b for b in range(256) if b not in own]
    return {b: chr(b) for b in own} | {b: chr(0x100 + i) for i, b in enumerate(others)}


def components():
    """What each normalizer, pre-tokenizer and decoder makes of texts."""
    n, p, d = normalizers, pre_tokenizers, decoders
    made = {"normalizer": [], "pre_tokenizer": [], "decoder": []}
    for x in (n.NFC(), n.NFD(), n.NFKC(), n.NFKD(), n.Lowercase(), n.StripAccents(), n.Nmt(), n.ByteLevel(), n.Strip(),
              n.Strip(left=False), n.Strip(right=False), n.Prepend("▁"), n.Replace("the", "THE"),
              n.Replace(Regex(r"\s{2,}"), "_"), n.BertNormalizer(), n.BertNormalizer(strip_accents=False),
              n.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
              n.Precompiled(charsmap()), n.Sequence([n.NFKD(), n.StripAccents(), n.Lowercase()])):
        made["normalizer"].append({"config": part_of("normalizer", x),
                                   "rows": [[t, x.normalize_str(t)] for t in TEXTS + MARKS if x.normalize_str(t) != t]})
    for x in (p.ByteLevel(), p.ByteLevel(add_prefix_space=False, use_regex=False), p.Whitespace(), p.WhitespaceSplit(),
              p.BertPreTokenizer(), p.Digits(), p.Digits(individual_digits=True), p.Punctuation(),
              p.Punctuation(behavior="contiguous"), p.Punctuation(behavior="removed"), p.CharDelimiterSplit("s"), p.Metaspace(),
              p.Metaspace(prepend_scheme="never"), p.Metaspace(prepend_scheme="first", split=False),
              p.Split(" ", "merged_with_previous"), p.Split(Regex(r"\w+"), "isolated", invert=True),
              p.Sequence([p.WhitespaceSplit(), p.Digits(), p.Punctuation(behavior="merged_with_next")])):
        made["pre_tokenizer"].append({"config": part_of("pre_tokenizer", x),
                                      "rows": [[t, [piece for piece, _ in x.pre_tokenize_str(t)]] for t in TEXTS]})
    rows = [["the", "▁ship", "##s", "<0x41>", "<0xE2>", "<0x82>", "s</w>", "!"], ["a", ".", "do", "n't", " '", "s", "do not"],
            ["▁▁x", "▁", "y▁", "##"], ["<0xE2>", "<0x82>", "<0xAC>", "Ġa", "Ċ", "é"], ["</w>", "x</w>y", "</w>"], ["##a", "##b"]]
    for x in (d.ByteLevel(), d.WordPiece(), d.WordPiece(prefix="▁", cleanup=False), d.Metaspace(),
              d.Metaspace(prepend_scheme="never"), d.BPEDecoder(), d.ByteFallback(), d.Fuse(), d.Strip("▁", 1, 0), d.Strip("!", 0, 1),
              d.Replace("▁", " "), d.Replace(Regex("#+"), "_"),
              d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])):
        made["decoder"].append({"config": part_of("decoder", x), "rows": [[row, x.decode(row)] for row in rows]})
    text = {kind: [json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in list_] for kind, list_ in made.items()}
    (HERE / "components.json").write_text(
        "{\n" + ",\n".join(f'"{kind}": [\n' + ",\n".join(rows) + "\n]" for kind, rows in text.items()) + "\n}\n")


def part_of(kind, component):
    t = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    setattr(t, kind, component)
    return json.loads(t.to_str())[kind]


FILES = ["HumanEval.jsonl.gz", "canterbury/alice29.txt.gz", "hostile/blns.txt", "hostile/utf8tests.txt",
         "hostile/utf8_sequence_0-0xfff_assigned_including-unprintable-asis_unseparated.txt", "multilingual/udhr-arb.html",
         "multilingual/udhr-cmn_hans.html", "multilingual/udhr-heb.html", "multilingual/udhr-hin.html",
         "multilingual/udhr-jpn.html", "multilingual/udhr-kor.html", "multilingual/udhr-rus.html",
         "multilingual/udhr-tam.html", "multilingual/udhr-tha.html", "multilingual/udhr-vie.html",
         "wagahaiwa_nekodearu.txt.gz", "wikitext-2/valid.txt.gz"]
TOKENIZERS = ["all-MiniLM-L6-v2/tokenizer.json", "bert-base-uncased/tokenizer.json", "t5-small/tokenizer.json",
              "falcon/tokenizer.json.zst", "gpt-neox/20B_tokenizer.json", "gpt2/tokenizer.json", "phi-2/tokenizer.json.zst",
              "phi-3/tokenizer.json", "roberta-base/tokenizer.json.zst"]


# Of other makers' packages, which find no special tokens in a text.
OTHERS = ["llama-2/tokenizer.model", "mistral/tokenizer.model.v1", "mistral/mistral_instruct_tokenizer_240323.model.v3",
          "sentencepiece-unigram/test_model.model", "t5-small/t5_tokenizer_base.model", "llama-3/tokenizer.model",
          "qwen/qwen.tiktoken"]
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<|endoftext|>"]


def encoder(path):
    if path.suffix == ".tiktoken" or "llama-3" in str(path):
        import tiktoken
        import unicodedata
        from tiktoken.load import load_tiktoken_bpe
        digits = "" if path.suffix == ".tiktoken" else "{1,3}"
        words = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + digits +
                 r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
        e = tiktoken.Encoding("ranks", pat_str=words, mergeable_ranks=load_tiktoken_bpe(str(path)), special_tokens={})
        return lambda text: e.encode_ordinary(text if digits else unicodedata.normalize("NFC", text))
    import sentencepiece
    return sentencepiece.SentencePieceProcessor(model_file=str(path)).encode


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
    for name in OTHERS:
        encode = encoder(data / "tokenizers" / name)
        result[name] = {}
        for file in FILES:
            text = (data / "text" / file).read_bytes()
            text = (gzip.decompress(text) if file.endswith(".gz") else text).decode()
            if not any(special in text for special in SPECIAL):
                ids = numpy.array(encode(text), dtype="<u4")
                result[name][file] = {"tokens": len(ids), "xxh3_128": xxhash.xxh3_128_hexdigest(ids.tobytes())}
    (HERE / "reference_hashes.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


def main():
    for make in (byte_level, byte_fallback, unigram, word_piece, word_level, affixes):
        name = make.__name__
        file = HERE / f"{name}.json"
        if not file.exists():
            file.write_text(make().to_str(pretty=False) + "\n")
        t = Tokenizer.from_file(str(file))
        write(f"{name}_vectors.json", vectors(t))
        print(name, t.get_vocab_size(), "tokens,", len(TEXTS), "texts, tokenizers", tokenizers.__version__)
    sentencepiece_models()
    tiktoken_ranks()
    components()
    if len(sys.argv) > 1:
        reference_hashes(pathlib.Path(sys.argv[1]))


if __name__ == "__main__":
    main()
