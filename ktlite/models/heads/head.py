"""What all heads have in common."""

from __future__ import annotations

from typing import Any

from keras import layers

from ktlite.models.core.activations import get_activation
from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.spec import ModelSpec


class Head(layers.Layer):
    """What all heads have: dropout, dense, activation, norm, dropout, as far as the spec asks.

    Call arguments:
        hidden: float [batch, length, width].
        attention_mask: int or bool [batch, length]; 0 marks padding.

    Returns:
        float32 logits.
    """

    task: str  # Hugging Face's name
    fixed_outputs: int | None = None  # whatever the labels; None: one a label
    counted_by = "num_labels"  # the config field that says how many outputs there are
    dense_name = "transform"  # in the paths of variables
    by_label: tuple[str, ...] = ("classifier",)  # the layers that have an output for each label
    pools = False  # whether it makes one vector a text
    reads_words = False  # whether it is given the table of words, which its last layer shares
    apart = False  # whether it is given what each tower gives, of those whose inputs there are
    reads: tuple[str, ...] = ()  # the model's inputs that it is given, where they are there

    def __init__(self, spec: ModelSpec, units: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="head", dtype=dtype)
        policy = self.dtype_policy
        self.spec = head = spec.heads[self.task]
        self.width, self.units = spec.width, units
        self.input_dropout = init.dropout(head.input_dropout, name="input_dropout", dtype=policy)
        self.dense = self.norm = None
        if head.activation is not None:
            self.activation = get_activation(head.activation)
            self.dense = init.dense(
                units,
                bias=head.bias,
                stddev=init.spec.out_stddev,
                name=self.dense_name,
                dtype=policy,
            )
        if head.norm is not None:
            self.norm = normalisation(head.norm, name="norm", dtype=policy)
        self.dropout = init.dropout(head.dropout, name="dropout", dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        if self.dense is not None:
            self.dense.build((None, self.width))
        if self.norm is not None:
            self.norm.build((None, self.units))
        self.built = True

    @property
    def first_only(self) -> bool:
        """Whether it looks at the first token alone, so that `hidden` may be [batch, 1, width]."""
        return self.pools and self.spec.pooling == "first"

    def features(self, x: Any, training: Any) -> Any:
        """Returns what the last layer takes, float [..., units]."""
        x = self.input_dropout(x, training=training)
        if self.dense is not None:
            x = self.activation(self.dense(x))
        if self.norm is not None:
            x = self.norm(x)
        return self.dropout(x, training=training)
