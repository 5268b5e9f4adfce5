"""What the scripts of this folder share: gloss, and a cache of the project's small model."""
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "small-model"


def gloss(*arguments):
    subprocess.run([str(ROOT / "build/gloss"), *map(str, arguments)], check=True, stderr=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)


def cache_small(run, *more):
    gloss("cache", run, "--model", SMALL / "model", "--sae", SMALL / "coder", "--text", SMALL / "text.jsonl.zst",
          "--tokens", "60k", "--ctx-len", "128", *more)
