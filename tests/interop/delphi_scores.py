"""delphi's own analysis reads the scores of `gloss export --format delphi-explanations`, and finds gloss's counts.

    pip install --no-deps eai-delphi==0.1.3; pip install orjson pandas==3.0.0     # torch and plotly are not needed
    python tests/interop/delphi_scores.py

Makes a run of the project's small model in a temporary folder. Without delphi it says so and ends with 0.
"""
import importlib.machinery
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

from small_run import cache_small, gloss


def stand_in(package, *modules):
    """For what delphi imports beside its analysis, which does not use it."""
    if importlib.util.find_spec(package) is not None:
        return
    for name in (package, *(f"{package}.{module}" for module in modules)):
        sys.modules[name] = MagicMock()
        sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)


def main():
    if importlib.util.find_spec("delphi") is None:
        print("skipped: delphi is not installed (pip install --no-deps eai-delphi==0.1.3)")
        return 0
    stand_in("torch")
    if isinstance(sys.modules.get("torch"), MagicMock):
        sys.modules["torch"].Tensor = type("Tensor", (), {})  # asked for by scikit-learn, which may be there
    stand_in("plotly", "express", "graph_objects", "io")
    stand_in("sklearn", "metrics")
    from delphi.log.result_analysis import compute_classification_metrics, compute_confusion, load_data

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        cache_small(run, "--no-weights")
        gloss("explain", run, "--latents", "random:20")
        gloss("score", run, "--shuffled", "none")
        gloss("export", run, folder / "theirs", "--format", "delphi-explanations")
        gloss("export", run, folder / "x.jsonl", "--format", "jsonl")
        lines = [json.loads(line) for line in (folder / "x.jsonl").read_text().splitlines()]
        table, _ = load_data(folder / "theirs/scores", ["layers.2"])
        checked = 0
        for line in lines:
            explanation = json.loads((folder / f"theirs/explanations/layers.2_latent{line['latent']}.txt").read_text())
            assert explanation == line["explanation"]
            for score in line["scores"]:
                rows = table[(table["latent_idx"] == line["latent"]) & (table["score_type"] == score["scorer"])]
                counts = compute_confusion(rows)
                found = tuple(counts[key] for key in ("true_positives", "false_positives", "true_negatives", "false_negatives"))
                assert found == tuple(score[key] for key in ("tp", "fp", "tn", "fn")), (found, score)
                metrics = compute_classification_metrics(counts)
                if score["score"]["value"] is not None:
                    assert abs(metrics["accuracy"] - score["score"]["value"]) < 1e-9, (metrics, score)
                checked += 1
        print(f"delphi 0.1.3 read {len(table)} judgements and found the counts of {checked} scores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
