"""What a transformer is made of, as data.

A family file reads a Hugging Face config into these specs; the core builds
layers from them. Every number that changes a result stands here, none is
assumed by the layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from ktlite.encodings.field import Field
from ktlite.encodings.tokens import random_tokens
from ktlite.errors import CheckpointError
from ktlite.models.core.contrast import ContrastSpec
from ktlite.models.core.spelling import SpellingSpec


@dataclass(frozen=True)
class NormSpec:
    """A normalisation: `eps` is added to the variance, or to the mean square."""

    eps: float
    # "post": after the residual sum (BERT); "pre": before the sub-layer; "parallel": the same, of
    # two sub-layers side by side (GPT-NeoX); "sandwich": before the sub-layer and after (Gemma)
    place: str = "post"
    bias: bool = True
    kind: str = "layer"  # or "rms": by the root of the mean square, which has no bias
    around_one: bool = False  # "rms": the weights are what is added to one (Gemma)


@dataclass(frozen=True)
class TokensSpec:
    """Token ids to vectors: words + positions + token types, perhaps normalised."""

    vocab_size: int
    width: int
    max_positions: int  # the longest sequence, in tokens
    type_vocab_size: int = 0  # 0: the family has no token types
    positions: str = "learned"  # or "sinusoidal" to begin with, "pad_aware" (RoBERTa), "none",
    # "fixed": sinusoids that are no weights, sines before cosines (Marian), "fixed_pad_aware",
    # "stored": a table that does not train, which begins with those of "fixed"
    pad_id: int = -1  # starts as a zero vector; "pad_aware" counts other tokens; -1: none
    first_row: int = 0  # of the table of positions, which the first token has; not if pad-aware
    scale: float = 1.0  # of the words' vectors
    norm: NormSpec | None = None  # of the sum
    dropout: float = 0.0
    project_to: int | None = None  # a dense layer after the normalisation, to this width
    masked: bool = False  # vectors of padding are zero
    fill_id: int | None = None  # texts are filled up to `max_positions` with it, and read with that

    input: ClassVar[str] = "text"  # the kind of `ktlite.inputs`

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the model reads: int32 inputs of shape [batch, length]."""
        ids, mask = (Field(n, "int32", (None,)) for n in ("input_ids", "attention_mask"))
        types = Field("token_type_ids", "int32", (None,), optional=True)
        return (ids, mask, types) if self.type_vocab_size > 1 else (ids, mask)

    def vectors(self, shape: Sequence[Any]) -> Any:
        """Returns how many vectors come of a row of token ids, or of several that make one."""
        return math.prod(shape)

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns inputs of random tokens, of given lengths: what any model of the kind takes."""
        return random_tokens(self.vocab_size, max(self.pad_id, 0), lengths, random)


@dataclass(frozen=True)
class PatchesSpec:
    """An image to vectors: a vector a patch, after those of learned tokens, with positions."""

    size: tuple[int, int]  # height and width of the image, in pixels
    patch: tuple[int, int]  # those of a patch
    channels: int
    width: int
    first: bool = True  # whether a learned token comes before those of the patches
    distillation: bool = False  # a second token of its own follows the first (DeiT)
    bias: bool = True  # of what makes vectors of patches
    norm: NormSpec | None = None  # of the sum with the positions
    zero_start: bool = False  # new tokens and positions are zero, not drawn
    dropout: float = 0.0
    stride: tuple[int, int] | None = None  # from patch to patch; None: as large as they are

    input: ClassVar[str] = "image"

    @property
    def first_tokens(self) -> int:
        """The tokens before those of the patches."""
        return self.first + self.distillation

    @property
    def max_positions(self) -> int:
        """Tokens of an image: its patches, whole ones only, and those before."""
        rows, columns = (
            (whole - part) // step + 1
            for whole, part, step in zip(
                self.size, self.patch, self.stride or self.patch, strict=True
            )
        )
        return rows * columns + self.first_tokens

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the model reads."""
        return (Field("pixel_values", "float32", (*self.size, self.channels)),)

    def vectors(self, shape: Sequence[Any]) -> Any:
        """Returns how many vectors come of an image."""
        return self.max_positions

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns random images, as many as there are lengths."""
        shape = (len(lengths), *self.size, self.channels)
        return {"pixel_values": random.standard_normal(shape).astype("float32")}


class Front(Protocol):
    """What every front says of itself."""

    @property
    def input(self) -> str:
        """The kind of thing that it reads: a name in `ktlite.inputs.input.INPUTS`."""

    @property
    def width(self) -> int:
        """The width of the vectors."""

    @property
    def max_positions(self) -> int:
        """The most positions of its input."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the model reads."""

    def vectors(self, shape: Sequence[Any]) -> Any:
        """Returns how many vectors come of a row whose first field has this shape."""

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns random inputs, of given lengths where these differ."""


@dataclass(frozen=True)
class RelativeSpec:
    """A table of relative positions, found by `kind`."""

    kind: str  # "bias": a number a head (MPNet); "vectors": one a distance (DeBERTa)
    buckets: int  # on both sides together; the rows of the table
    max_distance: int  # from here on, distances share the last bucket
    both_sides: bool = True  # False: all buckets are for keys to the left (T5's decoder)
    log: bool = True  # far distances share buckets; if not, each has its own
    shared: bool = True  # False: each layer has a table of its own (UMT5)
    norm: NormSpec | None = None  # of the table's rows


@dataclass(frozen=True)
class RotarySpec:
    """The angles of rotary positions (Su et al., 2021, arXiv:2104.09864).

    With `factor` above 1 they are slowed down, for longer texts than the model was first trained
    on: all of them, or with `high_frequency` above 0 as Llama 3 does it: those that turn less than
    `low_frequency` times in the `original` positions, those that turn more than `high_frequency`
    times not, and between them in proportion.
    """

    base: float = 10_000.0
    factor: float = 1.0
    low_frequency: float = 0.0
    high_frequency: float = 0.0
    original: int = 0
    width: int | None = None  # of a head, the numbers that turn, the first ones; None: all


@dataclass(frozen=True)
class AttentionSpec:
    """Multi-head attention (Vaswani et al., 2017, arXiv:1706.03762)."""

    heads: int
    head_width: int
    kv_heads: int | None = None  # heads of keys and values, each for several of queries; None: as
    # many, and one matrix product gives all three
    scale: float | None = None  # of the scores; None: one over the root of `head_width`
    kind: str = "standard"  # or "biased", "rotary", "disentangled"
    bias: bool = True
    key_bias: bool = True  # False: none, where queries and values have one (Whisper)
    out_bias: bool | None = None  # of the last layer; None: as `bias`
    dropout: float = 0.0  # on the attention probabilities
    rotary: RotarySpec = RotarySpec()
    norm: NormSpec | None = None  # of each head's queries and keys, before they are turned
    window: int | None = None  # the farthest token attended to, on each side; None: all
    content_to_position: bool = False  # the terms of disentangled attention
    position_to_content: bool = False
    shared_projections: bool = False  # positions go through the projections of the content
    position_dropout: float = 0.0


@dataclass(frozen=True)
class FeedForwardSpec:
    """The position-wise network of a block."""

    width: int
    activation: str
    kind: str = "standard"  # or "gated"
    bias: bool = True
    dropout: float = 0.0  # between the layers


@dataclass(frozen=True)
class ConvolutionSpec:
    """A convolution beside the first block (DeBERTa-v2)."""

    kernel_size: int
    activation: str
    dropout: float = 0.0


@dataclass(frozen=True)
class StackSpec:
    """A stack of blocks."""

    layers: int
    width: int
    attention: AttentionSpec
    feed_forward: FeedForwardSpec
    norm: NormSpec
    first_norm: bool = True  # False: pre-norm, and the first block takes normalised embeddings
    final_norm: bool = True  # pre-norm: whether the last block's output is normalised
    attention_dropout: float = 0.0  # on what attention adds to the residual stream
    feed_forward_dropout: float = 0.0  # the same of the feed-forward network
    output_dropout: float = 0.0  # on what the stack gives
    groups: int | None = None  # of layers that share a block (ALBERT); None: each has its own
    local_attention: AttentionSpec | None = None
    local_layers: tuple[int, ...] = ()  # those that have `local_attention`
    relative: RelativeSpec | None = None
    convolution: ConvolutionSpec | None = None
    mixed: bool = False  # gives a learned mean of what goes into the first block and out of each

    @property
    def blocks(self) -> int:
        """The number of blocks with weights of their own."""
        return self.groups or self.layers

    def attention_of(self, number: int) -> AttentionSpec:
        """Returns the attention of a block, local or not."""
        local = self.local_attention if number in self.local_layers else None
        return local or self.attention


@dataclass(frozen=True)
class HeadSpec:
    """What stands before a head's last layer: dropout, dense, activation, norm, dropout."""

    activation: str | None = None  # None: there is no dense layer
    dropout: float = 0.0
    input_dropout: float = 0.0
    bias: bool = True
    norm: NormSpec | None = None
    pooling: str = "first"  # how a text's vector comes of its tokens' vectors: a name in `pooling`
    normalize: bool = False  # whether that vector has length 1
    output_bias: bool = True
    tied: bool = True  # of a language model: whether its kernel is the table of words
    scale: float = 1.0  # and what its vectors are multiplied with before
    kind: str | None = None  # a name in `heads.HEADS`; None: that of the task
    architecture: str | None = None  # PyTorch's class, where the family has two for the task
    pair_logits: str | None = None  # in pretraining, the name of the logits for two sentences
    pair_dropout: float = 0.0  # and the dropout before them
    width: int | None = None  # of the dense layer; None: the stack's
    mixed: bool = False  # takes a mean of what goes into the first block and out of each
    contrast: ContrastSpec | None = None  # of a head that compares what two towers give
    spelling: SpellingSpec | None = None  # of one that spells what it hears


@dataclass(frozen=True)
class InitSpec:
    """The normal distributions of new kernels and tables. Biases start as zero, norms as one."""

    stddev: float = 0.02  # the config's `initializer_range`
    word_stddev: float | None = None  # of the table of words; None: `stddev`
    out_stddev: float | None = None  # of a sub-layer's last kernel, a head's first; None: `stddev`
    classifier_stddev: float | None = None  # of a head's last kernel; None: `stddev`
    cutoff: float | None = None  # the farthest from zero, in standard deviations; None: anywhere


@dataclass(frozen=True)
class TowerSpec:
    """A front that turns an input into vectors, and the stack of blocks on it."""

    front: Front
    stack: StackSpec
    causal: bool = False  # a token attends to itself and to those before it alone
    cross: str | None = None  # the tower whose states each block attends to as well
    prefix: str = ""  # before the names of its inputs, such as "decoder_"

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the tower reads. A mask of what is read from left to right would change nothing."""
        return tuple(
            replace(one, name=self.prefix + one.name)
            for one in self.front.fields
            if not (self.prefix and self.causal and one.name == "attention_mask")
        )


@dataclass(frozen=True)
class ModelSpec:
    """A whole model: what `TransformerModel` is built from.

    Args:
        towers: By name, in the order of computing. Such as `"encoder"`, `"decoder"`: the stack of
            one is the model's attribute of that name, its front the one called
            `<name>_embeddings`, or `embeddings` for the encoder.
        heads: By Hugging Face task name. They take what the last tower gives.
        tied: Layers that are one: the path of the later one in the model, and that of the other,
            as in `{"decoder_embeddings.word": "embeddings.word"}`.
        init: The distributions of new weights.
        both: Where towers stand side by side, and a head compares what they give: the kind of
            input that is what either reads. None: each tower reads what those before it give.
    """

    towers: Mapping[str, TowerSpec]
    heads: Mapping[str, HeadSpec]
    tied: Mapping[str, str] = field(default_factory=dict)
    init: InitSpec = InitSpec()
    both: str | None = None

    def for_head(self, task: str | None) -> ModelSpec:
        """Returns the model that a head takes its states from: one that mixes them, for some."""
        if task is None or task not in self.heads or not self.heads[task].mixed:
            return self
        name, tower = list(self.towers.items())[-1]
        mixed = replace(tower, stack=replace(tower.stack, mixed=True))
        return replace(self, towers={**self.towers, name: mixed})

    @property
    def first(self) -> TowerSpec:
        """The tower that reads the model's main input."""
        return next(iter(self.towers.values()))

    @property
    def last(self) -> TowerSpec:
        """The tower whose states the head takes."""
        return list(self.towers.values())[-1]

    @property
    def width(self) -> int:
        """The width of the hidden states."""
        return self.last.stack.width

    @property
    def max_positions(self) -> int:
        """The most positions of the main input: tokens of a text, or of an image."""
        return self.first.front.max_positions

    @property
    def fields(self) -> tuple[Field, ...]:
        """The model's inputs."""
        return tuple(one for tower in self.towers.values() for one in tower.fields)

    @property
    def input(self) -> str:
        """The kind of thing that it reads: a name in `ktlite.inputs.input.INPUTS`."""
        return self.both or self.first.front.input

    @property
    def tokens(self) -> TokensSpec:
        """The embeddings of a model that reads texts.

        Raises:
            CheckpointError: If it reads something else.
        """
        self.check_texts()
        fronts = (tower.front for tower in self.towers.values())
        return next(front for front in fronts if isinstance(front, TokensSpec))

    def check_texts(self) -> None:
        """Raises CheckpointError unless the model reads texts."""
        if not isinstance(self.first.front, TokensSpec) and self.both is None:
            names = ", ".join(one.name for one in self.fields)
            raise CheckpointError(
                f"this model reads {self.input}s ({names}), not texts, and its task is "
                f"{next(iter(self.heads))}; choose the checkpoint of a model that reads texts, "
                "such as BERT."
            )

    def blocks_of(self, path: str) -> int:
        """Returns the number of blocks with weights of their own in the tower of a path.

        Args:
            path: Of a variable or layer, such as `"encoder.blocks.{i}.attention"`.
        """
        tower = self.towers.get(path.split(".")[0])
        return 0 if tower is None else tower.stack.blocks
