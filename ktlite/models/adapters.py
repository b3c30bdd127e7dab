"""Low-rank adapters (LoRA: Hu et al., 2021, arXiv:2106.09685), in the files of Hugging Face's PEFT.

Training changes two thin matrices beside each kernel of the encoder, and the head; all else
stays. What is saved as a checkpoint has the adapters in its kernels; `save_adapters` writes them
alone, a hundredth of the size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from keras import initializers, ops

from ktlite._logging import logger
from ktlite.errors import ArgumentError, CheckpointError, Problems, listing
from ktlite.models.checkpoint import TensorReader
from ktlite.models.core.dense import Dense
from ktlite.models.families.family import Family
from ktlite.models.mapping import Rule, expand, variable_at
from ktlite.models.tensor_files import open_tensors
from ktlite.models.transfer import find_prefix
from ktlite.storage import atomic_folder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_BASE = "base_model.model."
_KERNEL = ".kernel"
# Fields of PEFT's config that change the numbers, with the one value that is understood.
_EXPECTED = {
    "peft_type": "LORA",
    "use_dora": False,
    "use_rslora": False,
    "bias": "none",
    "fan_in_fan_out": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "lora_bias": False,
}
# Ways to begin that leave the checkpoint's own weights as they are; others change them.
_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")
_TASK_TYPES = {
    "text-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "question-answering": "QUESTION_ANS",
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
    for variable in (*model.embeddings.weights, *model.encoder.weights):
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
    encoder = getattr(model, "encoder", None)
    found = [] if encoder is None else encoder._flatten_layers()
    return [layer for layer in found if isinstance(layer, Dense)]


def save_adapters(model: Any, folder: str | os.PathLike[str], base: str = "") -> None:
    """Writes a model's adapters and its head, as PEFT's `PeftModel.from_pretrained` opens them.

    Args:
        model: A model that `add_adapters` was called on.
        folder: Where to write. Adapters that are there are replaced, anything else is refused.
        base: The checkpoint that they belong to: a path or a Hub name.

    Raises:
        ArgumentError: If the model has no adapters, or the folder has something else in it.

    Example:
        >>> learner.save_adapters("reviews-adapters")
        >>> ktlite.load_model("bert-base-uncased", adapters="reviews-adapters")
    """
    from safetensors.numpy import save_file

    layers = [layer for layer in _dense_layers(model) if layer.lora_enabled]
    if not layers:
        raise ArgumentError("save_adapters: the model has none; train it with lora=8.")
    prefix = model.family.prefixes[0] if model.stored_task else ""
    tensors: dict[str, np.ndarray] = {}
    targets: set[str] = set()
    for layer, names in _adapted(model, prefix):
        a, b = (ops.convert_to_numpy(x).T for x in (layer.lora_kernel_a, layer.lora_kernel_b))
        # Layers that are one of ours share the first matrix.
        for name, rows in zip(names, np.split(b, len(names)), strict=True):
            module = name.removesuffix(".weight")
            tensors[f"{_BASE}{module}.lora_A.weight"] = a
            tensors[f"{_BASE}{module}.lora_B.weight"] = rows
            targets.add(module)
    head = _head_tensors(model, prefix)
    tensors.update({_BASE + name: value for name, value in head.items()})
    config = {
        **_EXPECTED,
        "base_model_name_or_path": base,
        "r": layers[0].lora_rank,
        "lora_alpha": layers[0].lora_alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(targets),
        "modules_to_save": sorted({name.rsplit(".", 1)[0] for name in head}),
        "task_type": _TASK_TYPES.get(model.stored_task),
        "inference_mode": True,
    }
    with atomic_folder(folder, replace=_is_adapters) as new:
        whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        save_file(whole, new / WEIGHTS, metadata={"format": "pt"})
        (new / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _adapted(model: Any, prefix: str) -> Iterator[tuple[Dense, tuple[str, ...]]]:
    """Yields the layers that have adapters, and their kernels' names in a checkpoint."""
    for rule in expand(model.family.names, model.spec.encoder.blocks):
        if rule.ours.endswith(_KERNEL):
            layer = variable_at(model, rule.ours.removesuffix(_KERNEL))
            if getattr(layer, "lora_enabled", False):
                yield layer, rule.names(prefix)


def _head_tensors(model: Any, prefix: str) -> dict[str, np.ndarray]:
    rules: tuple[Rule, ...] = model.family.heads.get(model.stored_task, ())
    tensors: dict[str, np.ndarray] = {}
    for rule in rules:
        variable = variable_at(model, rule.ours)
        if variable is not None and variable.trainable:
            names = rule.names(prefix)
            parts = rule.op.split(ops.convert_to_numpy(variable), len(names))
            tensors.update(zip(names, parts, strict=True))
    return tensors


def _is_adapters(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return CONFIG in names and names <= {CONFIG, WEIGHTS, "README.md"}


class AdapterReader:
    """Reads a checkpoint as if it had been saved with some adapters in its weights.

    Args:
        whole: The open checkpoint.
        family: Its family.
        folder: The adapters, as `save_adapters` or PEFT wrote them.

    Raises:
        CheckpointError: If they are missing, damaged, of another kind, or of another checkpoint.
    """

    def __init__(self, whole: TensorReader, family: Family, folder: Path) -> None:
        self.folder = whole.folder
        self._whole = whole
        self._scale = _scale(folder)
        file = open_tensors(folder / WEIGHTS)
        found = {name.removeprefix(_BASE): file.read(name) for name in file.names()}
        file.close()
        prefix = find_prefix(whole, family)
        self._pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._saved: dict[str, np.ndarray] = {}
        unknown, misshapen = [], []
        for name, tensor in found.items():
            if name.endswith(".lora_B.weight"):
                continue
            if not name.endswith(".lora_A.weight"):
                self._saved[_under(prefix, name, family)] = tensor
                continue
            module = name.removesuffix(".lora_A.weight")
            kernel = _under(prefix, f"{module}.weight", family)
            second = found.get(f"{module}.lora_B.weight")
            if kernel not in whole or second is None:
                unknown.append(module)
            elif (second.shape[0], tensor.shape[1]) != whole.shape(kernel):
                misshapen.append(module)
            else:
                self._pairs[kernel] = (tensor, second)
        if unknown or not self._pairs:
            raise CheckpointError(
                f"{folder}: the adapters do not belong to {whole.folder}: it has no layers "
                f"{listing(unknown) or 'that they name'}."
            )
        if misshapen:
            raise CheckpointError(
                f"{folder}: {listing(misshapen)} are of another shape than in {whole.folder}."
            )

    def names(self) -> list[str]:
        return list(dict.fromkeys([*self._whole.names(), *self._saved]))

    def __contains__(self, name: str) -> bool:
        return name in self._saved or name in self._whole

    def is_float(self, name: str) -> bool:
        return name in self._saved or self._whole.is_float(name)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._saved[name].shape if name in self._saved else self._whole.shape(name)

    def read(self, name: str) -> np.ndarray:
        if name in self._saved:
            return self._saved[name]
        tensor = self._whole.read(name)
        if name not in self._pairs:
            return tensor
        first, second = self._pairs[name]
        product = second.astype("float32") @ first.astype("float32")
        return np.asarray(tensor.astype("float32") + self._scale * product)


def _under(prefix: str, name: str, family: Family) -> str:
    """Returns a tensor's name in a checkpoint whose backbone has this prefix."""
    theirs = next((p for p in family.prefixes if p and name.startswith(p)), None)
    return name if theirs is None else prefix + name.removeprefix(theirs)


def _scale(folder: Path) -> float:
    """Returns what adapters' products are multiplied by."""
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder}: there is no {listing(missing)}, so no adapters of PEFT.")
    try:
        config: Mapping[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        scale = float(config["lora_alpha"]) / float(config["r"])
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{folder / CONFIG} is damaged ({error!r}).") from error
    wrong = [
        f"{name}={config[name]!r}"
        for name, value in _EXPECTED.items()
        if config.get(name) not in (None, value)
    ]
    if config.get("init_lora_weights") not in _STARTS:
        wrong.append(f"init_lora_weights={config['init_lora_weights']!r}")
    if wrong:
        raise CheckpointError(f"{folder}: adapters with {listing(wrong)} are not supported.")
    return scale
