"""Neuronpedia's own client reads the rows of `gloss export --format neuronpedia`, and SAEDashboard's classes those of
`--format sae-dashboard`; the two exports of one run agree.

    pip install --no-deps neuronpedia==1.2.1 sae-dashboard==0.8.0; pip install numpy python-dotenv requests
    python tests/interop/neuronpedia_files.py

Makes a run of the project's small model in a temporary folder. Without the packages it says so and ends with 0.
"""
import gzip
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

from small_run import cache_small, gloss


def rows(folder):
    files = sorted(folder.glob("batch-*.jsonl.gz"), key=lambda f: int(f.name.split("-")[1].split(".")[0]))
    assert files, f"nothing in {folder}"
    found = [json.loads(line) for file in files for line in gzip.open(file, "rt")]
    assert all(row.keys() == found[0].keys() for row in found), "lines of different keys"
    return found


def renamed(row):
    """The client calls `source` what the database and its bulk files call `layer`."""
    return row | {"source": row["layer"]}


def main():
    missing = [n for n in ("neuronpedia", "sae_dashboard") if importlib.util.find_spec(n) is None]
    if missing:
        print(f"skipped: not installed: {', '.join(missing)} (pip install --no-deps neuronpedia==1.2.1 sae-dashboard==0.8.0)")
        return 0
    from neuronpedia.np_activation import Activation
    from neuronpedia.np_explanation import Explanation
    from sae_dashboard.neuronpedia.neuronpedia_dashboard import NeuronpediaDashboardFeature

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        cache_small(run)
        gloss("explain", run, "--latents", "alive,random:20")
        gloss("export", run, folder / "np", "--format", "neuronpedia", "--model-name", "small")
        gloss("export", run, folder / "sd", "--format", "sae-dashboard", "--model-name", "small")
        source = folder / "np/v1/small/2-gloss"
        features, activations = rows(source / "features"), rows(source / "activations")
        explanations = [Explanation.from_np_db_json(renamed(row)) for row in rows(source / "explanations")]
        assert len(explanations) == 20 and all(e.text and e.method == "gloss_pattern" for e in explanations)

        # The client takes a share of 0 to 1 alone, and refuses the -1 that Neuronpedia has with its strongest contexts.
        intervals, strongest = 0, 0
        for row in activations:
            if row["binContains"] == -1:
                strongest += 1
                row = row | {"binContains": None}
            else:
                intervals += 1
            read = Activation.from_np_db_json(renamed(row))
            assert read.source == "2-gloss" and len(read.tokens) == len(read.values) > 0

        batches = sorted((folder / "sd/layers.2").glob("batch-*.json"), key=lambda f: int(f.stem.split("-")[1]))
        dashboards = [f for file in batches for f in json.loads(file.read_text())["features"]]
        assert [f["feature_index"] for f in dashboards] == [int(f["index"]) for f in features]
        at = 0
        for mine, theirs in zip(features, dashboards):
            read = NeuronpediaDashboardFeature(**theirs)
            assert json.dumps(read.to_dict())
            assert read.pos_str == mine["pos_str"] and read.neg_str == mine["neg_str"]
            assert read.logits_hist_data_bar_heights == mine["logits_hist_data_bar_heights"] and sum(mine["logits_hist_data_bar_heights"])
            for s in read.activations:
                row, at = activations[at], at + 1
                assert row["index"] == mine["index"] and row["tokens"] == s.tokens
                assert row["qualifyingTokenIndex"] == s.qualifying_token_index
                assert all(abs(a - b) < 1e-5 for a, b in zip(row["values"], s.values))
        assert at == len(activations)
        print(f"neuronpedia 1.2.1 read {len(explanations)} explanations, {intervals} activations of intervals and {strongest} "
              f"strongest (`layer` renamed `source`, and their binContains of -1 null); sae-dashboard 0.8.0 took {len(features)} features and "
              f"{at} activations, the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
