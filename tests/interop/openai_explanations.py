"""`gloss import --format openai` reads what OpenAI's own neuron explainer writes.

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


def main():
    if importlib.util.find_spec("neuron_explainer") is None:
        print("skipped: neuron_explainer is not installed (pip install --no-deps neuron-explainer==0.0.1)")
        return 0
    from neuron_explainer.activations.activations import NeuronId
    from neuron_explainer.explanations.explanations import (ActivationScale, NeuronSimulationResults, ScoredExplanation,
                                                            ScoredSequenceSimulation, ScoredSimulation, SequenceSimulation)
    from neuron_explainer.fast_dataclasses import dumps

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        cache_small(run, "--no-weights")
        texts = {3: ["dogs", " \"cats\"\nand \\ \u00e9"], 7: ["the word 'end'"]}
        files = []
        for latent, explanations in texts.items():
            simulation = SequenceSimulation(tokens=["a"], expected_activations=[1.0],
                                            activation_scale=ActivationScale.SIMULATED_NORMALIZED_ACTIVATIONS,
                                            distribution_values=[[1.0]], distribution_probabilities=[[1.0]])
            sequence = ScoredSequenceSimulation(simulation=simulation, true_activations=[1.0],
                                                ev_correlation_score=float("nan"))
            scored = [ScoredExplanation(explanation=text,
                                        scored_simulation=ScoredSimulation(scored_sequence_simulations=[sequence],
                                                                           ev_correlation_score=0.5)) for text in explanations]
            results = NeuronSimulationResults(neuron_id=NeuronId(layer_index=2, neuron_index=latent), scored_explanations=scored)
            files.append(folder / f"{latent}.jsonl")
            files[-1].write_bytes(dumps(results) + b"\n")
        gloss("import", run, *files, "--format", "openai", "--hookpoint", "layers.2")
        gloss("export", run, folder / "x.jsonl", "--format", "jsonl")
        found = {(r["latent"], r["explainer"]): r["explanation"]
                 for r in map(json.loads, (folder / "x.jsonl").read_text().splitlines())}
        wanted = {(latent, "openai" if i == 0 else f"openai:{i + 1}"): text
                  for latent, explanations in texts.items() for i, text in enumerate(explanations)}
        assert found == wanted, found
        print(f"gloss read {len(found)} explanations that neuron-explainer 0.0.1 wrote")
    return 0


if __name__ == "__main__":
    sys.exit(main())
