"""pandas reads the table of `gloss export --format csv`, and has of it what the JSON lines have.

    pip install pandas==3.0.0   # and pyarrow, for Parquet, if gloss is built with it
    python tests/interop/explanation_tables.py

Makes a run of the project's small model in a temporary folder. Without pandas it says so and ends with 0.
"""
import importlib.util
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from small_run import cache_small, gloss


def parquet(run, folder, expected, pandas):
    try:
        gloss("export", run, folder / "x.parquet", "--format", "parquet")
    except subprocess.CalledProcessError:
        print("Parquet is skipped: this gloss is built without Apache Arrow (./setup --arrow DIR)")
        return
    table = pandas.read_parquet(folder / "x.parquet")
    assert len(table) == len(expected)
    for (_, row), (line, score) in zip(table.iterrows(), expected):
        for key in ("hookpoint", "latent", "explainer", "explanation"):
            assert row[key] == line[key], key
        for key in ("scorer", "judge", "score_name", "tp", "fp", "tn", "fn", "failed"):
            assert row[key] == score[key], key
        value = score["score"]["value"]
        assert math.isnan(row["score"]) if value is None else row["score"] == value
    # A table of pandas' own making comes in again.
    table.assign(explainer="theirs").to_parquet(folder / "theirs.parquet")
    gloss("import", run, folder / "theirs.parquet", "--format", "parquet")
    gloss("export", run, folder / "again.parquet", "--format", "parquet")
    again = pandas.read_parquet(folder / "again.parquet")
    theirs = again[again["explainer"] == "theirs"]
    assert set(theirs["judge"]) == {"imported:pattern"}
    for key in ("explanation", "scorer", "score", "score_low", "score_high", "tp", "auc"):
        assert theirs[key].reset_index(drop=True).equals(table[key]), key
    print(f"pandas read {len(table)} rows of Parquet that gloss wrote, and gloss those that pandas wrote")


def main():
    if importlib.util.find_spec("pandas") is None:
        print("skipped: pandas is not installed (pip install pandas==3.0.0)")
        return 0
    import pandas

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        cache_small(run, "--no-weights")
        gloss("explain", run, "--latents", "random:20")
        gloss("score", run)
        gloss("export", run, folder / "x.csv", "--format", "csv")
        gloss("export", run, folder / "x.jsonl", "--format", "jsonl")
        table = pandas.read_csv(folder / "x.csv", keep_default_na=False, na_values={"score": [""], "f1": [""], "auc": [""]})
        lines = [json.loads(line) for line in (folder / "x.jsonl").read_text().splitlines()]
        expected = [(line, score) for line in lines for score in line["scores"]]
        assert len(table) == len(expected) > 20
        for (_, row), (line, score) in zip(table.iterrows(), expected):
            for key in ("hookpoint", "latent", "explainer"):
                assert row[key] == line[key], key
            # An apostrophe stands before what a spreadsheet would take for a formula.
            assert row["explanation"] in (line["explanation"], "'" + line["explanation"])
            assert row["program"] == line.get("program", "")
            for key in ("scorer", "judge", "score_name", "tp", "fp", "tn", "fn", "failed"):
                assert row[key] == score[key], key
            value = score["score"]["value"]
            assert math.isnan(row["score"]) if value is None else abs(row["score"] - value) < 1e-5
        parquet(run, folder, expected, pandas)
        print(f"pandas {pandas.__version__} read {len(table)} rows of {len(lines)} explanations, as the JSON lines have them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
