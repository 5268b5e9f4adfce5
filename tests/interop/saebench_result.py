"""SAEBench's own class takes what `gloss export --format saebench` wrote.

    pip install --no-deps sae-bench==0.6.0; pip install pydantic
    python tests/interop/saebench_result.py

Makes a run of the project's small model in a temporary folder. Without the package it says so and ends with 0.
"""
import importlib.util
import json
import statistics
import sys
import tempfile
from pathlib import Path

from small_run import cache_small, gloss


def main():
    if importlib.util.find_spec("sae_bench") is None:
        print("skipped: sae_bench is not installed (pip install --no-deps sae-bench==0.6.0; pip install pydantic)")
        return 0
    from pydantic import TypeAdapter
    from sae_bench.evals.autointerp.eval_config import AutoInterpEvalConfig
    from sae_bench.evals.autointerp.eval_output import AutoInterpEvalOutput, AutoInterpMetricCategories

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        cache_small(run, "--no-weights")
        gloss("explain", run, "--latents", "random:20")
        gloss("score", run)
        gloss("export", run, folder / "out", "--format", "saebench", "--sae-set", "small")
        (file,) = (folder / "out/autointerp").glob("small_*_eval_results.json")
        result = json.loads(file.read_text())
        config = TypeAdapter(AutoInterpEvalConfig).validate_json(json.dumps(result["eval_config"]), strict=True)
        metrics = TypeAdapter(AutoInterpMetricCategories).validate_python(result["eval_result_metrics"])
        output = AutoInterpEvalOutput(**{**result, "eval_config": config, "eval_result_metrics": metrics})
        assert config.latents == sorted(int(latent) for latent in output.eval_result_unstructured)
        scores = [latent["score"] for latent in output.eval_result_unstructured.values()]
        assert abs(metrics.autointerp.autointerp_score - statistics.fmean(scores)) < 1e-9
        assert abs(metrics.autointerp.autointerp_std_dev - statistics.stdev(scores)) < 1e-9
        for latent in output.eval_result_unstructured.values():  # as SAEBench counts: Examples and score_predictions
            windows = range(1, latent["windows"] + 1)
            same = [(i in latent["predictions"]) == (i in latent["correct seqs"]) for i in windows]
            assert abs(latent["score"] - sum(same) / len(same)) < 1e-9
        again = folder / "again.json"
        output.to_json_file(str(again))
        other = folder / "other"
        cache_small(other, "--no-weights")
        gloss("import", other, again, "--format", "saebench", "--hookpoint", "layers.2")
        gloss("export", other, folder / "x.jsonl", "--format", "jsonl")
        rows = [json.loads(line) for line in (folder / "x.jsonl").read_text().splitlines()]
        for row in rows:
            latent = output.eval_result_unstructured[str(row["latent"])]
            assert row["explanation"] == latent["explanation"]
            assert row["scores"][0]["score"]["value"] == latent["balanced_accuracy"]["value"]
        print(f"sae-bench 0.6.0 read {len(scores)} latents that gloss wrote, and gloss {len(rows)} that sae-bench wrote")
    return 0


if __name__ == "__main__":
    sys.exit(main())
