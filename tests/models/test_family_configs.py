"""What published checkpoints of each family have in their files, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ktlite.errors import CheckpointError
from ktlite.models import from_config, from_pretrained, get_family
from ktlite.models.config import ConfigReader

TASK = "text-classification"
SIZES = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "type_vocab_size": 2,
}
# Written from memory of the hub's files (not copies; file keeping left out), and the longest
# text that each takes.
PUBLISHED = {
    "xlm-roberta-base": (
        {
            **SIZES,
            "model_type": "xlm-roberta",
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 514,
            "output_past": True,
            "pad_token_id": 1,
            "position_embedding_type": "absolute",
            "type_vocab_size": 1,
            "use_cache": True,
            "vocab_size": 250002,
        },
        512,
    ),
    "distilbert-base-uncased": (
        {
            "model_type": "distilbert",
            "activation": "gelu",
            "attention_dropout": 0.1,
            "dim": 768,
            "dropout": 0.1,
            "hidden_dim": 3072,
            "initializer_range": 0.02,
            "max_position_embeddings": 512,
            "n_heads": 12,
            "n_layers": 6,
            "pad_token_id": 0,
            "qa_dropout": 0.1,
            "seq_classif_dropout": 0.2,
            "sinusoidal_pos_embds": False,
            "tie_weights_": True,
            "vocab_size": 30522,
        },
        512,
    ),
    "electra-small-discriminator": (
        {
            **SIZES,
            "model_type": "electra",
            "embedding_size": 128,
            "hidden_size": 256,
            "intermediate_size": 1024,
            "layer_norm_eps": 1e-12,
            "num_attention_heads": 4,
            "summary_activation": "gelu",
            "summary_last_dropout": 0.1,
            "summary_type": "first",
            "summary_use_proj": True,
            "vocab_size": 30522,
        },
        512,
    ),
    "albert-base-v2": (
        {
            **SIZES,
            "model_type": "albert",
            "attention_probs_dropout_prob": 0,
            "classifier_dropout_prob": 0.1,
            "down_scale_factor": 1,
            "embedding_size": 128,
            "gap_size": 0,
            "hidden_act": "gelu_new",
            "hidden_dropout_prob": 0,
            "inner_group_num": 1,
            "layer_norm_eps": 1e-12,
            "layers_to_keep": [],
            "net_structure_type": 0,
            "num_hidden_groups": 1,
            "num_memory_blocks": 0,
            "vocab_size": 30000,
        },
        512,
    ),
    "all-mpnet-base-v2": (
        {
            **{name: value for name, value in SIZES.items() if name != "type_vocab_size"},
            "model_type": "mpnet",
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 514,
            "pad_token_id": 1,
            "relative_attention_num_buckets": 32,
            "vocab_size": 30527,
        },
        512,
    ),
    "ModernBERT-base": (
        {
            "model_type": "modernbert",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "classifier_activation": "gelu",
            "classifier_bias": False,
            "classifier_dropout": 0.0,
            "classifier_pooling": "mean",
            "decoder_bias": True,
            "deterministic_flash_attn": False,
            "embedding_dropout": 0.0,
            "global_attn_every_n_layers": 3,
            "global_rope_theta": 160000.0,
            "gradient_checkpointing": False,
            "hidden_activation": "gelu",
            "hidden_size": 768,
            "initializer_cutoff_factor": 2.0,
            "initializer_range": 0.02,
            "intermediate_size": 1152,
            "layer_norm_eps": 1e-05,
            "local_attention": 128,
            "local_rope_theta": 10000.0,
            "max_position_embeddings": 8192,
            "mlp_bias": False,
            "mlp_dropout": 0.0,
            "norm_bias": False,
            "norm_eps": 1e-05,
            "num_attention_heads": 12,
            "num_hidden_layers": 22,
            "position_embedding_type": "absolute",
            "reference_compile": None,
            "repad_logits_with_grad": False,
            "sparse_pred_ignore_index": -100,
            "sparse_prediction": False,
            "vocab_size": 50368,
        },
        8192,
    ),
    "deberta-v3-base": (
        {
            **SIZES,
            "model_type": "deberta-v2",
            "layer_norm_eps": 1e-07,
            "max_relative_positions": -1,
            "norm_rel_ebd": "layer_norm",
            "pooler_dropout": 0,
            "pooler_hidden_act": "gelu",
            "pooler_hidden_size": 768,
            "pos_att_type": "p2c|c2p",
            "position_biased_input": False,
            "position_buckets": 256,
            "relative_attention": True,
            "share_att_key": True,
            "type_vocab_size": 0,
            "vocab_size": 128100,
        },
        512,
    ),
    "deberta-v2-xlarge": (
        {
            **SIZES,
            "model_type": "deberta-v2",
            "attention_head_size": 64,
            "conv_act": "gelu",
            "conv_kernel_size": 3,
            "hidden_size": 1536,
            "intermediate_size": 6144,
            "layer_norm_eps": 1e-07,
            "max_relative_positions": -1,
            "norm_rel_ebd": "layer_norm",
            "num_attention_heads": 24,
            "num_hidden_layers": 24,
            "pos_att_type": "p2c|c2p",
            "position_biased_input": False,
            "position_buckets": 256,
            "relative_attention": True,
            "share_att_key": True,
            "type_vocab_size": 0,
            "vocab_size": 128100,
        },
        512,
    ),
    "Mistral-7B-v0.3": (
        {
            "model_type": "mistral",
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "hidden_size": 4096,
            "initializer_range": 0.02,
            "intermediate_size": 14336,
            "max_position_embeddings": 32768,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-05,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "tie_word_embeddings": False,
            "vocab_size": 32768,
        },
        32768,
    ),
    "Qwen3-0.6B": (
        {
            "model_type": "qwen3",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 1024,
            "initializer_range": 0.02,
            "intermediate_size": 3072,
            "max_position_embeddings": 40960,
            "max_window_layers": 28,
            "num_attention_heads": 16,
            "num_hidden_layers": 28,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 1000000,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "vocab_size": 151936,
        },
        40960,
    ),
    "pythia-70m": (
        {
            "model_type": "gpt_neox",
            "hidden_act": "gelu",
            "hidden_size": 512,
            "initializer_range": 0.02,
            "intermediate_size": 2048,
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 2048,
            "num_attention_heads": 8,
            "num_hidden_layers": 6,
            "rotary_emb_base": 10000,
            "rotary_pct": 0.25,
            "tie_word_embeddings": False,
            "use_parallel_residual": True,
            "vocab_size": 50304,
        },
        2048,
    ),
    "opt-125m": (
        {
            "model_type": "opt",
            "_remove_final_layer_norm": False,
            "activation_dropout": 0.0,
            "activation_function": "relu",
            "attention_dropout": 0.0,
            "do_layer_norm_before": True,
            "dropout": 0.1,
            "ffn_dim": 3072,
            "hidden_size": 768,
            "init_std": 0.02,
            "layerdrop": 0.0,
            "max_position_embeddings": 2048,
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "pad_token_id": 1,
            "prefix": "</s>",
            "vocab_size": 50272,
            "word_embed_proj_dim": 768,
        },
        2048,
    ),
    "gemma-3-1b-it": (
        {
            "model_type": "gemma3_text",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attn_logit_softcapping": None,
            "cache_implementation": "hybrid",
            "final_logit_softcapping": None,
            "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size": 1152,
            "initializer_range": 0.02,
            "intermediate_size": 6912,
            "max_position_embeddings": 32768,
            "num_attention_heads": 4,
            "num_hidden_layers": 26,
            "num_key_value_heads": 1,
            "query_pre_attn_scalar": 256,
            "rms_norm_eps": 1e-06,
            "rope_local_base_freq": 10000,
            "rope_scaling": None,
            "rope_theta": 1000000,
            "sliding_window": 512,
            "sliding_window_pattern": 6,
            "vocab_size": 262144,
        },
        32768,
    ),
    "umt5-small": (
        {
            "model_type": "umt5",
            "classifier_dropout": 0.0,
            "d_ff": 1024,
            "d_kv": 64,
            "d_model": 512,
            "decoder_start_token_id": 0,
            "dense_act_fn": "gelu_new",
            "dropout_rate": 0.1,
            "feed_forward_proj": "gated-gelu",
            "initializer_factor": 1.0,
            "is_encoder_decoder": True,
            "is_gated_act": True,
            "layer_norm_epsilon": 1e-06,
            "num_decoder_layers": 8,
            "num_heads": 6,
            "num_layers": 8,
            "output_past": True,
            "relative_attention_max_distance": 128,
            "relative_attention_num_buckets": 32,
            "scalable_attention": True,
            "tie_word_embeddings": False,
            "vocab_size": 256384,
        },
        512,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_config_is_read_in_full(name: str) -> None:
    config, longest = PUBLISHED[name]
    reader = ConfigReader(config)
    spec = get_family(config["model_type"]).spec(reader)
    reader.finish()
    assert spec.max_positions == longest
    assert spec.last.stack.layers == config[get_family(config["model_type"]).layers_field]
    names = [field.name for field in spec.fields]
    assert ("token_type_ids" in names) == (config.get("type_vocab_size", 0) > 1)


@pytest.mark.torch
@pytest.mark.parametrize(
    "model_type",
    ["albert", "bert", "camembert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet",
     "deit", "gemma3_text", "gpt2", "gpt_neox", "llama", "mistral", "mt5", "opt", "qwen2", "qwen3",
     "roberta", "t5", "umt5", "vit", "xlm-roberta"],
)  # fmt: skip
def test_defaults_are_those_of_the_config_class(model_type: str) -> None:
    """An empty config reads as one in which every default is spelled out."""
    from transformers import AutoConfig

    whole = AutoConfig.for_model(model_type).to_dict()
    family = get_family(model_type)
    reader = ConfigReader(whole)
    spelled_out = family.spec(reader)
    reader.finish()
    assert family.spec(ConfigReader({"model_type": model_type})) == spelled_out


HIDDEN = {"hidden_dropout_prob": 0.2}
BOTH = {**HIDDEN, "classifier_dropout": 0.3}


@pytest.mark.parametrize(
    ("model_type", "task", "fields", "dropout"),
    [
        ("albert", "multiple-choice", {**HIDDEN, "classifier_dropout_prob": 0.3}, 0.3),
        ("bert", "multiple-choice", BOTH, 0.3),
        ("bert", "multiple-choice", HIDDEN, 0.2),
        ("deberta-v2", "multiple-choice", {**HIDDEN, "cls_dropout": 0.3}, 0.3),
        ("distilbert", "multiple-choice", {"dropout": 0.2, "seq_classif_dropout": 0.3}, 0.3),
        ("electra", "multiple-choice", {**BOTH, "summary_last_dropout": 0.4}, 0.4),
        ("modernbert", "multiple-choice", {"classifier_dropout": 0.3}, 0.3),
        ("mpnet", "multiple-choice", HIDDEN, 0.2),
        ("roberta", "multiple-choice", BOTH, 0.2),  # not what its classifier has
        ("albert", "pretraining", {**HIDDEN, "classifier_dropout_prob": 0.3}, 0.3),
        ("bert", "pretraining", BOTH, 0.0),
        ("electra", "pretraining", BOTH, 0.0),
    ],
)
def test_dropout_of_a_head_is_that_of_pytorch(
    model_type: str, task: str, fields: dict[str, Any], dropout: float
) -> None:
    """As its modelling file has it; whether it drops is no matter of the golden files."""
    spec = get_family(model_type).spec(ConfigReader({"model_type": model_type, **fields}))
    head = spec.heads[task]
    assert max(head.dropout, head.pair_dropout) == dropout
    assert head.input_dropout == 0.0


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("albert-mlm", ["predictions.decoder.bias", "sop_classifier.classifier.weight"]),
        ("albert-mlm", ["albert.pooler.weight"]),
        ("bert-mlm", ["cls.predictions.decoder.weight", "cls.seq_relationship.weight"]),
        ("deberta-mlm", ["mask_predictions.dense.weight", "lm_predictions.lm_head.bias"]),
        ("distilbert-mlm", ["vocab_projector.weight", "pre_classifier.bias"]),
        ("electra-mlm", ["generator_lm_head.weight", "electra.embeddings.position_ids"]),
        ("electra", ["discriminator_predictions.dense.weight"]),
        ("modernbert-mlm", ["decoder.weight"]),
        ("mpnet-mlm", ["mpnet.pooler.dense.weight", "lm_head.decoder.weight"]),
        ("roberta-mlm", ["roberta.pooler.dense.weight", "lm_head.decoder.bias"]),
    ],
)
def test_tensors_of_the_pretraining_are_known(
    golden: Path, folder: str, names: list[str], write_checkpoint: Callable[..., Path]
) -> None:
    config = json.loads((golden / folder / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(golden / folder / "model.safetensors")
    more = {name: np.zeros(1, np.float32) for name in names}
    from_pretrained(write_checkpoint(config, {**tensors, **more}))


@pytest.mark.parametrize(
    ("folder", "fields", "said"),
    [
        ("roberta", {"max_position_embeddings": 2}, "max_position_embeddings=2; expected more"),
        ("albert", {"inner_group_num": 2}, "inner_group_num=2"),
        ("albert", {"num_hidden_groups": 9}, "num_hidden_groups=9; expected at most"),
        ("distilbert", {"dim": 30}, "dim=30 is not divisible by n_heads=4"),
        ("mpnet", {"relative_attention_num_buckets": 8}, "relative_attention_num_buckets=8"),
        ("modernbert", {"layer_types": ["full_attention"]}, "layer_types=['full_attention']"),
        ("vit", {"image_size": [12]}, "image_size=[12]; expected a number of pixels, or [height"),
        ("vit", {"patch_size": 16}, "image_size=(12, 12), patch_size=(16, 16): no patch fits"),
        ("modernbert", {"hidden_size": 36, "num_attention_heads": 4}, "heads of width 9"),
        ("modernbert", {"classifier_pooling": "max"}, "classifier_pooling='max'"),
        (
            "modernbert",
            {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}},
            "expected rope_type 'default'",
        ),
        ("deberta", {"pos_att_type": ["p2p"]}, "pos_att_type=['p2p']"),
        ("deberta", {"relative_attention": False}, "without relative_attention=True"),
        ("deberta", {"norm_rel_ebd": "rms"}, "norm_rel_ebd='rms'"),
        ("deberta", {"conv_kernel_size": 4}, "conv_kernel_size=4; expected an odd number"),
        ("electra", {"summary_kind": 1}, "summary_kind"),
    ],
)
def test_config_that_would_change_the_numbers_is_refused(
    golden: Path, folder: str, fields: dict[str, Any], said: str
) -> None:
    config = json.loads((golden / folder / "config.json").read_text(encoding="utf-8"))
    with pytest.raises(CheckpointError) as caught:
        from_config({**config, **fields}, TASK)
    assert said in str(caught.value)


def test_old_fields_of_modernbert_mean_what_the_new_ones_do(golden: Path) -> None:
    config = json.loads((golden / "modernbert" / "config.json").read_text(encoding="utf-8"))
    new = from_config(config).spec
    old = {k: v for k, v in config.items() if k not in ("layer_types", "rope_parameters")}
    old |= {
        "global_attn_every_n_layers": 2,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "layer_norm_eps": 1e-05,
        "position_embedding_type": "absolute",
        "reference_compile": None,
        "repad_logits_with_grad": False,
    }
    assert from_config(old).spec == new


@pytest.mark.torch
@pytest.mark.parametrize("name", ["Mistral-7B-v0.3", "pythia-70m", "gemma-3-1b-it"])
def test_old_names_of_rotary_positions_mean_what_the_new_ones_do(name: str) -> None:
    """As transformers reads a file from before its version 5, and writes it."""
    from transformers import AutoConfig

    config = {**PUBLISHED[name][0], "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    family = get_family(config["model_type"])
    new = AutoConfig.for_model(**deepcopy(config)).to_dict()
    assert "rope_scaling" not in new
    assert family.spec(ConfigReader(config)) == family.spec(ConfigReader(new))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("modernbert", "model.layers.0.attn.Wo.bias"),
        ("modernbert", "model.layers.0.attn_norm.weight"),
        ("deberta", "deberta.encoder.conv.conv.bias"),
        ("albert", "albert.encoder.albert_layer_groups.2.albert_layers.0.ffn.bias"),
    ],
)
def test_tensor_of_a_part_that_the_config_leaves_out_is_refused(
    golden: Path, folder: str, name: str, write_checkpoint: Callable[..., Path]
) -> None:
    """A family's table knows the tensor, but this model has no variable for it."""
    config = json.loads((golden / folder / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(golden / folder / "model.safetensors")
    checkpoint = write_checkpoint(config, {**tensors, name: np.zeros(32, np.float32)})
    with pytest.raises(CheckpointError, match=f"does not account for: {name}"):
        from_pretrained(checkpoint, TASK)


def test_part_that_the_config_asks_for_must_be_in_the_checkpoint(
    golden: Path, write_checkpoint: Callable[..., Path]
) -> None:
    config = json.loads((golden / "modernbert" / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(golden / "modernbert" / "model.safetensors")
    checkpoint = write_checkpoint({**config, "norm_bias": True}, tensors)
    with pytest.raises(CheckpointError, match=r"tensor model\.embeddings\.norm\.bias is missing"):
        from_pretrained(checkpoint, TASK)
