#!/usr/bin/env python3
"""Makes the golden coders: for each layout a tiny seeded one, written by its own library where that can be, with what the
library itself encodes and reconstructs.

    python3 -m venv venv && venv/bin/pip install sae-lens dictionary-learning eai-sparsify
    venv/bin/python tests/golden/make_coders.py

Writes tests/golden/coders/NAME/: the coder's folder as its library leaves it, and golden.safetensors with the input x [N, D],
the activations f [N, F] (dense), and the reconstruction y [N, O]. PROVENANCE.md says with which versions, and which files no
library writes.
"""
import json
import os
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import save_file

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"  # decode on the CPU

OUT = pathlib.Path(__file__).resolve().parent / "coders"
N, D, F, O, K = 26, 12, 70, 9, 5  # rows beyond two blocks of 12, latents beyond two panels of 32


def rows(width=D):
    """Inputs with a mean, of different sizes."""
    return torch.randn(N, width) * (0.5 + torch.rand(N, 1) * 2) + 0.3


def fill(module):
    """Weights under which every part matters: no zero biases, decoder rows of different norms."""
    for name, p in module.named_parameters():
        p.data = torch.randn_like(p) * (0.35 if p.dim() == 2 else 0.2)
        if name in ("W_dec", "decoder.weight"):
            p.data *= (0.5 + torch.rand(F)).view((-1, 1) if p.shape[0] == F else (1, -1))


def golden(name, x, f, y):
    f = f.to_dense() if f.is_sparse else f
    assert (f > 0).any(1).sum() > N // 2, name
    assert 0 < (f > 0).float().mean() < 0.9, name
    found = {"x": x.contiguous(), "f": f.detach().contiguous()}
    if y is not None:  # what writes to several layers has none
        found["y"] = y.detach().contiguous()
    save_file(found, OUT / name / "golden.safetensors")


# sparsify

def make_sparsify(name, hookpoint="layers.1", **cfg):
    from sparsify import SparseCoder, SparseCoderConfig
    coder = SparseCoder(D, SparseCoderConfig(num_latents=F, k=K, **cfg))
    fill(coder)
    coder.save_to_disk(OUT / name / hookpoint)
    x = rows()
    found = coder.encode(x)
    acts, indices = found.top_acts, found.top_indices
    f = torch.zeros(N, F).scatter_(1, indices, acts)
    y = coder.decode(acts, indices)
    if coder.W_skip is not None:  # as its forward does
        y = y + x @ coder.W_skip.mT
    golden(name, x, f, y)


# SAELens

def make_saelens(name, architecture, old=None, d_in=D, metadata=None, edit=None, **cfg):
    """Saved by SAELens 6; with `old`, its flat configuration of 3.x to 5.x, which SAELens 6 then reads itself."""
    from sae_lens import SAE
    from sae_lens.registry import get_sae_class
    sae_class, cfg_class = get_sae_class(architecture)
    sae = sae_class(cfg_class(d_in=d_in, d_sae=F, **cfg))
    fill(sae)
    if hasattr(sae, "threshold"):
        sae.threshold.data = torch.rand(F) * 0.6 - 0.05
    for key, value in (metadata or {}).items():
        setattr(sae.cfg.metadata, key, value)
    folder = OUT / name
    sae.save_model(folder)
    if old is not None:
        (folder / "cfg.json").write_text(json.dumps(dict(d_in=d_in, d_sae=F, dtype="torch.float32", device="cpu", **old)))
    sae = SAE.load_from_disk(folder)
    if edit:
        edit(sae, folder)
    x = rows(d_in)
    f = sae.encode(x)
    y = sae.decode(f)
    if "skip" in architecture:
        y = sae(x)
    golden(name, x, f, y)


def resid(layer=1):
    return dict(model_name="gpt2-small", hook_name=f"blocks.{layer}.hook_resid_pre", prepend_bos=True,
                sae_lens_version="6.54.12")


def flat(**more):
    return dict(model_name="gpt2-small", hook_name="blocks.1.hook_resid_pre", hook_layer=1, hook_head_index=None,
                context_size=64, prepend_bos=True, sae_lens_training_version=None, **more)


def fold_average(sae, folder):
    """What SAELens does with the factor that only its registry holds; the files stay as they are."""
    sae.fold_activation_norm_scaling_factor(0.375)


def make_saelens_batchtopk(name):
    """From SAELens' own training class: a checkpoint with topk_threshold, and the folder for inference."""
    from sae_lens import SAE
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=D, d_sae=F, k=K))
    fill(sae)
    sae.topk_threshold = torch.tensor(0.4, dtype=torch.double)
    for key, value in resid().items():
        setattr(sae.cfg.metadata, key, value)
    sae.save_inference_model(OUT / name)
    sae.save_model(OUT / (name + "-checkpoint"))
    x = rows()
    trained = SAE.load_from_disk(OUT / name)
    f = trained.encode(x)
    for folder in (name, name + "-checkpoint"):
        golden(folder, x, f, trained.decode(f))


# dictionary_learning

def make_dictionary(name, coder, config=None, place="resid_post_layer_1", load=None, **more):
    folder = OUT / name / place / "trainer_0"
    folder.mkdir(parents=True)
    fill(coder)
    if hasattr(coder, "threshold"):
        if coder.threshold.dim() == 0:
            coder.threshold.fill_(0.45)
        else:
            coder.threshold.data = torch.rand(F) * 0.6 - 0.05
    torch.save(coder.state_dict(), folder / "ae.pt")
    dict_class = type(coder).__name__
    trainer = dict(trainer_class="Trainer", dict_class=dict_class, activation_dim=D, dict_size=F, lr=1e-3, seed=0, layer=1,
                   lm_name="EleutherAI/pythia-70m-deduped", submodule_name="resid_post_layer_1", **more)
    (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"io": "out", "d_submodule": D}}))
    loaded = load(str(folder / "ae.pt")) if load else coder
    x = rows()
    f = loaded.encode(x)
    golden(name, x, f, loaded.decode(f))


# Layouts that no installable library writes, but that SAELens' loaders convert: the documented tensors, and what SAELens
# makes of them.

def by_saelens(folder, loader, repo="", name="", scale=None, **changed):
    """The coder in `folder` as SAE.from_pretrained builds it, files being taken from there and not from the hub. `changed`:
    what the loader has written in for one model only, above all its sizes."""
    import sae_lens.loading.pretrained_sae_loaders as loaders
    from safetensors import safe_open
    from sae_lens import SAE

    def local(repo_id, filename, subfolder=None, **unused):
        path = folder / (subfolder or "") / filename
        if not path.exists():
            raise loaders.EntryNotFoundError(str(path))
        return str(path)

    def shapes(repo_id, filename):
        with safe_open(folder / filename, "pt") as file:
            return {key: list(file.get_slice(key).get_shape()) for key in file.keys()}

    loaders.hf_hub_download, loaders.get_safetensors_tensor_shapes = local, shapes
    cfg, state, _ = loaders.NAMED_PRETRAINED_SAE_LOADERS[loader](
        repo, name, device="cpu", cfg_overrides=dict(changed, dtype="float32"))
    cfg = loaders.handle_config_defaulting(cfg)
    sae_cfg = SAE.get_sae_config_class_for_architecture(cfg["architecture"]).from_dict(cfg)
    sae = SAE.get_sae_class_for_architecture(sae_cfg.architecture())(sae_cfg)
    sae.process_state_dict_for_loading(state)
    sae.load_state_dict(state)
    if scale is not None:
        sae.fold_activation_norm_scaling_factor(scale)
    return sae


def linear_state(encoder="encoder", decoder="decoder", out=D):
    return {f"{encoder}.weight": torch.randn(F, D) * 0.35, f"{encoder}.bias": torch.randn(F) * 0.2,
            f"{decoder}.weight": torch.randn(out, F) * 0.35, f"{decoder}.bias": torch.randn(out) * 0.2}


def encoded(name, sae, x, reconstruct=True):
    f = sae.encode(x)
    golden(name, x, f, sae.decode(f) if reconstruct else None)


def make_llama_scope(name, out_norm=None):
    """A transcoder with `out_norm`: SAELens scales what it gives back by the input's factor, so that is the formula's."""
    transcoder = out_norm is not None
    folder = OUT / name / ("Llama3_1-8B-Base-L1TC-8x" if transcoder else "Llama3_1-8B-Base-L1R-8x")
    (folder / "checkpoints").mkdir(parents=True)
    state = linear_state()
    save_file(state, folder / "checkpoints" / "final.safetensors")
    hook_in = "blocks.1.ln2.hook_normalized" if transcoder else "blocks.1.hook_resid_post"
    hook_out = "blocks.1.hook_mlp_out" if transcoder else hook_in
    norm = 2.5
    (folder / "hyperparams.json").write_text(json.dumps(dict(
        d_model=D, d_sae=F, hook_point_in=hook_in, hook_point_out=hook_out, use_decoder_bias=True,
        apply_decoder_bias_to_pre_encoder=False, act_fn="jumprelu", jump_relu_threshold=0.25, norm_activation="dataset-wise",
        dataset_average_activation_norm={"in": norm, "out": out_norm or norm}, top_k=20)))
    sae = by_saelens(folder.parent, "llama_scope", name=folder.name, scale=D ** 0.5 / norm)
    x = rows()
    f = sae.encode(x)
    y = sae.decode(f)
    if transcoder:
        y = (f @ state["decoder.weight"].T + state["decoder.bias"]) / (D ** 0.5 / out_norm)
    golden(name, x, f, y)


def make_llama_scope_r1(name, kept):
    folder = OUT / name / "L1R"
    folder.mkdir(parents=True)
    hook = "blocks.1.hook_resid_post"
    expansion = 6
    state = dict(torch.nn.Linear(D, D * expansion).state_dict(prefix="encoder."),
                 **torch.nn.Linear(D * expansion, D).state_dict(prefix="decoder."))
    state["log_jumprelu_threshold"] = torch.randn(D * expansion) * 0.3 - 0.5
    norm = 2.5
    if kept:
        state["dataset_average_activation_norm." + hook] = torch.tensor(norm)
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "sae_weights.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(
        sae_type="sae", d_model=D, expansion_factor=expansion, hook_point_in=hook, hook_point_out=hook, use_decoder_bias=True,
        act_fn="jumprelu", norm_activation="dataset-wise", top_k=20)))
    encoded(name, by_saelens(folder.parent, "llama_scope_r1_distill", name="L1R", scale=D ** 0.5 / norm if kept else 1.5),
            rows())


def make_goodfire(name):
    (OUT / name).mkdir()
    file = "Llama-3.1-8B-Instruct-SAE-l19.pth"
    torch.save(linear_state("encoder_linear", "decoder_linear"), OUT / name / file)
    encoded(name, by_saelens(OUT / name, "goodfire", repo="Goodfire/Llama-3.1-8B-Instruct-SAE-l19", name=file, d_in=D, d_sae=F),
            rows())


def make_deepseek(name):
    (OUT / name).mkdir()
    file = "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt"
    torch.save(linear_state(), OUT / name / file)
    encoded(name, by_saelens(OUT / name, "deepseek_r1", name=file, d_in=D, d_sae=F), rows())


def make_qwen_scope(name):
    folder = OUT / name / "SAE-Res-Qwen3-1.7B-Base-W32K-L0_5"
    folder.mkdir(parents=True)
    torch.save(dict(W_enc=torch.randn(F, D) * 0.35, W_dec=torch.randn(D, F) * 0.35, b_enc=torch.randn(F) * 0.2,
                    b_dec=torch.randn(D) * 0.2), folder / "layer1.sae.pt")
    encoded(name, by_saelens(folder, "qwen_scope", repo="Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_5", name="layer1.sae.pt", d_in=D,
                             d_sae=F), rows())


def make_hook_z(name):
    folder = OUT / name
    folder.mkdir()
    torch.save(dict(W_enc=torch.randn(D, F) * 0.35, W_dec=torch.randn(F, D) * 0.35, b_enc=torch.randn(F) * 0.2,
                    b_dec=torch.randn(D) * 0.2), folder / "gpt2-small_L1_Hcat_z_v9.pt")
    (folder / "gpt2-small_L1_Hcat_z_v9_cfg.json").write_text(json.dumps(dict(
        seed=49, lr=0.0012, l1_coeff=1.8, act_size=D, dict_size=F, act_name="blocks.1.attn.hook_z", layer=1)))
    sae = by_saelens(folder, "connor_rob_hook_z", name=str(folder / "gpt2-small_L1_Hcat_z_v9.pt"))
    x = rows()
    heads = x.view(N, 3, D // 3)
    f = sae.encode(heads)
    golden(name, x, f, sae.decode(f).reshape(N, D))


CIRCUIT_TRACER = """# what circuit-tracer reads
model_name: "Qwen/Qwen3-4B"
model_kind: transcoder_set
transcoders:
  - hf://mwhanna/qwen3-4b-transcoders/layer_0.safetensors
feature_input_hook: mlp.hook_in
feature_output_hook: "hook_mlp_out"
"""


def make_circuit_tracer(name, skip=False):
    folder = OUT / name
    folder.mkdir()
    t = dict(W_enc=torch.randn(F, D) * 0.35, W_dec=torch.randn(F, D) * 0.35, b_enc=torch.randn(F) * 0.2, b_dec=torch.randn(D) * 0.2)
    if skip:
        t["W_skip"] = torch.randn(D, D) * 0.3
    save_file(t, folder / "layer_1.safetensors")
    (folder / "config.yaml").write_text(CIRCUIT_TRACER)
    x = rows()
    if skip:  # which SAELens' loader does not know: the formula
        f = torch.relu(x @ t["W_enc"].T + t["b_enc"])
        golden(name, x, f, f @ t["W_dec"] + t["b_dec"] + x @ t["W_skip"].T)
        return
    (folder / "wandb-config.yaml").write_text(f"d_model:\n  value: {D}\nd_feature:\n  value: {F}\nbatch_size:\n  value: 64\n")
    encoded(name, by_saelens(folder, "mwhanna_transcoder", name="layer_1.safetensors"), x)


def make_circuit_tracer_clt(name):
    folder = OUT / name
    folder.mkdir()
    save_file(dict(W_enc_1=torch.randn(F, D) * 0.35, b_enc_1=torch.randn(F) * 0.2, b_dec_1=torch.randn(D) * 0.2),
              folder / "W_enc_1.safetensors")
    save_file(dict(W_dec_1=torch.randn(F, 2, D) * 0.3), folder / "W_dec_1.safetensors")
    (folder / "config.yaml").write_text(CIRCUIT_TRACER.replace("transcoder_set", "cross_layer_transcoder").replace(
        "mlp.hook_in", "hook_resid_mid"))
    encoded(name, by_saelens(folder, "mntss_clt_layer_transcoder", name="1"), rows(), reconstruct=False)


def make_gemma_scope_embedding(name):
    folder = OUT / name / "gemma-scope-2b-pt-res" / "embedding" / "width_70" / "average_l0_6"
    folder.mkdir(parents=True)
    arrays = dict(W_enc=torch.randn(D, F), W_dec=torch.randn(F, D) * 0.1, b_enc=torch.randn(F) * 0.2, b_dec=torch.randn(D) * 0.2,
                  threshold=torch.rand(F) * 0.8)
    np.savez(folder / "params.npz", **{k: v.numpy() for k, v in arrays.items()})
    inner = "embedding/width_70/average_l0_6"
    encoded(name, by_saelens(OUT / name / "gemma-scope-2b-pt-res", "gemma_2", repo="google/gemma-scope-2b-pt-res", name=inner,
                             d_in=D, d_sae=F), rows())


# SAELens' other training checkpoints, and what only its older versions wrote.

def make_saelens_checkpoint(name, training, **cfg):
    """The training class's own folder; the values are those of the coder it makes for inference."""
    from sae_lens import SAE
    from sae_lens.registry import get_sae_training_class
    train_class, cfg_class = get_sae_training_class(training)
    sae = train_class(cfg_class(d_in=D, d_sae=F, **cfg))
    fill(sae)
    if hasattr(sae, "log_threshold"):
        sae.log_threshold.data = torch.randn(F) * 0.3 - 1
    if hasattr(sae, "topk_threshold"):
        sae.topk_threshold = torch.tensor(0.4, dtype=torch.double)
    for key, value in resid().items():
        setattr(sae.cfg.metadata, key, value)
    sae.save_model(OUT / name)
    final = OUT / (name + "-for-inference")
    sae.save_inference_model(final)
    encoded(name, SAE.load_from_disk(final), rows())
    shutil.rmtree(final)


def make_saelens_by_hand(name, tanh=False):
    """Configurations of 3.x to 5.x that SAELens 6 does not read any more: the formula."""
    folder = OUT / name
    folder.mkdir()
    t = dict(W_enc=torch.randn(D, F) * 0.35, W_dec=torch.randn(F, D) * 0.35, b_enc=torch.randn(F) * 0.2, b_dec=torch.randn(D) * 0.2)
    factor = torch.ones(F)
    if not tanh:
        factor = t["scaling_factor"] = 0.5 + torch.rand(F)
    save_file(t, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(dict(d_in=D, d_sae=F, dtype="torch.float32", **flat(
        architecture="standard", activation_fn_str="tanh-relu" if tanh else "relu", finetuning_scaling_factor=not tanh))))
    x = rows()
    f = torch.relu((x - t["b_dec"]) @ t["W_enc"] + t["b_enc"])
    f = torch.tanh(f) if tanh else f
    golden(name, x, f, (f * factor) @ t["W_dec"] + t["b_dec"])


def make_saelens_hook_z(name):
    from sae_lens import SAE
    from sae_lens.registry import get_sae_class
    sae_class, cfg_class = get_sae_class("standard")
    sae = sae_class(cfg_class(d_in=D, d_sae=F, reshape_activations="hook_z"))
    fill(sae)
    for key, value in dict(resid(), hook_name="blocks.1.attn.hook_z").items():
        setattr(sae.cfg.metadata, key, value)
    sae.save_model(OUT / name)
    sae = SAE.load_from_disk(OUT / name)
    x = rows()
    f = sae.encode(x.view(N, 3, D // 3))
    golden(name, x, f, sae.decode(f).reshape(N, D))


def make_sparsify_first(name):
    """The first release's names of tensors, in the folder of a training with several seeds."""
    folder = OUT / name / "layers.1" / "seed3"
    folder.mkdir(parents=True)
    t = dict(W_enc=torch.randn(D, F) * 0.35, W_dec=torch.randn(F, D) * 0.35, b_enc=torch.randn(F) * 0.2, b_dec=torch.randn(D) * 0.2)
    save_file(t, folder / "sae.safetensors")
    (folder / "cfg.json").write_text(json.dumps(dict(expansion_factor=32, normalize_decoder=True, num_latents=F, k=K, d_in=D)))
    x = rows()
    top = torch.topk(torch.relu((x - t["b_dec"]) @ t["W_enc"] + t["b_enc"]), K)
    f = torch.zeros(N, F).scatter_(1, top.indices, top.values)
    golden(name, x, f, f @ t["W_dec"] + t["b_dec"])


# Layouts that no installable library writes or reads rightly: the documented tensors, the documented formula.

def make_gemma_scope(name, folder, lower=False):
    folder = OUT / name / folder
    folder.mkdir(parents=True)
    w_enc, w_dec = torch.randn(D, F) * 0.35, torch.randn(F, D) * 0.35
    b_enc, b_dec, threshold = torch.randn(F) * 0.2, torch.randn(D) * 0.2, torch.rand(F) * 0.8
    arrays = dict(W_enc=w_enc, W_dec=w_dec, b_enc=b_enc, b_dec=b_dec, threshold=threshold)
    if lower:
        arrays = {k.lower(): v for k, v in arrays.items()}
    np.savez(folder / "params.npz", **{k: v.numpy() for k, v in arrays.items()})
    x = rows()
    z = x @ w_enc + b_enc
    f = torch.relu(z) * (z > threshold)
    golden(name, x, f, f @ w_dec + b_dec)


def make_gemma_scope_2(name):
    folder = OUT / name
    folder.mkdir(parents=True)
    t = dict(w_enc=torch.randn(D, F) * 0.35, w_dec=torch.randn(F, O) * 0.35, b_enc=torch.randn(F) * 0.2,
             b_dec=torch.randn(O) * 0.2, threshold=torch.rand(F) * 0.8, affine_skip_connection=torch.randn(D, O) * 0.3)
    save_file(t, folder / "params.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(
        architecture="jump_relu", model_name="google/gemma-3-270m", l0=20, width=F, affine_connection=True,
        hf_hook_point_in="model.layers.1.pre_feedforward_layernorm.output",
        hf_hook_point_out="model.layers.1.post_feedforward_layernorm.output")))
    x = rows()
    z = x @ t["w_enc"] + t["b_enc"]
    f = torch.relu(z) * (z > t["threshold"])
    golden(name, x, f, f @ t["w_dec"] + t["b_dec"] + x @ t["affine_skip_connection"])


def make_openai(name, topk):
    """Tensors and formula of openai/sparse_autoencoder, which PyPI does not have."""
    folder = OUT / name / ("resid_post_mlp_v5_32k" if topk else "mlp_post_act") / "autoencoders"
    folder.mkdir(parents=True)
    pre, latent = torch.randn(D) * 0.2, torch.randn(F) * 0.2
    enc, dec = torch.randn(F, D) * 0.35, torch.randn(D, F) * 0.35
    state = {"pre_bias": pre, "latent_bias": latent, "encoder.weight": enc, "decoder.weight": dec,
             "stats_last_nonzero": torch.zeros(F, dtype=torch.long), "latents_activation_frequency": torch.ones(F),
             "latents_mean_square": torch.ones(F), "activation": "TopK" if topk else "ReLU",
             "activation_state_dict": {"k": K, "postact_fn": "ReLU"} if topk else {}}
    torch.save(state, folder / "1.pt")
    x = rows()
    u = x
    if topk:
        mu = x.mean(-1, keepdim=True)
        u = x - mu
        std = u.std(-1, keepdim=True)
        u = u / (std + 1e-5)
    z = torch.nn.functional.linear(u - pre, enc, latent)
    if topk:
        values, indices = torch.topk(z, K)
        f = torch.zeros_like(z).scatter_(-1, indices, torch.relu(values))
    else:
        f = torch.relu(z)
    y = f @ dec.T + pre
    golden(name, x, f, y * std + mu if topk else y)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    jobs = []

    def job(make, name, *args, **kwargs):
        jobs.append((make, name, args, kwargs))

    job(make_sparsify, "sparsify-topk")
    job(make_sparsify, "sparsify-groupmax", activation="groupmax")
    job(make_sparsify, "sparsify-multi-topk", multi_topk=True)
    job(make_sparsify, "sparsify-transcoder", hookpoint="layers.1.mlp", transcode=True)
    job(make_sparsify, "sparsify-skip-transcoder", hookpoint="layers.1.mlp", transcode=True, skip_connection=True)

    job(make_saelens, "saelens-standard", "standard", metadata=resid())
    job(make_saelens, "saelens-no-b-dec", "standard", metadata=resid(), apply_b_dec_to_input=False)
    job(make_saelens, "saelens-gated", "gated", metadata=resid())
    job(make_saelens, "saelens-topk", "topk", metadata=resid(), k=K)
    job(make_saelens, "saelens-topk-rescaled", "topk", metadata=resid(), k=K, rescale_acts_by_decoder_norm=True)
    job(make_saelens, "saelens-jumprelu", "jumprelu", metadata=resid())
    job(make_saelens, "saelens-layer-norm", "standard", metadata=resid(), normalize_activations="layer_norm")
    job(make_saelens, "saelens-constant-norm", "jumprelu", metadata=resid(), normalize_activations="constant_norm_rescale")
    job(make_saelens, "saelens-average-norm", "standard", metadata=resid(),
        normalize_activations="expected_average_only_in", edit=fold_average)
    job(make_saelens_batchtopk, "saelens-batchtopk")
    transcoder = dict(model_name="gpt2-small", hook_name="blocks.1.ln2.hook_normalized",
                      hook_name_out="blocks.1.hook_mlp_out", sae_lens_version="6.54.12")
    job(make_saelens, "saelens-transcoder", "transcoder", d_out=O, apply_b_dec_to_input=False, metadata=transcoder)
    job(make_saelens, "saelens-skip-transcoder", "skip_transcoder", d_out=O, apply_b_dec_to_input=False, metadata=transcoder)
    job(make_saelens, "saelens-jumprelu-transcoder", "jumprelu_transcoder", d_out=O, apply_b_dec_to_input=False, metadata=transcoder)
    # configurations of 3.x to 5.x, over weights that have the same names and shapes
    job(make_saelens, "saelens-old-standard", "standard", old=flat(architecture="standard", activation_fn_str="relu",
        apply_b_dec_to_input=True, normalize_activations="none", finetuning_scaling_factor=False))
    job(make_saelens, "saelens-old-no-architecture", "standard", old=dict(
        model_name="gpt2-small", hook_point="blocks.1.hook_resid_pre", hook_point_layer=1, hook_point_head_index=None))
    job(make_saelens, "saelens-old-gated", "gated", old=flat(architecture="gated", activation_fn_str="relu",
        apply_b_dec_to_input=False, normalize_activations="none"))
    job(make_saelens, "saelens-old-topk", "topk", k=K, old=flat(architecture="standard", activation_fn_str="topk",
        activation_fn_kwargs={"k": K}, normalize_activations="none"))
    job(make_saelens, "saelens-old-jumprelu", "jumprelu", old=flat(architecture="jumprelu", activation_fn_str="relu",
        normalize_activations="layer_norm"))

    job(make_gemma_scope, "gemma-scope", "gemma-scope-2b-pt-res/layer_1/width_70/average_l0_20")
    job(make_gemma_scope, "gemma-scope-lower-case", "gemma-scope-2b-pt-att/layer_1/width_70/average_l0_20", lower=True)
    job(make_gemma_scope_2, "gemma-scope-2")

    from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    def dictionary(name, build, **more):
        jobs.append((lambda n, *a, **k: make_dictionary(n, build(), **more), name, (), {}))

    dictionary("dictionary-autoencoder", lambda: AutoEncoder(D, F), load=AutoEncoder.from_pretrained)
    dictionary("dictionary-autoencoder-new", lambda: AutoEncoderNew(D, F), load=AutoEncoderNew.from_pretrained)
    dictionary("dictionary-gated", lambda: GatedAutoEncoder(D, F), load=GatedAutoEncoder.from_pretrained)
    dictionary("dictionary-jumprelu", lambda: JumpReluAutoEncoder(D, F), load=JumpReluAutoEncoder.from_pretrained)
    dictionary("dictionary-topk", lambda: AutoEncoderTopK(D, F, K), load=AutoEncoderTopK.from_pretrained, k=K)
    dictionary("dictionary-batchtopk", lambda: BatchTopKSAE(D, F, K), load=BatchTopKSAE.from_pretrained, k=K)
    dictionary("dictionary-matryoshka", lambda: MatryoshkaBatchTopKSAE(D, F, K, [20, 50]),
               load=MatryoshkaBatchTopKSAE.from_pretrained, k=K)

    job(make_openai, "openai-topk", True)
    job(make_openai, "openai-relu", False)

    job(make_llama_scope, "llama-scope")
    job(make_llama_scope, "llama-scope-transcoder", out_norm=0.8)
    job(make_llama_scope_r1, "llama-scope-r1", kept=False)
    job(make_llama_scope_r1, "llama-scope-r1-kept-norm", kept=True)
    job(make_goodfire, "goodfire")
    job(make_deepseek, "deepseek-r1")
    job(make_qwen_scope, "qwen-scope")
    job(make_hook_z, "hook-z")
    job(make_circuit_tracer, "circuit-tracer")
    job(make_circuit_tracer, "circuit-tracer-skip", skip=True)
    job(make_circuit_tracer_clt, "circuit-tracer-clt")
    job(make_gemma_scope_embedding, "gemma-scope-embedding")
    job(make_saelens_checkpoint, "saelens-jumprelu-checkpoint", "jumprelu")
    job(make_saelens_checkpoint, "saelens-topk-checkpoint", "topk", k=K)
    job(make_saelens_checkpoint, "saelens-matryoshka-checkpoint", "matryoshka_batchtopk", k=K, matryoshka_widths=[20, F])
    job(make_saelens, "saelens-jumprelu-skip-transcoder", "jumprelu_skip_transcoder", d_out=O, apply_b_dec_to_input=False,
        metadata=transcoder)
    job(make_saelens_hook_z, "saelens-hook-z")
    job(make_saelens_by_hand, "saelens-old-finetuned")
    job(make_saelens_by_hand, "saelens-old-tanh-relu", tanh=True)
    job(make_sparsify_first, "sparsify-first-release")

    with torch.no_grad():
        for i, (make, name, args, kwargs) in enumerate(jobs):
            torch.manual_seed(i + 1)
            make(name, *args, **kwargs)
            print(name)


if __name__ == "__main__":
    main()
