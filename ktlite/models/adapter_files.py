"""Reads the files of Hugging Face's PEFT that hold low-rank adapters."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._labels import label_names
from ktlite.errors import CheckpointError, listing
from ktlite.models.checkpoint import TensorReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families.family import Family
from ktlite.models.families.shared import MASKED_LM, PRETRAINING
from ktlite.models.families.writers import SEQ2SEQ, TEXT
from ktlite.models.mapping import SAME, expand, matches
from ktlite.models.tensor_files import open_tensors
from ktlite.models.transfer import find_prefix

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
#: The names of the head's labels, which PEFT's config has no place for, as config.json has them.
LABELS = "labels.json"
#: What PEFT puts before the name of every tensor.
BASE = "base_model.model."
#: Fields of PEFT's config that change the numbers, with the one value that is understood.
EXPECTED = {
    "peft_type": "LORA",
    "use_dora": False,
    "use_rslora": False,
    "bias": "none",
    "rank_pattern": {},
    "alpha_pattern": {},
    "lora_bias": False,
}
# Those that change no number once the adapters are trained, or are said by the tensors.
_HARMLESS = (
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying",
    "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights",
    "layers_pattern", "layers_to_transform", "loftq_config", "lora_alpha", "lora_dropout",
    "lora_ga_config", "megatron_core", "modules_to_save", "peft_version", "qalora_group_size",
    "r", "revision", "target_modules", "task_type",
)  # fmt: skip
_WITH_HEAD = ("SEQ_CLS", "TOKEN_CLS")
# Ways to begin that leave the checkpoint's own weights as they are; others change them.
_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")


def adapter_labels(folder: str | os.PathLike[str] | None) -> list[str] | None:
    """Returns the labels of the head that adapters bring, empty where they do not name them.

    None where there are no adapters, or none that bring a head.

    Raises:
        CheckpointError: If a file of theirs is damaged.
    """
    if folder is None or not (Path(folder) / CONFIG).is_file():
        return None
    config = _json(Path(folder) / CONFIG)
    if not config.get("modules_to_save") and config.get("task_type") not in _WITH_HEAD:
        return None
    file = Path(folder) / LABELS
    return label_names(_json(file)) if file.is_file() else []


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}).") from error


class AdapterReader:
    """Reads a checkpoint as if it had been saved with some adapters in its weights.

    Args:
        whole: The open checkpoint.
        family: Its family.
        folder: The adapters, as `save_adapters` or PEFT wrote them.
        spec: What its config says.
        task: Hugging Face task name of the model to be read; None: the bare encoder.

    Raises:
        CheckpointError: If they are missing, damaged, of another kind, or of another checkpoint;
            it names their folder.
    """

    def __init__(
        self, whole: TensorReader, family: Family, folder: Path, spec: ModelSpec, task: str | None
    ) -> None:
        self.folder = whole.folder
        self._whole = whole
        self._scale = _scale(folder)
        file = open_tensors(folder / WEIGHTS)
        found = {
            family.in_checkpoint(name.removeprefix(BASE)): file.read(name) for name in file.names()
        }
        file.close()
        prefix = find_prefix(whole, family)
        backbone = {n for rule in expand(family.names, spec) for n in rule.names(prefix)}
        # Kernels that lie in PyTorch as they do in Keras (GPT-2's): [in, out].
        self._turned = {
            name
            for rule in expand(family.names, spec)
            if rule.op is SAME and rule.ours.endswith(".kernel")
            for name in rule.names(prefix)
        }
        self._pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._saved: dict[str, np.ndarray] = {}
        unknown, misshapen = [], []
        for name, tensor in found.items():
            if name.endswith(".lora_B.weight"):
                continue
            if not name.endswith(".lora_A.weight"):
                self._saved[_under(prefix, name, family, backbone)] = tensor
                continue
            module = name.removesuffix(".lora_A.weight")
            kernel = _under(prefix, f"{module}.weight", family, backbone)
            second = found.get(f"{module}.lora_B.weight")
            if kernel not in whole or second is None:
                unknown.append(module)
            elif (second.shape[0], tensor.shape[1]) != self._turn(kernel, whole.shape(kernel)):
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
        heads = (rule for rules in family.heads.values() for rule in expand(rules, spec))
        known = backbone | {name for rule in heads for name in rule.names(prefix)}
        tied = task in (MASKED_LM, PRETRAINING)
        tied = tied or task in (TEXT, SEQ2SEQ) and spec.heads[task].tied
        self._check_saved(family, folder, prefix, known, task if tied else None)

    def _turn(self, kernel: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[::-1] if kernel in self._turned else shape

    def _check_saved(
        self, family: Family, folder: Path, prefix: str, known: set[str], task: str | None
    ) -> None:
        """Looks at the tensors beside the adapters: whole modules that were trained, too.

        Args:
            family: The checkpoint's.
            folder: The adapters'.
            prefix: Before the names of the backbone's tensors.
            known: The tensors that the model takes.
            task: The head whose kernel is the table of words, if it has such a one.

        Raises:
            CheckpointError: If one is of no known module, or of a copy of what is one here.
        """
        others = [name for name in self._saved if name not in known]
        unknown = [name for name in others if not matches(name, family.ignore)]
        if unknown:
            raise CheckpointError(
                f"{folder}: tensors that are neither LoRA adapters of dense layers nor weights of "
                f"this model: {listing(unknown)}. Adapters of embeddings and of single tokens are "
                "not supported: merge them in PEFT (merge_and_unload), and load what is saved then."
            )
        if task is None:
            return
        # PEFT trains copies of the modules that it saves: what was tied is tied no longer.
        words = family.names[0].names(prefix)[0]
        biases = [rule for rule in family.heads[task] if rule.ours == "head.decoder.bias"]
        tied = [words, *(name for rule in biases for name in rule.names(prefix))]
        apart = [name for name in self._pairs if name not in known]
        for name in others:
            twins = [n for n in tied if n in self and self.shape(n) == self._saved[name].shape]
            if not any(np.array_equal(self.read(n), self._saved[name]) for n in twins):
                apart.append(name)
        copied = any(self._saved[name].shape == self.shape(words) for name in others)
        if words in self._saved and not copied:
            apart.append(words)
        if apart:
            raise CheckpointError(
                f"{folder}: {listing(apart)} was trained apart from its twin: the table of words "
                "and the output layer are one in this model. Leave both out of modules_to_save."
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
        product = product.T if name in self._turned else product
        return np.asarray(tensor.astype("float32") + self._scale * product)


def _under(prefix: str, name: str, family: Family, backbone: Container[str]) -> str:
    """Returns a tensor's name in a checkpoint whose backbone has this prefix.

    Args:
        prefix: That of the checkpoint's backbone.
        name: The tensor's, in a model with a head or without.
        family: The family of both.
        backbone: The names of the backbone's tensors in the checkpoint.
    """
    theirs = next((p for p in family.prefixes if p and name.startswith(p)), "")
    there = prefix + name.removeprefix(theirs)
    return there if theirs or there in backbone else name


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
        f"{name}={given!r}"
        for name, given in config.items()
        if given and name not in _HARMLESS and given != EXPECTED.get(name)
    ]
    if config.get("init_lora_weights") not in _STARTS:
        wrong.append(f"init_lora_weights={config['init_lora_weights']!r}")
    if wrong:
        raise CheckpointError(f"{folder}: adapters with {listing(wrong)} are not supported.")
    return scale
