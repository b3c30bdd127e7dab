"""Low-rank adapters (LoRA: Hu et al., 2021, arXiv:2106.09685), in the files of Hugging Face's PEFT.

Training changes two thin matrices beside each kernel of the encoder, and the head; all else
stays. What is saved as a checkpoint has the adapters in its kernels; `save_adapters` writes them
alone, a hundredth of the size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from keras import initializers, ops

from ktlite._labels import label_fields
from ktlite._logging import logger
from ktlite._tensor_writing import save_tensors
from ktlite.errors import ArgumentError, Problems
from ktlite.models.adapter_files import BASE, CONFIG, EXPECTED, LABELS, WEIGHTS
from ktlite.models.core.dense import Dense
from ktlite.models.families.shared import SEQUENCE, SPAN, TOKEN
from ktlite.models.families.writers import SEQ2SEQ, TEXT
from ktlite.models.head_labels import labels_of
from ktlite.models.mapping import SAME, Rule, expand, variable_at
from ktlite.models.towers import towers_of
from ktlite.storage import atomic_folder

_KERNEL = ".kernel"
# PEFT's names of tasks, and the modules of the head that it saves by itself. It has none for
# masked language models and multiple choice.
_TASKS = {
    None: ("FEATURE_EXTRACTION", ()),
    SEQUENCE: ("SEQ_CLS", ("classifier",)),
    TOKEN: ("TOKEN_CLS", ("classifier",)),
    SPAN: ("QUESTION_ANS", ("qa_outputs",)),
    TEXT: ("CAUSAL_LM", ()),
    SEQ2SEQ: ("SEQ_2_SEQ_LM", ()),
}


def add_adapters(model: Any, rank: int, alpha: float | None = None) -> None:
    """Gives every dense layer of a model's encoder an adapter; only they and the head train then.

    All of them, not the queries and values alone: Dettmers et al., 2023, arXiv:2305.14314,
    section 4. The second matrix of each begins with zeros, so that the model says the same as
    before.

    Args:
        model: A `TransformerModel`, not compiled yet.
        rank: Columns of an adapter's first matrix, rows of its second one.
        alpha: An adapter's product is scaled by `alpha / rank`. Default: twice the rank.

    Raises:
        ArgumentError: If the model has no encoder to adapt, or has adapters already.

    Example:
        >>> model = ktlite.load_model("my-bert", num_labels=2)
        >>> add_adapters(model, 8)
    """
    layers = _dense_layers(model)
    problems = Problems("lora")
    problems.add_unless(
        isinstance(rank, int) and rank > 0, f"rank {rank!r}; expected a whole number above 0."
    )
    problems.add_unless(
        alpha is None or alpha > 0, f"lora_alpha={alpha!r}; expected a number above 0."
    )
    problems.add_unless(
        bool(layers), f"a model of type {type(model).__name__} has no encoder with dense layers."
    )
    problems.add_unless(not has_adapters(model), "the model has adapters already.")
    problems.raise_if_any()
    frozen = [w for tower in towers_of(model) for layer in tower.layers for w in layer.weights]
    decoder = getattr(model.head, "decoder", None)
    if decoder is not None:
        # PEFT saves whole modules, and this bias is in one with the table of words.
        frozen += decoder.weights
    for variable in frozen:
        variable.trainable = False
    for number, layer in enumerate(layers):
        start = initializers.HeUniform(seed=model.seed + number)
        layer.enable_lora(rank, 2 * rank if alpha is None else alpha, a_initializer=start)
    trained = sum(int(ops.size(w)) for w in model.trainable_weights)
    share = 100 * trained / model.count_params()
    logger.info("lora: %s parameters train, %.1f %% of all", f"{trained:,}", share)


def has_adapters(model: Any) -> bool:
    """Says whether a model has adapters."""
    return any(layer.lora_enabled for layer in _dense_layers(model))


def _dense_layers(model: Any) -> list[Dense]:
    found = [layer for tower in towers_of(model) for layer in tower.stack._flatten_layers()]
    return [layer for layer in found if isinstance(layer, Dense)]


def save_adapters(
    model: Any, folder: str | os.PathLike[str], base: str = "", revision: str | None = None
) -> None:
    """Writes a model's adapters and its head, as PEFT's `PeftModel.from_pretrained` opens them.

    Args:
        model: A model that `add_adapters` was called on.
        folder: Where to write. Adapters that are there are replaced, anything else is refused.
        base: The checkpoint that they belong to: a path or a Hub name.
        revision: Its branch, tag or commit on the Hub.

    Raises:
        ArgumentError: If the model has no adapters, or the folder has something else in it.

    Example:
        >>> learner.save_adapters("reviews-adapters")
        >>> ktlite.load_model("bert-base-uncased", adapters="reviews-adapters")
    """
    layers = [layer for layer in _dense_layers(model) if layer.lora_enabled]
    if not layers:
        raise ArgumentError("save_adapters: the model has none; train it with lora=8.")
    prefix = model.family.prefixes[0] if model.stored_task else ""
    tensors: dict[str, np.ndarray] = {}
    targets: set[str] = set()
    lie_as_here = False
    for layer, rule in _adapted(model):
        names = rule.names(prefix)
        a, b = (ops.convert_to_numpy(x) for x in (layer.lora_kernel_a, layer.lora_kernel_b))
        # The columns of the second one are the kernel's, and lie in PyTorch as those do; but as
        # rows, whatever becomes of the kernel.
        parts = [b.T] if rule.op is SAME else rule.op.split(b, len(names))
        lie_as_here |= rule.op is SAME
        # Layers that are one of ours share the first matrix.
        for name, rows in zip(names, parts, strict=True):
            module = model.family.in_pytorch(name.removesuffix(".weight"))
            tensors[f"{BASE}{module}.lora_A.weight"] = a.T
            tensors[f"{BASE}{module}.lora_B.weight"] = rows
            targets.add(module)
    head = _head_tensors(model, prefix)
    tensors.update({BASE + name: value for name, value in head.items()})
    task_type, by_itself = _TASKS.get(model.stored_task, (None, ()))
    modules = [name.rsplit(".", 1)[0] for name in head]
    config = {
        **EXPECTED,
        "fan_in_fan_out": lie_as_here,
        "auto_mapping": None if task_type else _auto_mapping(model),
        "base_model_name_or_path": base or None,
        "revision": revision,
        "r": layers[0].lora_rank,
        "lora_alpha": layers[0].lora_alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(targets),
        "modules_to_save": _outermost([*modules, *by_itself]) or None,
        "task_type": task_type,
        "inference_mode": True,
    }
    with atomic_folder(folder, replace=_is_adapters) as new:
        save_tensors(tensors, new / WEIGHTS, {"format": "pt"})
        (new / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        if head and labels_of(model):  # PEFT's config has no place for them
            fields = json.dumps(label_fields(labels_of(model)), indent=2, ensure_ascii=False)
            (new / LABELS).write_text(fields + "\n", encoding="utf-8")


def _adapted(model: Any) -> Iterator[tuple[Dense, Rule]]:
    """Yields the layers that have adapters, and the rules of their kernels."""
    for rule in expand(model.family.names, model.spec):
        if rule.ours.endswith(_KERNEL):
            layer = variable_at(model, rule.ours.removesuffix(_KERNEL))
            if getattr(layer, "lora_enabled", False):
                yield layer, rule


def _head_tensors(model: Any, prefix: str) -> dict[str, np.ndarray]:
    rules: tuple[Rule, ...] = model.family.heads.get(model.stored_task, ())
    tensors: dict[str, np.ndarray] = {}
    for rule in rules:
        variable = variable_at(model, rule.ours)
        if variable is not None and variable.trainable:
            names = rule.names(prefix)
            parts = rule.op.split(ops.convert_to_numpy(variable), len(names))
            modules = map(model.family.in_pytorch, names)
            tensors.update(zip(modules, parts, strict=True))
    return tensors


def _outermost(modules: Iterable[str]) -> list[str]:
    """Leaves out modules that are parts of others: PEFT finds no module twice."""
    names = set(modules)
    return sorted(n for n in names if not any(n.startswith(f"{other}.") for other in names))


def _auto_mapping(model: Any) -> dict[str, str]:
    """Says for PEFT which class of `transformers` the adapters go with."""
    module = str(model.config["model_type"]).replace("-", "_")
    return {
        "base_model_class": model.family.architectures[model.stored_task],
        "parent_library": f"transformers.models.{module}.modeling_{module}",
    }


def _is_adapters(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return CONFIG in names and names <= {CONFIG, WEIGHTS, LABELS, "README.md"}
