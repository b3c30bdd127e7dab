"""From a name or a config to a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ktlite.errors import CheckpointError
from ktlite.models.checkpoint import CheckpointReader, find_checkpoint
from ktlite.models.config import ConfigReader, read_config
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families import get_family
from ktlite.models.model import TransformerModel
from ktlite.models.transfer import load_weights


def from_pretrained(
    name: str | os.PathLike[str],
    task: str | None = None,
    *,
    num_labels: int | None = None,
    seed: int = 42,
    dtype: Any = None,
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
) -> TransformerModel:
    """Loads a Hugging Face checkpoint as a Keras model.

    Args:
        name: Checkpoint folder, or Hub name.
        task: Hugging Face task name such as `"text-classification"`; None gives
            the bare encoder.
        num_labels: Outputs of the head. Default: as in the checkpoint. Another
            number gives a new classifier, and a warning.
        seed: Of new weights and of dropout.
        dtype: Keras dtype or dtype policy. Default: Keras' global policy.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of config.json to accept.

    Returns:
        A `TransformerModel`, built, not compiled.

    Raises:
        CheckpointError: If the checkpoint is missing, damaged or not understood.
        ArgumentError: If the task has no head, or `num_labels` makes no sense.

    Example:
        >>> model = from_pretrained("bert-base-chinese", "text-classification", num_labels=3)
        >>> model({"input_ids": np.array([[101, 4638, 102]])}).shape
        TensorShape([1, 3])
    """
    folder = find_checkpoint(name, revision=revision)
    config = read_config(folder)
    with CheckpointReader(folder) as reader:
        try:
            model = TransformerModel(
                config,
                task,
                num_labels,
                seed=seed,
                blank_backbone=True,
                ignore_config_fields=ignore_config_fields,
                dtype=dtype,
            )
        except CheckpointError as error:  # knows the field, not the file
            raise CheckpointError(f"{folder / 'config.json'}: {error}") from error
        load_weights(model, reader)
    return model


def read_spec(folder: Path, ignore_config_fields: Sequence[str] = ()) -> ModelSpec:
    """Returns what a checkpoint folder's config.json says of its model.

    Args:
        folder: The checkpoint's folder.
        ignore_config_fields: Unknown fields to accept.

    Raises:
        CheckpointError: If config.json is missing or not understood; it names file and field.
    """
    config = read_config(folder)
    try:
        reader = ConfigReader(config, ignore_config_fields)
        spec = get_family(config["model_type"]).spec(reader)
        reader.finish()
    except CheckpointError as error:  # knows the field, not the file
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error
    return spec


def from_config(
    config: Mapping[str, Any],
    task: str | None = None,
    *,
    num_labels: int | None = None,
    seed: int = 42,
    dtype: Any = None,
    ignore_config_fields: Sequence[str] = (),
) -> TransformerModel:
    """Builds a model with random weights from a Hugging Face config.

    Args:
        config: A mapping such as `json.load(open("config.json"))`.
        task: Hugging Face task name, or None for the bare encoder.
        num_labels: Outputs of the head. Default: as the config says.
        seed: Of the initial weights and of dropout.
        dtype: Keras dtype or dtype policy. Default: Keras' global policy.
        ignore_config_fields: Unknown fields of the config to accept.

    Raises:
        CheckpointError: If the config is not understood.
        ArgumentError: If the task has no head, or `num_labels` makes no sense.

    Example:
        >>> small = {"model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2,
        ...          "num_attention_heads": 2, "intermediate_size": 512}
        >>> from_config(small, "text-classification", num_labels=2).count_params()
        4386178
    """
    return TransformerModel(
        config, task, num_labels, seed=seed, dtype=dtype, ignore_config_fields=ignore_config_fields
    )
