"""wav2vec 2.0 (Baevski et al., 2020, arXiv:2006.11477)."""

from __future__ import annotations

from typing import Any

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.span_masks import SpansSpec
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    HeadSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    StackSpec,
    TowerSpec,
)
from ktlite.models.core.spelling import SpellingSpec
from ktlite.models.core.waves import WavesSpec
from ktlite.models.families.family import Family
from ktlite.models.families.shared import AUDIO, SPEECH, head_width
from ktlite.models.mapping import TRANSPOSE, Rule, dense, fused_dense, norm

# Of pretraining, and of recognising speakers.
WITHOUT_EFFECT = (
    "adapter_kernel_size", "adapter_stride", "codevector_dim", "contrastive_logits_temperature",
    "diversity_loss_weight", "feat_quantizer_dropout", "feat_extract_dropout",
    "freeze_feat_extract_train", "mask_channel_length", "mask_channel_min_space",
    "mask_channel_other", "mask_channel_prob", "mask_channel_selection", "mask_time_min_space",
    "mask_time_other", "mask_time_selection", "no_mask_channel_overlap", "no_mask_time_overlap",
    "num_adapter_layers", "num_codevector_groups", "num_codevectors_per_group",
    "num_feat_extract_layers", "num_negatives", "output_hidden_size", "proj_codevector_dim",
    "tdnn_dilation", "tdnn_dim", "tdnn_kernel", "tokenizer_class", "xvector_output_dim",
)  # fmt: skip
MOST_CONVOLUTIONS = 16  # that the table of names goes to; published checkpoints have 7


def spec_of(config: ConfigReader, *, projection_norm: bool = True) -> ModelSpec:
    """Reads the fields that wav2vec 2.0 and HuBERT have in common."""
    for name in WITHOUT_EFFECT:
        config.get(name, None)
    config.get("layerdrop", 0.0)  # of training, in which ktlite keeps all layers
    width = config.size("hidden_size", 768)
    heads = config.size("num_attention_heads", 12)
    dropout = config.get("hidden_dropout", 0.1)
    stable = config.get("do_stable_layer_norm", False)
    side = NormSpec(eps=config.get("layer_norm_eps", 1e-5), place="pre" if stable else "post")
    mixed = config.get("use_weighted_layer_sum", False)
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=_front(config, width, side, projection_norm, dropout),
                stack=StackSpec(
                    layers=config.size("num_hidden_layers", 12),
                    width=width,
                    attention=AttentionSpec(
                        heads=heads,
                        head_width=head_width(width, heads, ("hidden_size", "num_attention_heads")),
                        dropout=config.get("attention_dropout", 0.1),
                    ),
                    feed_forward=FeedForwardSpec(
                        width=config.size("intermediate_size", 3072),
                        activation=config.choice("hidden_act", "gelu", ACTIVATIONS),
                        dropout=config.get("activation_dropout", 0.1),
                    ),
                    norm=side,
                    attention_dropout=dropout,
                    feed_forward_dropout=dropout,
                ),
            )
        },
        heads={
            AUDIO: HeadSpec(
                pooling="mean", width=config.size("classifier_proj_size", 256), mixed=mixed
            ),
            SPEECH: HeadSpec(
                dropout=config.get("final_dropout", 0.1),
                spelling=SpellingSpec(
                    blank=config.get("pad_token_id", 0),
                    size=config.size("vocab_size", 32),
                    reduction=config.choice("ctc_loss_reduction", "sum", ("sum", "mean")),
                    zero_infinity=config.get("ctc_zero_infinity", False),
                ),
            ),
        },
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


def _front(
    config: ConfigReader, width: int, side: NormSpec, projection_norm: bool, dropout: float
) -> WavesSpec:
    widths = _sizes(config, "conv_dim", (512,) * 7)
    kernels = _sizes(config, "conv_kernel", (10, 3, 3, 3, 3, 2, 2))
    strides = _sizes(config, "conv_stride", (5, 2, 2, 2, 2, 2, 2))
    if not len(widths) == len(kernels) == len(strides) <= MOST_CONVOLUTIONS:
        raise CheckpointError(
            f"config fields conv_dim, conv_kernel and conv_stride have {len(widths)}, "
            f"{len(kernels)} and {len(strides)} numbers; expected as many in each, at most "
            f"{MOST_CONVOLUTIONS}."
        )
    groups = config.size("num_conv_pos_embedding_groups", 16)
    if width % groups:
        raise CheckpointError(
            f"config field hidden_size={width} is not divisible by "
            f"num_conv_pos_embedding_groups={groups}."
        )
    frames, channels = spans(config, "time", 0.05, 2), spans(config, "feature", 0.0, 0)
    hides = config.get("apply_spec_augment", True)
    return WavesSpec(
        widths=widths,
        kernels=kernels,
        strides=strides,
        bias=config.get("conv_bias", False),
        norm=config.choice("feat_extract_norm", "group", ("group", "layer")),
        activation=config.choice("feat_extract_activation", "gelu", ACTIVATIONS),
        width=width,
        projection_norm=NormSpec(side.eps) if projection_norm else None,
        projection_dropout=config.get("feat_proj_dropout", 0.0),
        position_kernel=config.size("num_conv_pos_embeddings", 128),
        position_groups=groups,
        end_norm=NormSpec(side.eps) if side.place == "post" else None,
        dropout=dropout,
        masked_vector=frames is not None or channels is not None,
        hidden_frames=frames if hides else None,
        hidden_channels=channels if hides else None,
    )


def _sizes(config: ConfigReader, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value: Any = config.get(name, None)
    sizes = default if value is None else value
    whole = isinstance(sizes, (list, tuple)) and all(type(n) is int and n > 0 for n in sizes)
    if not whole or not sizes:
        raise CheckpointError(f"config field {name}={value!r}; expected a list of whole numbers.")
    return tuple(sizes)


def spans(config: ConfigReader, axis: str, share: float, least: int) -> SpansSpec | None:
    """Reads what is hidden of one axis in training; None: nothing."""
    found = SpansSpec(
        share=config.get(f"mask_{axis}_prob", share),
        length=config.size(f"mask_{axis}_length", 10),
        least=config.get(f"mask_{axis}_min_masks", least),
    )
    return found if found.share > 0 else None


def spec(config: ConfigReader) -> ModelSpec:
    config.expect("add_adapter", False)
    if config.get("adapter_attn_dim", None) is not None:
        raise CheckpointError(
            "config field adapter_attn_dim is set: adapters of languages, as MMS has them, are not "
            "supported."
        )
    return spec_of(config)


def convolution_names(number: int) -> tuple[Rule, ...]:
    """Returns the table of one convolution over samples."""
    ours, theirs = f"embeddings.convolution_{number}", f".feature_extractor.conv_layers.{number}"
    return (
        Rule(f"{ours}.convolution.kernel", f"{theirs}.conv.weight", TRANSPOSE),
        Rule(f"{ours}.convolution.bias", f"{theirs}.conv.bias"),
        *norm(f"{ours}.norm", f"{theirs}.layer_norm"),
    )


BLOCK, OURS = ".encoder.layers.{i}", "encoder.blocks.{i}"
_POSITION = ".encoder.pos_conv_embed.conv"

NAMES = (
    *dense("embeddings.projection", ".feature_projection.projection"),
    *norm("embeddings.projection_norm", ".feature_projection.layer_norm"),
    *(rule for number in range(MOST_CONVOLUTIONS) for rule in convolution_names(number)),
    Rule("embeddings.masked", ".masked_spec_embed", optional=True),
    Rule("embeddings.position.length", f"{_POSITION}.parametrizations.weight.original0", TRANSPOSE),
    Rule(
        "embeddings.position.direction", f"{_POSITION}.parametrizations.weight.original1", TRANSPOSE
    ),
    Rule("embeddings.position.bias", f"{_POSITION}.bias"),
    # PyTorch's one norm of the encoder: before the blocks, or behind them where they are "stable".
    *norm("embeddings.end_norm", ".encoder.layer_norm"),
    *norm("encoder.norm", ".encoder.layer_norm"),
    *fused_dense(
        f"{OURS}.attention.qkv", [f"{BLOCK}.attention.{part}_proj" for part in ("q", "k", "v")]
    ),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.attention.out_proj"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.layer_norm"),
    *dense(f"{OURS}.feed_forward.up", f"{BLOCK}.feed_forward.intermediate_dense"),
    *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.feed_forward.output_dense"),
    *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.final_layer_norm"),
)
HEADS = {
    AUDIO: (
        *dense("head.projector", "projector"),
        *dense("head.classifier", "classifier"),
        Rule("encoder.mix", "layer_weights"),
    ),
    SPEECH: dense("head.classifier", "lm_head"),
}
# Of pretraining.
IGNORE = ("quantizer.*", "project_hid.*", "project_q.*", "masked_spec_embed", "*.masked_spec_embed")

FAMILY = Family(
    model_types=("wav2vec2",),
    spec=spec,
    prefixes=("wav2vec2.", ""),
    names=NAMES,
    heads=HEADS,
    architectures={
        None: "Wav2Vec2Model",
        AUDIO: "Wav2Vec2ForSequenceClassification",
        SPEECH: "Wav2Vec2ForCTC",
    },
    ignore=IGNORE,
)
