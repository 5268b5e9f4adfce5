"""gloss judges by way of llama.cpp's servers, with a tiny model made for it: the project's small model as GGUF.

    CMAKE_ARGS=-DGGML_NATIVE=OFF pip install 'llama-cpp-python[server]==0.3.36' xllamacpp==2026.10.11549 gguf==0.19.0 \\
        safetensors numpy
    python tests/interop/llama_server.py [GLOSS]

Of llama-server (the package xllamacpp has it inside): in chat, answers are held to a schema; texts are compared by
embeddings. Of llama-cpp-python, which repeats prompts: texts given to read are compared with what the native engine says
of them, window by window. Without these packages it says so and ends with 0.
"""
import contextlib
import importlib.util
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GLOSS = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/gloss"
SMALL = ROOT / "small-model"
LATENTS = 3
WINDOW = 32
CONTEXT = 4096
END_OF_TEXT = 0
FAILED = 2  # verdict
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}assistant:"
LAYER = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def write_hf(folder, begins_texts):
    """The small model with room for prompts, perhaps with a token that begins every text."""
    shutil.copytree(SMALL / "model", folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = CONTEXT
    (folder / "config.json").write_text(json.dumps(config))
    if begins_texts:
        path = folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        token = tokenizer["added_tokens"][0]
        special = {"id": token["content"], "ids": [token["id"]], "tokens": [token["content"]]}
        piece = [{"SpecialToken": {"id": token["content"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        tokenizer["post_processor"] = {"type": "TemplateProcessing", "single": piece,
                                       "pair": piece + [{"Sequence": {"id": "B", "type_id": 1}}],
                                       "special_tokens": {token["content"]: special}}
        path.write_text(json.dumps(tokenizer))


def halves_to_pairs(weight, heads):
    """[heads * d, D]: rows from rotary halves, as Hugging Face keeps them, to llama.cpp's pairs."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(hf, path, begins_texts):
    import gguf
    import numpy
    from safetensors.numpy import load_file

    config = json.loads((hf / "config.json").read_text())
    tensors = load_file(hf / "model.safetensors")
    tokenizer = json.loads((hf / "tokenizer.json").read_text())
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(config["vocab_size"])
    tokens = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {t["content"] for t in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(begins_texts)
    writer.add_chat_template(PLAIN)
    take = lambda name: numpy.ascontiguousarray(tensors[name], dtype=numpy.float32)
    writer.add_tensor("token_embd.weight", take("model.embed_tokens.weight"))
    writer.add_tensor("output_norm.weight", take("model.norm.weight"))
    for layer in range(config["num_hidden_layers"]):
        for name, theirs in LAYER.items():
            weight = take(f"model.layers.{layer}.{theirs}.weight")
            if name in ("attn_q", "attn_k"):
                weight = numpy.ascontiguousarray(halves_to_pairs(weight, heads if name == "attn_q" else kv_heads))
            writer.add_tensor(f"blk.{layer}.{name}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


LLAMA_SERVER = """
import sys, time, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.port, p.n_ctx, p.n_parallel, p.n_gpu_layers = sys.argv[1], int(sys.argv[2]), 2 * int(sys.argv[3]), 2, 0
p.embedding = sys.argv[4] == "embedding"
if p.embedding:
    p.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(p)
while True:
    time.sleep(60)
"""


def llama_server(what):
    """llama.cpp's own server; what: chat or embedding"""
    return lambda model, port: [sys.executable, "-c", LLAMA_SERVER, model, port, str(CONTEXT), what]


def llama_cpp_python(model, port):
    return [sys.executable, "-m", "llama_cpp.server", "--model", model, "--host", "127.0.0.1", "--port", port, "--n_ctx",
            str(CONTEXT), "--n_threads", "2", "--logits_all", "true"]


@contextlib.contextmanager
def server(command_of, model, log):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = command_of(str(model), str(port))
    with open(log, "w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}/v1"
            for _ in range(120):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(url + "/models", timeout=2).close()
                    break
                if process.poll() is not None:
                    raise SystemExit(f"the server ended: see {log}\n{Path(log).read_text()[-2000:]}")
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()
            process.wait()


def gloss(*arguments, fails=False):
    done = subprocess.run([str(GLOSS), *map(str, arguments)], capture_output=True, text=True)
    if fails != (done.returncode not in (0, 4)):
        raise SystemExit(f"gloss {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr[-3000:]}")
    return done.stderr


def copy_run(run, folder):
    shutil.copytree(run, folder)
    return folder


def judgements(run, scorer):
    """{(latent, start, explainer): (verdict, probability)}"""
    rows = sqlite3.connect(run / "results.db").execute(
        "SELECT s.latent, j.start, j.kind, s.explainer, j.verdict, j.probability FROM judgement j JOIN named_score s ON "
        "s.id = j.score WHERE s.scorer = ?", (scorer,))
    return {row[:4]: row[4:] for row in rows}


def check_all_answered(run, scorer, name):
    rows = judgements(run, scorer)
    failed = sum(verdict == FAILED for verdict, _ in rows.values())
    print(f"{name}: {len(rows)} windows, {failed} failed")
    assert rows and failed == 0, name


def main():
    missing = [name for name in ("llama_cpp", "xllamacpp", "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: not installed: {', '.join(missing)} (see the head of this file)")
        return 0
    from safetensors import safe_open

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = folder / "run"
        gloss("cache", run, "--model", SMALL / "model", "--sae", SMALL / "coder", "--text", SMALL / "text.jsonl.zst",
              "--tokens", "60k", "--ctx-len", "128", "--no-weights")
        gloss("explain", run, "--latents", f"alive,random:{LATENTS}")
        for begins_texts in (True, False):
            hf, model = folder / f"hf-{begins_texts}", folder / f"{begins_texts}.gguf"
            write_hf(hf, begins_texts)
            write_gguf(hf, model, begins_texts)
        with server(llama_server("chat"), folder / "True.gguf", folder / "a.log") as url:
            chat = copy_run(run, folder / "chat")
            gloss("score", chat, "--scorer", "detection", "--llm", url, "--judge", "llm", "--answers", "schema", "--in-flight", "2")
            check_all_answered(chat, "detection", "chat held to a schema")
        with server(llama_cpp_python, folder / "True.gguf", folder / "b.log") as url:
            served = copy_run(run, folder / "served")
            gloss("score", served, "--scorer", "surprisal", "--llm", url, "--dialect", "openai-completions", "--in-flight", "2")
        native = copy_run(run, folder / "native")
        gloss("score", native, "--scorer", "surprisal", "--llm", f"native:{folder / 'hf-True'}")
        theirs, ours = judgements(served, "surprisal"), judgements(native, "surprisal")
        assert theirs.keys() == ours.keys()
        # llama.cpp reads the name of a special token inside a text as that token, gloss as text.
        with safe_open(run / "tokens.safetensors", "numpy") as f:
            tokens = f.get_tensor("tokens").reshape(-1)
        plain = [key for key in ours if END_OF_TEXT not in tokens[key[1]:key[1] + WINDOW]]
        assert len(plain) > len(ours) / 2
        assert all(theirs[key][0] != FAILED for key in plain)
        odd = [key for key in ours if key not in set(plain)]
        refused = sum(theirs[key][0] == FAILED for key in odd)
        difference = max(abs(theirs[key][1] - ours[key][1]) for key in plain)
        print(f"surprisal, llama.cpp against the native engine: {len(plain)} windows, largest difference {difference:.2g}; "
              f"of {len(odd)} windows with a special token {refused} not answered")
        assert difference < 0.01
        with server(llama_cpp_python, folder / "False.gguf", folder / "c.log") as url:
            refused = copy_run(run, folder / "refused")
            said = gloss("score", refused, "--scorer", "surprisal", "--llm", url, "--dialect", "openai-completions", fails=True)
            assert "does not say how probable" in said, said
            print("a model without a first token, whose numbers this server lists a place early: refused")
        with server(llama_server("embedding"), folder / "True.gguf", folder / "d.log") as url:
            near = copy_run(run, folder / "near")
            gloss("score", near, "--scorer", "embedding", "--embedder", url)
            check_all_answered(near, "embedding", "embeddings")
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
