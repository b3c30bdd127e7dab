"""`load_model`: a fine-tuned checkpoint as a Keras model, by the shortest way."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ktlite._arguments import checked
from ktlite.models.auto import from_pretrained


@checked
def load_model(
    name: str | os.PathLike[str],
    task: str | None = "text-classification",
    *,
    num_labels: int | None = None,
    labels: Sequence[Any] | None = None,
    config: Mapping[str, Any] | None = None,
    layers: int | Sequence[int] | None = None,
    max_positions: int | None = None,
    ignore_mismatched_sizes: bool = False,
    adapters: str | os.PathLike[str] | None = None,
    seed: int = 42,
    dtype: Any = None,
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
) -> Any:
    """Loads a checkpoint, or a part of one, as a Keras model, with its head as fine-tuned.

    Args:
        name: Checkpoint folder, or Hub name.
        task: Hugging Face task name; None gives the bare model. Of models that write texts:
            `"text-generation"`, or `"text2text-generation"` (also `"translation"`,
            `"summarization"`) where there is an encoder.
        num_labels: Outputs of the head. Default: as in the checkpoint.
        labels: Names of the outputs, in the order that they are to have: a head whose labels have
            these names is put in this order, another is made anew. Default: as in the checkpoint.
        config: Fields of the config to change, such as `{"hidden_dropout_prob": 0.2}`.
        layers: How many of the first blocks to keep, or the numbers of those to keep.
            Default: all.
        max_positions: The longest text in tokens. Default: as in the checkpoint.
        ignore_mismatched_sizes: Weights of another shape than `config` asks for get new
            values, and a warning lists them.
        adapters: Folder of low-rank adapters (LoRA) to merge into the weights, as
            `Learner.save_adapters` and Hugging Face's PEFT write them.
        seed: Of new weights and of dropout.
        dtype: Keras dtype or dtype policy, such as `"mixed_bfloat16"`. Default: Keras' own.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of config.json to accept.

    Returns:
        A `TransformerModel`, not compiled. `ktlite.models.from_pretrained` says more.

    Raises:
        CheckpointError: If the checkpoint is missing, damaged or not understood.
        ArgumentError: If arguments make no sense.

    Example:
        >>> model = load_model("my-bert")
        >>> small = load_model("my-bert", layers=[0, 4, 8], config={"hidden_dropout_prob": 0.2})
    """
    return from_pretrained(
        name,
        task,
        num_labels=num_labels,
        labels=labels,
        config=config,
        layers=layers,
        max_positions=max_positions,
        ignore_mismatched_sizes=ignore_mismatched_sizes,
        adapters=adapters,
        seed=seed,
        dtype=dtype,
        revision=revision,
        ignore_config_fields=ignore_config_fields,
    )
