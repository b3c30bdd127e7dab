"""A family that reads counts: a dense layer, and a stack of blocks as BERT has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from keras import layers

from ktlite.encodings.field import Field
from ktlite.models import register_family
from ktlite.models.config import ConfigReader
from ktlite.models.core.fronts import register_front
from ktlite.models.core.init import Init
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    HeadSpec,
    ModelSpec,
    NormSpec,
    StackSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.heads import HEADS
from ktlite.models.heads.pooled import SequenceHead
from ktlite.models.mapping import dense, fused_dense, norm

CONFIG = {"model_type": "counter", "width": 16, "layers": 2, "heads": 2, "longest": 20}
TASK = "counts-classification"


@dataclass(frozen=True)
class CountsSpec:
    """Counts to vectors."""

    width: int
    max_positions: int

    input: ClassVar[str] = "signal"

    @property
    def fields(self) -> tuple[Field, ...]:
        return (
            Field("counts", "float32", (None, 1)),
            Field("attention_mask", "int32", (None,), optional=True),
        )

    def vectors(self, shape: Sequence[Any]) -> Any:
        return shape[0]

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        inside = np.arange(lengths.max()) < lengths[:, None]
        values = np.where(inside, random.standard_normal(inside.shape), 0)[..., None]
        return {"counts": values.astype("float32"), "attention_mask": inside.astype("int32")}


@register_front(CountsSpec)
class CountsFront(layers.Layer):
    """A vector a count."""

    def __init__(self, spec: CountsSpec, init: Init, *, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.spec = spec
        self.projection = init.dense(spec.width, name="projection", dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        self.projection.build((None, None, 1))
        self.built = True

    def mask(self, inputs: Mapping[str, Any]) -> Any:
        return inputs.get("attention_mask")

    def call(self, inputs: Mapping[str, Any], attention_mask: Any = None, **options: Any) -> Any:
        return self.projection(inputs["counts"])


class CountsHead(SequenceHead):
    """Logits for each row of counts."""

    task = TASK


HEADS[TASK] = CountsHead


def spec(config: ConfigReader) -> ModelSpec:
    width, heads = config.size("width", 16), config.size("heads", 2)
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=CountsSpec(width, config.size("longest", 20)),
                stack=StackSpec(
                    layers=config.size("layers", 2),
                    width=width,
                    attention=AttentionSpec(heads=heads, head_width=width // heads),
                    feed_forward=FeedForwardSpec(width=2 * width, activation="gelu"),
                    norm=NormSpec(eps=1e-6),
                ),
            )
        },
        heads={TASK: HeadSpec(pooling="mean")},
    )


BLOCK, OURS = ".layer.{i}", "encoder.blocks.{i}"

FAMILY = register_family(
    Family(
        model_types=("counter",),
        spec=spec,
        prefixes=("counter.", ""),
        names=(
            *dense("embeddings.projection", ".projection"),
            *fused_dense(f"{OURS}.attention.qkv", [f"{BLOCK}.{part}" for part in "qkv"]),
            *dense(f"{OURS}.attention.out", f"{BLOCK}.out"),
            *norm(f"{OURS}.attention_norm", f"{BLOCK}.norm_1"),
            *dense(f"{OURS}.feed_forward.up", f"{BLOCK}.up"),
            *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.down"),
            *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.norm_2"),
        ),
        heads={TASK: dense("head.classifier", "classifier")},
        architectures={None: "CounterModel", TASK: "CounterForClassification"},
        layers_field="layers",
    )
)
