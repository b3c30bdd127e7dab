"""Writes tests/golden/h5/: tiny checkpoints by the TensorFlow classes that transformers removed.

The files in git are what the tests read; this script says how they were made. It needs Python
3.11 or 3.12 in an environment of its own, because these versions and ktlite's exclude each
other:

    pip install tensorflow-cpu==2.19.1 "tf-keras~=2.19.0" transformers==4.57.6 numpy==1.26.4
    TF_USE_LEGACY_KERAS=1 python tests/golden/make_h5.py              # all
    TF_USE_LEGACY_KERAS=1 python tests/golden/make_h5.py bert-span    # these only

Each folder holds `config.json` and `tf_model.h5` as `save_pretrained` writes them, which is
also what ktrain's `predictor.save` called, and `expected.npz`:

    input_ids, attention_mask, token_type_ids   int32 [3, 8]; padded rows of 8, 6 and 3 tokens
    logits                                      float32, as `tests/golden/make_golden.py` has them

`bert-sharded` holds the same model as `bert` in several files.
"""

from __future__ import annotations

import inspect
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import transformers

HERE = Path(__file__).parent / "h5"
LENGTHS = (8, 6, 3)

BERT = {
    "model_type": "bert",
    "vocab_size": 31,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 10,
    "type_vocab_size": 2,
}
SMALL = {name: value for name, value in BERT.items() if name != "type_vocab_size"}
ROBERTA = {**BERT, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5}
DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 31,
    "dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 24,
    "max_position_embeddings": 10,
}
# The class's name without TF and head, and the fields of its config.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", BERT),
    "roberta": ("Roberta", {**ROBERTA, "model_type": "roberta"}),
    "xlm_roberta": ("XLMRoberta", {**ROBERTA, "model_type": "xlm-roberta"}),
    "camembert": ("Camembert", {**ROBERTA, "model_type": "camembert"}),
    "distilbert": ("DistilBert", DISTILBERT),
    "electra": ("Electra", {**BERT, "model_type": "electra", "embedding_size": 8}),
    "albert": ("Albert", {**BERT, "model_type": "albert", "embedding_size": 8}),
    "mpnet": ("MPNet", {**SMALL, "model_type": "mpnet"}),
    "deberta": (
        "DebertaV2",
        {
            **SMALL,
            "model_type": "deberta-v2",
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_buckets": 4,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "conv_kernel_size": 3,
        },
    ),
}
HEADS = {
    "": "ForSequenceClassification",
    "-token": "ForTokenClassification",
    "-span": "ForQuestionAnswering",
    "-mlm": "ForMaskedLM",
}
SHARDED = "bert-sharded"
NAMES = [
    *("bert", "bert-span", "bert-mlm", SHARDED),
    *("roberta", "xlm_roberta-mlm", "camembert-token"),
    *("distilbert", "distilbert-mlm", "electra", "electra-mlm", "albert", "albert-mlm"),
    *("mpnet", "mpnet-mlm", "deberta", "deberta-mlm"),
]


def random_model(family: str, suffix: str) -> Any:
    """Makes a model whose every weight matters to the result."""
    stem, fields = FAMILIES[family]
    fields = {**fields, "num_labels": 2 if suffix == "-span" else 3}
    if (family, suffix) != ("bert", ""):  # one file with several layers is enough
        fields["n_layers" if "n_layers" in fields else "num_hidden_layers"] = 1
    config = transformers.AutoConfig.for_model(**fields)
    model = getattr(transformers, f"TF{stem}{HEADS[suffix]}")(config)
    model.build_in_name_scope()
    draw = np.random.default_rng(0)
    for weight in model.weights:
        mean, stddev = (0.0, 0.3) if len(weight.shape) > 1 else (0.0, 0.5)
        if "gamma" in weight.name:
            mean, stddev = 1.0, 0.2
        weight.assign(draw.normal(mean, stddev, weight.shape))
    return model


def random_batch(model: Any) -> dict[str, np.ndarray]:
    config, longest = model.config, max(LENGTHS)
    draw = np.random.default_rng(1)
    mask = (np.arange(longest) < np.array(LENGTHS)[:, None]).astype(np.int32)
    ids = draw.integers(5, config.vocab_size, mask.shape)
    batch = {
        "input_ids": np.where(mask, ids, config.pad_token_id).astype(np.int32),
        "attention_mask": mask,
    }
    takes_types = "token_type_ids" in inspect.signature(model.call).parameters
    if takes_types and config.type_vocab_size > 1:
        batch["token_type_ids"] = (draw.integers(0, 2, mask.shape) * mask).astype(np.int32)
    return batch


def write_model(name: str) -> None:
    family, _, head = name.removesuffix("-sharded").partition("-")
    suffix = f"-{head}" if head else ""
    model = random_model(family, suffix)
    batch = random_batch(model)
    outputs = model(batch, training=False)
    if "start_logits" in outputs:
        logits = np.stack([outputs.start_logits, outputs.end_logits], axis=-1)
    else:
        logits = outputs.logits.numpy()

    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    size = "12KB" if name == SHARDED else "5GB"
    model.save_pretrained(folder, max_shard_size=size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    np.savez_compressed(folder / "expected.npz", logits=logits, **batch)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or NAMES:
        write_model(chosen)
