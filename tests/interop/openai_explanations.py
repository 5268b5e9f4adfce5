"""`gloss import --format openai` reads what OpenAI's own neuron explainer writes, and that reads what gloss exports.

    pip install --no-deps neuron-explainer==0.0.1; pip install orjson numpy httpx scikit-learn boostedblob tiktoken blobfile
    python tests/interop/openai_explanations.py

Makes a run of the project's small model in a temporary folder. Without the package it says so and ends with 0.
"""
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

from small_run import cache_small, gloss


def write(folder, texts):
    """Files by neuron-explainer, each explanation with a simulation of three tokens, whose correlation is its own."""
    from neuron_explainer.activations.activations import NeuronId
    from neuron_explainer.explanations.explanations import (ActivationScale, NeuronSimulationResults, ScoredExplanation,
                                                            ScoredSequenceSimulation, ScoredSimulation, SequenceSimulation)
    from neuron_explainer.fast_dataclasses import dumps
    import numpy

    files, correlations = [], {}
    for latent, explanations in texts.items():
        scored = []
        for i, text in enumerate(explanations):
            levels, activations = [0.0, 10.0, float(i)], [0.0, 1.5, 0.5]
            correlation = float(numpy.corrcoef(activations, levels)[0, 1])  # as their correlation_score
            simulation = SequenceSimulation(tokens=["a", "b", "c"], expected_activations=levels,
                                            activation_scale=ActivationScale.SIMULATED_NORMALIZED_ACTIVATIONS,
                                            distribution_values=[[1.0]] * 3, distribution_probabilities=[[1.0]] * 3)
            sequence = ScoredSequenceSimulation(simulation=simulation, true_activations=activations,
                                                ev_correlation_score=correlation)
            scored.append(ScoredExplanation(explanation=text,
                                            scored_simulation=ScoredSimulation(scored_sequence_simulations=[sequence],
                                                                               ev_correlation_score=correlation)))
            correlations[latent, "openai" if i == 0 else f"openai:{i + 1}"] = correlation
        results = NeuronSimulationResults(neuron_id=NeuronId(layer_index=2, neuron_index=latent), scored_explanations=scored)
        files.append(folder / f"{latent}.jsonl")
        files[-1].write_bytes(dumps(results) + b"\n")
    return files, correlations


def lines_of(run, file):
    gloss("export", run, file, "--format", "jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def check_import(folder, run):
    texts = {3: ["dogs", " \"cats\"\nand \\ \u00e9"], 7: ["the word 'end'"]}
    files, correlations = write(folder, texts)
    gloss("import", run, *files, "--format", "openai", "--hookpoint", "layers.2")
    found = {(r["latent"], r["explainer"]): r for r in lines_of(run, folder / "x.jsonl")}
    wanted = {(latent, "openai" if i == 0 else f"openai:{i + 1}"): text
              for latent, explanations in texts.items() for i, text in enumerate(explanations)}
    assert {key: row["explanation"] for key, row in found.items()} == wanted, found
    for key, correlation in correlations.items():
        score = found[key]["scores"][0]
        assert score["scorer"] == "simulation" and score["judge"] == "imported:openai"
        assert abs(score["score"]["value"] - correlation) < 1e-6, (score, correlation)
    print(f"gloss read {len(found)} explanations and correlations that neuron-explainer 0.0.1 wrote")


def check_export(folder, run):
    from neuron_explainer.activations.activations import ActivationRecordSliceParams, load_neuron
    from neuron_explainer.explanations.explanations import load_neuron_explanations

    gloss("explain", run, "--latents", "random:20")
    gloss("score", run, "--explainer", "pattern", "--scorer", "simulation")
    rows = [row for row in lines_of(run, folder / "y.jsonl") if row["explainer"] == "pattern"]
    latents = sorted({row["latent"] for row in rows})
    out = folder / "out"
    gloss("export", run, out, "--format", "openai", "--latents", ",".join(map(str, latents)))
    for row in rows:
        record = load_neuron(2, row["latent"], dataset_path=(out / "collated-activations").as_uri())
        assert (record.neuron_id.layer_index, record.neuron_id.neuron_index) == (2, row["latent"])
        strongest = max(record.most_positive_activation_records[0].activations)
        assert abs(strongest - row["max_activation"]) <= 1e-3 * strongest
        assert len(record.train_activation_records(ActivationRecordSliceParams(n_examples_per_split=5))) == 5
        assert len(record.random_sample) == 20
        results = load_neuron_explanations(str(out / "explanations"), 2, row["latent"])
        scored = [e for e in results.scored_explanations if e.explanation == row["explanation"]]
        value = next(s["score"]["value"] for s in row["scores"] if s["scorer"] == "simulation")
        assert scored and any(e.get_preferred_score() == value for e in scored), (row, scored)
    print(f"neuron-explainer 0.0.1 read {len(rows)} records and their explanations that gloss wrote")


def main():
    if importlib.util.find_spec("neuron_explainer") is None:
        print("skipped: neuron_explainer is not installed (pip install --no-deps neuron-explainer==0.0.1)")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        cache_small(run, "--no-weights")
        check_import(folder, run)
        check_export(folder, run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
