"""`Baseline`: what all small models that start from scratch have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ktlite._labels import label_fields, label_names
from ktlite._logging import logger
from ktlite._process import check_process
from ktlite.encodings.field import Field
from ktlite.encodings.tokens import random_tokens
from ktlite.errors import CheckpointError, Problems, listing
from ktlite.models.checkpoint import WEIGHTS
from ktlite.models.config import ConfigReader, label_count, read_config
from ktlite.models.core.init import Init
from ktlite.models.core.spec import InitSpec
from ktlite.models.head_labels import HeadLabels, labels_of
from ktlite.models.saving import replaced_checkpoint, write_config, write_tokenizer, write_weights

Inputs = Mapping[str, Any]
PAD_ID = 0  # in the vocabularies that `train_tokenizer` makes for these models
_ROWS = ("classifier.kernel", "classifier.bias", "classifier.values")


class Baseline(keras.Model):
    """A small model, to compare transformers with, built from a config.

    What follows is of texts; a model of something else has its own `fields`, `drawn`, `call` and
    `task_name`.

    Call arguments:
        inputs: Dict of int32 arrays [batch, length]: `input_ids`, and optionally
            `attention_mask` (1 for tokens, 0 for padding after them; default: all 1). What else
            there is, is passed over. Or the `input_ids` alone, where 0 is padding. The answer does
            not depend on the padding.

    Returns:
        float32 logits [batch, outputs].

    Args:
        config: The fields of `config.json`. Those of the labels are Hugging Face's.
        num_labels: Outputs. Default: as the config says.
        seed: Of the initial weights and of dropout.

    Raises:
        CheckpointError: If the config is not understood.
    """

    #: In config.json: which class opens the folder.
    model_type: ClassVar[str]
    #: The Hugging Face task name of what it gives.
    task_name: ClassVar[str] = "text-classification"
    ignore_config_fields: tuple[str, ...] = ()
    #: The folder that `from_pretrained` read it from; None: made from a config.
    source: Path | None = None

    def __init__(
        self,
        config: Mapping[str, Any],
        num_labels: int | None = None,
        *,
        seed: int = 42,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_process()
        super().__init__(name=name or self.model_type, dtype=dtype)
        self.config = dict(config, model_type=self.model_type)
        self.num_labels = num_labels or label_count(config)
        self.seed = seed
        reader = ConfigReader(self.config)
        self.make_layers(reader, Init(InitSpec(), seed))
        reader.finish()
        self.build()

    def make_layers(self, config: ConfigReader, init: Init) -> None:
        """Reads the config and makes the layers; `build` gives them their weights.

        Args:
            config: Hands out the fields.
            init: Draws seeds.
        """
        raise NotImplementedError

    @property
    def fields(self) -> tuple[Field, ...]:
        """What it reads, by name, type and shape."""
        return (
            Field("input_ids", "int32", (None,), PAD_ID),
            Field("attention_mask", "int32", (None,), optional=True),
        )

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns random inputs of given lengths."""
        return random_tokens(self.config["vocab_size"], PAD_ID, lengths, random)

    def layer_groups(self) -> list[tuple[str, list[Any]]]:
        """Returns (name, layers) from input to output, which `Learner.freeze` counts in."""
        return [(layer.name, [layer]) for layer in self.layers if layer.weights]

    def hf_config(self) -> dict[str, Any]:
        """Returns the config to write: as it came, with this model's class and label count."""
        numbered = [f"LABEL_{i}" for i in range(self.num_labels)]
        fields = label_fields(labels_of(self) or numbered)
        return {**self.config, **fields, "architectures": [type(self).__name__]}

    def save_pretrained(self, folder: str | os.PathLike[str], *, tokenizer: bool = True) -> None:
        """Writes `config.json` and `model.safetensors`, which `from_pretrained` opens.

        Args:
            folder: Where to write; made if it is missing. A checkpoint that is there is replaced.
            tokenizer: Also write the tokenizer of the folder that the model came from, unless one
                is there.
        """
        tensors = {name: ops.convert_to_numpy(v) for name, v in self._named().items()}
        with replaced_checkpoint(Path(folder)) as new:
            write_weights(new, tensors)
            write_config(new, self.hf_config())
        if tokenizer and any(field.name == "input_ids" for field in self.fields):
            write_tokenizer(Path(folder), self.source)

    def load_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Takes over the weights that `save_pretrained` wrote; all are checked before one is set.

        Raises:
            CheckpointError: If there are none, or those of another model.
        """
        path = Path(folder) / WEIGHTS
        try:
            stored = load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is missing or damaged ({error}).") from error
        variables = self._named()
        problems = Problems(f"checkpoint {folder}", CheckpointError)
        for name, variable in variables.items():
            found = list(stored[name].shape) if name in stored else None
            wanted = list(variable.shape)
            problems.add_unless(
                found == wanted,
                f"tensor {name} {'is missing' if found is None else f'has shape {found}'}; "
                f"this model needs it with shape {wanted}.",
            )
        extra = [name for name in stored if name not in variables]
        problems.add_unless(not extra, f"tensors that it has no use for: {listing(extra)}.")
        labels = HeadLabels.of(labels_of(self), label_names(read_config(Path(folder))))
        problems.add_unless(not labels.differ, labels.say)
        problems.raise_if_any()
        for name, variable in variables.items():
            values = stored[name]
            if labels.order is not None and _has_labels(name, values.shape, self.num_labels):
                values = np.take(values, labels.order, axis=-1)
            variable.assign(values)
        if labels.say:
            logger.info("%s", labels.say)

    def _named(self) -> dict[str, Any]:
        """Returns the weights by their path in the model, such as `"classifier.kernel"`."""
        return {v.path.removeprefix(f"{self.name}/").replace("/", "."): v for v in self.weights}

    def get_config(self) -> dict[str, Any]:
        return {
            "config": dict(self.config),
            "num_labels": self.num_labels,
            "seed": self.seed,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Baseline:
        config["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        return cls(**config)


def _has_labels(name: str, shape: tuple[int, ...], labels: int) -> bool:
    """Says whether a variable has a place for each label, along its last axis."""
    return name in _ROWS and shape[-1] == labels


def tokens_and_mask(inputs: Any) -> tuple[Any, Any]:
    """Returns the token ids and the attention mask, int [batch, length] each."""
    if not isinstance(inputs, Mapping):  # as `model.predict(x)` of ktrain's x passes them
        return inputs, ops.cast(inputs != PAD_ID, "int32")
    ids = inputs["input_ids"]
    mask = inputs.get("attention_mask")
    return ids, ops.ones_like(ids) if mask is None else mask


def word_embeddings(config: ConfigReader, init: Init, dtype: Any) -> layers.Embedding:
    """Returns the table of the words' vectors, of `vocab_size` and `embedding_size`."""
    rows, width = config.size("vocab_size", 20_000), config.size("embedding_size", 128)
    start = keras.initializers.RandomNormal(stddev=0.1, seed=init.next_seed())
    return layers.Embedding(
        rows, width, embeddings_initializer=start, name="embeddings", dtype=dtype
    )
