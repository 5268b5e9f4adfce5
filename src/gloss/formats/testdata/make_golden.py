"""Makes the golden checkpoints of this folder with PyTorch itself.

    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python src/gloss/formats/testdata/make_golden.py

Nothing is random, and no time is written: the same versions give the same bytes.
"""
import collections
import json
import pathlib
import zipfile

import torch

HERE = pathlib.Path(__file__).parent

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
          torch.uint8, torch.bool]
NAMES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.uint16: "U16",
         torch.uint32: "U32", torch.uint64: "U64", torch.bool: "BOOL"}


def of_every_kind():
    state = collections.OrderedDict()
    for dtype in DTYPES:
        state[f"dtype.{NAMES[dtype]}"] = (torch.arange(6) - 2).to(dtype).reshape(2, 3)
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 8
    state["base"] = base
    state["transposed"] = base.T
    state["rows"] = base[1:3]
    state["columns"] = base[:, 1:4]
    state["steps"] = base[::2, ::3]
    state["permuted"] = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4).permute(2, 0, 1)
    state["expanded"] = torch.tensor([1.5, -2.5]).expand(3, 2)
    state["scalar"] = torch.tensor(3.25)
    state["empty"] = torch.empty(0, 5)
    state["parameter"] = torch.nn.Parameter(torch.tensor([0.5, 0.25]))
    state["one.wide"] = torch.tensor([[7.0]]).expand(1, 1)
    return state


def tensors_of(value, path=""):
    if isinstance(value, torch.Tensor):
        yield path, value.detach().contiguous()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tensors_of(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from tensors_of(item, f"{path}.{i}" if path else str(i))


def expected(value):
    out = []
    for name, t in tensors_of(value):
        raw = bytes(t.reshape(-1).view(torch.uint8).tolist()) if t.numel() else b""
        out.append({"name": name, "dtype": NAMES[t.dtype], "shape": list(t.shape), "bytes": raw.hex()})
    return out


state = of_every_kind()
torch.save(state, HERE / "state.pt")
torch.save(state, HERE / "state_legacy.pt", _use_new_zipfile_serialization=False)
torch.save(state, HERE / "state_protocol4.pt", pickle_protocol=4)
with zipfile.ZipFile(HERE / "state.pt") as source, zipfile.ZipFile(HERE / "state_deflated.pt", "w") as target:
    for info in source.infolist():
        packed = zipfile.ZipInfo(info.filename, (1980, 1, 1, 0, 0, 0))
        packed.compress_type = zipfile.ZIP_DEFLATED
        target.writestr(packed, source.read(info.filename), compresslevel=9)

nested = {
    "model": {"encoder": {"weight": torch.tensor([[1.0, 2.0]])}, "layers": [torch.tensor([3]), {"bias": torch.tensor([4])}]},
    "config": {"d_in": 64, "lr": 1e-3, "name": "tiny \u00f6", "tied": False, "none": None, "sizes": (1, 2, [3]),
               "dtype": torch.bfloat16, "device": torch.device("cuda", 1), "shape": torch.Size([5, 6]),
               "big": 2**63 + 1, "huge": 2**80, "negative": -(2**40), "tags": {"one"}, 7: "seven"},
    "step": 1000,
    "unsigned": torch.tensor([1, 65535], dtype=torch.uint16),
}
torch.save(nested, HERE / "nested.pt")
torch.save(torch.tensor([1.0, 2.0, 3.0]), HERE / "bare.pt")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(1))


torch.save(Net(), HERE / "module.pt")

(HERE / "torch_expected.json").write_text(
    json.dumps({"state": expected(state), "nested": expected(nested), "torch": torch.__version__}, indent=1) + "\n")
