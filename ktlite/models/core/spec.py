"""What a transformer is made of, as data.

A family file reads a Hugging Face config into these specs; the core builds
layers from them. Every number that changes a result stands here, none is
assumed by the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ktlite.errors import CheckpointError


@dataclass(frozen=True)
class Field:
    """One input of a model, or what data gives for it.

    Args:
        name: Such as `"input_ids"`.
        dtype: Such as `"int32"`.
        shape: Without the batch; None: differs from batch to batch.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class NormSpec:
    """Layer normalisation: `eps` is added to the variance."""

    eps: float
    place: str = "post"  # "post": after the residual sum (BERT); "pre": before the sub-layer
    bias: bool = True


@dataclass(frozen=True)
class TokensSpec:
    """Token ids to vectors: words + positions + token types, normalised."""

    vocab_size: int
    width: int
    max_positions: int  # the longest sequence, in tokens
    type_vocab_size: int  # 0: the family has no token types
    positions: str = "learned"  # or "sinusoidal" to begin with, "pad_aware" (RoBERTa), "none"
    pad_id: int = -1  # starts as a zero vector; "pad_aware" counts other tokens; -1: none
    dropout: float = 0.0
    project_to: int | None = None  # a dense layer after the normalisation, to this width
    masked: bool = False  # vectors of padding are zero

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the model reads: int32 inputs of shape [batch, length]."""
        types = ("token_type_ids",) if self.type_vocab_size > 1 else ()
        names = ("input_ids", "attention_mask", *types)
        return tuple(Field(name, "int32", (None,)) for name in names)


@dataclass(frozen=True)
class PatchesSpec:
    """An image to vectors: a vector a patch, after those of learned tokens, with positions."""

    size: tuple[int, int]  # height and width of the image, in pixels
    patch: tuple[int, int]  # those of a patch
    channels: int
    width: int
    distillation: bool = False  # a second token of its own follows the first (DeiT)
    zero_start: bool = False  # new tokens and positions are zero, not drawn
    dropout: float = 0.0

    @property
    def first_tokens(self) -> int:
        """The tokens before those of the patches."""
        return 1 + self.distillation

    @property
    def max_positions(self) -> int:
        """Tokens of an image: its patches, whole ones only, and those before."""
        rows, columns = (whole // part for whole, part in zip(self.size, self.patch, strict=True))
        return rows * columns + self.first_tokens

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the model reads."""
        return (Field("pixel_values", "float32", (*self.size, self.channels)),)


@dataclass(frozen=True)
class RelativeSpec:
    """A table of relative positions that all layers share, found by `kind`."""

    kind: str  # "bias": a number a head (MPNet); "vectors": one a distance (DeBERTa)
    buckets: int  # on both sides together; the rows of the table
    max_distance: int  # from here on, distances share the last bucket
    log: bool = True  # far distances share buckets; if not, each has its own
    norm: NormSpec | None = None  # of the table's rows


@dataclass(frozen=True)
class AttentionSpec:
    """Multi-head self-attention (Vaswani et al., 2017, arXiv:1706.03762)."""

    heads: int
    head_width: int
    kind: str = "standard"  # or "biased", "rotary", "disentangled"
    bias: bool = True
    out_bias: bool | None = None  # of the last layer; None: as `bias`
    dropout: float = 0.0  # on the attention probabilities
    rotary_base: float = 10_000.0
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
    dropout: float = 0.0  # between the layers of a gated network


@dataclass(frozen=True)
class ConvolutionSpec:
    """A convolution beside the first block (DeBERTa-v2)."""

    kernel_size: int
    activation: str
    dropout: float = 0.0


@dataclass(frozen=True)
class EncoderSpec:
    """A stack of blocks."""

    layers: int
    width: int
    attention: AttentionSpec
    feed_forward: FeedForwardSpec
    norm: NormSpec
    first_norm: bool = True  # False: pre-norm, and the first block takes normalised embeddings
    attention_dropout: float = 0.0  # on what attention adds to the residual stream
    feed_forward_dropout: float = 0.0  # the same of the feed-forward network
    groups: int | None = None  # of layers that share a block (ALBERT); None: each has its own
    local_attention: AttentionSpec | None = None
    local_layers: tuple[int, ...] = ()  # those that have `local_attention`
    relative: RelativeSpec | None = None
    convolution: ConvolutionSpec | None = None

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
    kind: str | None = None  # a name in `heads.HEADS`; None: that of the task
    architecture: str | None = None  # PyTorch's class, where the family has two for the task
    pair_logits: str | None = None  # in pretraining, the name of the logits for two sentences
    pair_dropout: float = 0.0  # and the dropout before them


@dataclass(frozen=True)
class InitSpec:
    """The normal distributions of new kernels and tables. Biases start as zero, norms as one."""

    stddev: float = 0.02  # the config's `initializer_range`
    out_stddev: float | None = None  # of a sub-layer's last kernel, a head's first; None: `stddev`
    classifier_stddev: float | None = None  # of a head's last kernel; None: `stddev`
    cutoff: float | None = None  # the farthest from zero, in standard deviations; None: anywhere


@dataclass(frozen=True)
class ModelSpec:
    """A whole model: what `TransformerModel` is built from."""

    embeddings: TokensSpec | PatchesSpec
    encoder: EncoderSpec
    heads: Mapping[str, HeadSpec]  # by Hugging Face task name
    init: InitSpec = InitSpec()

    @property
    def fields(self) -> tuple[Field, ...]:
        """The model's inputs."""
        return self.embeddings.fields

    @property
    def tokens(self) -> TokensSpec:
        """The embeddings of a model that reads texts.

        Raises:
            CheckpointError: If it reads something else.
        """
        self.check_texts()
        assert isinstance(self.embeddings, TokensSpec)
        return self.embeddings

    def check_texts(self) -> None:
        """Raises CheckpointError unless the model reads texts."""
        if not isinstance(self.embeddings, TokensSpec):
            names = ", ".join(field.name for field in self.fields)
            raise CheckpointError(
                f"this model reads images ({names}), not texts, and its task is "
                f"{next(iter(self.heads))}; choose the checkpoint of a model that reads texts, "
                "such as BERT."
            )
