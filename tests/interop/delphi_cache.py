"""delphi's own loader reads what `gloss export --format delphi` wrote, and finds the firings and windows that gloss has.

    pip install eai-delphi==0.1.3 torch transformers safetensors numpy asyncer jaxtyping   # sparsify and faiss are not needed
    python tests/interop/delphi_cache.py

Makes a run of the project's small model in a temporary folder. Without delphi it says so and ends with 0.
"""
import importlib.machinery
import importlib.util
import sqlite3
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

from small_run import cache_small, gloss

WINDOW = 32
# What delphi imports beside its loader, and the loader does not use.
UNUSED = ["sparsify", "sparsify.data", "sparsify.utils", "faiss", "sentence_transformers", "blobfile", "vllm", "bitsandbytes",
          "openai", "httpx", "aiofiles", "fire", "flask"]


def stand_in(name):
    if name.startswith("sparsify") or importlib.util.find_spec(name.split(".")[0]) is None:
        module = MagicMock()
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module


def main():
    if importlib.util.find_spec("delphi") is None:
        print("skipped: delphi is not installed (pip install eai-delphi==0.1.3)")
        return 0
    for name in UNUSED:
        stand_in(name)
    import numpy
    import torch
    from delphi.config import ConstructorConfig, SamplerConfig
    from delphi.latents.constructors import pool_max_activation_windows
    from delphi.latents.loader import LatentDataset
    from safetensors import safe_open

    with tempfile.TemporaryDirectory() as folder:
        run, out = Path(folder) / "run", Path(folder) / "out"
        cache_small(run, "--no-weights")
        gloss("explain", run, "--latents", "random:100", "--no-split-documents")
        gloss("export", run, out, "--format", "delphi", "--splits", "7")
        with safe_open(run / "latents/layers.2/index.safetensors", "numpy") as f:
            offsets, count, positions = (f.get_tensor(n) for n in ("offsets", "count", "positions"))
            activations = f.get_tensor("activations")
        with safe_open(run / "tokens.safetensors", "numpy") as f:
            tokens = f.get_tensor("tokens")
        windows_of_gloss = dict(sqlite3.connect(run / "results.db").execute("SELECT latent, window_count FROM latent"))

        data = LatentDataset(out / "latents", SamplerConfig(), ConstructorConfig(), tokenizer=object(), modules=["layers.2"])
        ctx_len, seen, compared, firings = tokens.shape[1], set(), 0, 0
        for buffer in data.buffers:
            assert numpy.array_equal(buffer.load()[2].numpy(), tokens), "other tokens"
            for record in buffer:
                f, found = record.latent.latent_index, record.activation_data
                begin = int(offsets[f])
                mine = positions[begin : begin + int(count[f])]
                flat = found.locations[:, 0].long() * ctx_len + found.locations[:, 1].long()
                assert numpy.array_equal(flat.numpy(), mine), f"latent {f} fires elsewhere"
                assert numpy.array_equal(found.activations.numpy(), activations[begin : begin + int(count[f])]), f
                token_windows, activation_windows = pool_max_activation_windows(
                    found.activations.float(), torch.tensor(tokens.astype("int64")).reshape(-1, WINDOW), flat // WINDOW, flat % WINDOW,
                    WINDOW)
                own = numpy.zeros(tokens.size, "float32")
                own[mine] = activations[begin : begin + int(count[f])].astype("float32")
                windows = own.reshape(-1, WINDOW)
                wanted = sorted((tuple(t), tuple(a)) for t, a in zip(tokens.reshape(-1, WINDOW), windows) if a.max() > 0)
                theirs = sorted((tuple(t.tolist()), tuple(a.tolist())) for t, a in zip(token_windows, activation_windows))
                assert [w[0] for w in theirs] == [tuple(map(int, w[0])) for w in wanted], f"latent {f}: other windows"
                assert all(numpy.array_equal(a[1], b[1]) for a, b in zip(theirs, wanted)), f"latent {f}: other activations"
                if f in windows_of_gloss:
                    assert len(theirs) == windows_of_gloss[f], f"latent {f}: {len(theirs)} windows, gloss has {windows_of_gloss[f]}"
                    compared += 1
                seen.add(f)
                firings += len(mine)
        alive = {int(f) for f in numpy.nonzero(count)[0]}
        assert seen == alive, f"{len(alive - seen)} latents are missing"
        assert compared >= 50
        print(f"delphi reads {firings} firings of {len(seen)} latents as gloss has them; windows of {compared} counted by both")
    return 0


if __name__ == "__main__":
    sys.exit(main())
