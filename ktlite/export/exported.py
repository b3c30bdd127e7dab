"""A model that another runtime than Keras runs."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktlite.encodings.field import Field
from ktlite.errors import ArgumentError
from ktlite.inference.runner import Runner

EMBEDDING, CHOICE, SPAN = "sentence-embedding", "multiple-choice", "question-answering"
#: Names of outputs, those of Hugging Face's optimum and sentence-transformers; else `logits`.
OUTPUTS = {None: "last_hidden_state", EMBEDDING: "sentence_embedding"}
START, END = "start_logits", "end_logits"


def output_names(head: str | None) -> list[str]:
    """Returns the names of what a head gives, where that is one array.

    Example:
        >>> output_names("question-answering")
        ['start_logits', 'end_logits']
    """
    return [START, END] if head == SPAN else [OUTPUTS.get(head, "logits")]


def as_field(name: str, dtype: str, shape: Sequence[Any]) -> Field:
    """Returns an input as a runtime describes it: with the batch, and -1 or a name for what varies.

    Example:
        >>> as_field("input_ids", "int64", ["batch", "length"])
        Field(name='input_ids', dtype='int64', shape=(None,), fill=0, optional=False)
    """
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape[1:]]
    return Field(name, dtype, tuple(sides))


class ExportedModel(Runner):
    """Runs an exported model with the inputs and outputs of the Keras model.

    It is the runner and its `model` in one. A runtime defines `run`, and which inputs there are.

    Args:
        facts: Of the manifest: `head`, `quantize`, and where texts become vectors `embedding`.
    """

    #: The inputs that the model reads, as the runtime takes them.
    fields: tuple[Field, ...]

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.model = self
        self.head: str | None = facts["head"]
        self._precision = facts.get("quantize") or "float32"
        embedding = facts.get("embedding") or {}
        self.pooling = embedding.get("pooling")
        self.normalize = embedding.get("normalize")
        self.width = embedding.get("width")

    @property
    def precision(self) -> str:
        return self._precision

    @abc.abstractmethod
    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs by name, for arrays of the inputs in `fields`, of their types."""

    def __call__(self, inputs: dict[str, np.ndarray]) -> Any:
        first = self.fields[0]
        # (batch,), or (batch, texts) to be compared.
        outer = inputs[first.name].shape[: inputs[first.name].ndim - len(first.shape)]
        given = {
            field.name: inputs[field.name]
            .reshape(-1, *inputs[field.name].shape[len(outer) :])
            .astype(field.dtype)
            for field in self.fields
        }
        outputs = {
            name: output.reshape(*outer, *output.shape[1:])
            for name, output in self.run(given).items()
        }
        if self.head == SPAN:
            return np.stack([outputs[START], outputs[END]], axis=-1)
        return outputs if len(outputs) > 1 else outputs[output_names(self.head)[0]]

    def embedder(self, pooling: str | None, normalize: bool | None) -> Runner:
        if self.head != EMBEDDING:
            raise ArgumentError(
                f"embed: this export has the outputs of its {self.head} head alone, no vectors of "
                "texts. Export a predictor that compares texts (ktlite.get_embedder, or "
                "task='sentence-similarity'), or load the predictor as it was saved."
            )
        if pooling not in (None, self.pooling) or normalize not in (None, self.normalize):
            raise ArgumentError(
                f"embed: this model was exported with pooling={self.pooling!r} and "
                f"normalize={self.normalize!r}, which cannot be changed afterwards."
            )
        return self
