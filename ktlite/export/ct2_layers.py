"""A model that writes, in the terms of CTranslate2: layer by layer from its own spec.

CTranslate2 (https://opennmt.net/CTranslate2) has converters that read PyTorch's models family by
family. Here what a model is made of is data, so one description serves all families; what the
runtime cannot express is refused, by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ktlite.errors import ExportError, listing
from ktlite.models.core.embeddings import halved_sinusoids, tensor2tensor_sinusoids
from ktlite.models.core.spec import AttentionSpec, NormSpec, RotarySpec, TokensSpec, TowerSpec

#: CTranslate2's names of the activations that it has.
_ACTIVATIONS = {
    "gelu": "GELU", "gelu_new": "GELUTanh", "gelu_pytorch_tanh": "GELUTanh", "relu": "RELU",
    "silu": "SWISH", "swish": "SWISH", "tanh": "Tanh",
}  # fmt: skip


def describe(model: Any) -> Any:
    """Returns a `ctranslate2.specs.ModelSpec` with a model's weights, without a vocabulary.

    Args:
        model: A model of ktlite.models that writes.

    Raises:
        ExportError: If the model has parts that CTranslate2 does not have.
    """
    from ctranslate2.specs import TransformerDecoderModelSpec, TransformerSpec

    towers = model.towers
    missing = sorted({part for tower in towers for part in _missing(tower.spec)} | _of_head(model))
    if missing:
        raise ExportError(
            f"CTranslate2 cannot express this model: it has no {listing(missing)}. "
            "predictor.save(path) writes a folder that transformers opens."
        )
    decoder = _stack(towers[-1], decodes=True, reads=len(towers) > 1)
    _fill_head(decoder, model)
    if len(towers) > 1:
        spec = TransformerSpec(_stack(towers[0], decodes=False, reads=False), decoder)
    else:
        spec = TransformerDecoderModelSpec(decoder)
    spec.config.layer_norm_epsilon = towers[-1].spec.stack.norm.eps
    return spec


def _missing(tower: TowerSpec) -> set[str]:
    """Returns what a tower has that CTranslate2 does not, in words."""
    front, stack, attention = tower.front, tower.stack, tower.stack.attention
    if not isinstance(front, TokensSpec):
        return {f"input of {front.input}s"}
    relative = stack.relative
    epsilons = {norm.eps for norm in (front.norm, stack.norm, attention.norm) if norm is not None}
    has = {
        "token types": front.type_vocab_size > 0,
        "vectors of padding that are zero": front.masked,
        "projection of the words' vectors": front.project_to is not None,
        "layers without a first norm": not stack.first_norm,
        "layers that share their weights": stack.groups is not None,
        # It has some, but fails on a text longer than the window (4.8.5).
        "attention to near tokens alone": stack.local_attention is not None
        or attention.window is not None,
        f"attention of the kind {attention.kind!r}": attention.kind == "disentangled",
        "convolution": stack.convolution is not None,
        "relative positions of another kind or direction": relative is not None
        and (relative.kind != "bias" or relative.norm is not None
             or relative.both_sides == tower.causal),
        "norm of heads that is not by the root mean square": attention.norm is not None
        and attention.norm.kind != "rms",
        "norms side by side with another tower": stack.norm.place == "parallel"
        and (tower.cross is not None or stack.norm.kind != "layer" or not tower.causal),
        "several epsilons of norms": len(epsilons) > 1,
        f"activation {stack.feed_forward.activation!r}":
            stack.feed_forward.activation not in _ACTIVATIONS,
    }  # fmt: skip
    return {what for what, there in has.items() if there}


def _of_head(model: Any) -> set[str]:
    head = model.spec.heads[model.task_name]
    return {"dense layer before its output"} if head.activation or head.norm else set()


def _stack(tower: Any, *, decodes: bool, reads: bool) -> Any:
    """Returns the spec of an encoder or a decoder, with its weights."""
    from ctranslate2.specs import common_spec, transformer_spec

    spec, stack, front = tower.spec, tower.stack, tower.front
    made, attention = spec.stack, spec.stack.attention
    place = made.norm.place
    options: dict[str, Any] = {
        "pre_norm": place != "post",
        "activation": common_spec.Activation[_ACTIVATIONS[made.feed_forward.activation]],
        "layernorm_embedding": spec.front.norm is not None,
        "relative_attention_bias": made.relative is not None,
        "ffn_glu": made.feed_forward.kind == "gated",
        "rms_norm": made.norm.kind == "rms",
        "no_final_norm": not made.final_norm,
        "pre_post_layer_norm": place == "sandwich",
        "qk_norm": attention.norm is not None,
        "num_heads_kv": attention.kv_heads,
        **_head_width(attention, made.width),
        **_rotary(attention),
    }
    if decodes:
        options |= {"with_encoder_attention": reads, "parallel_residual": place == "parallel"}
        made_of = transformer_spec.TransformerDecoderSpec
    else:
        made_of = transformer_spec.TransformerEncoderSpec
    found = made_of(made.layers, attention.heads, **options)
    _fill_front(found, front, spec.front)
    for i, (layer, block) in enumerate(zip(found.layer, stack.order(), strict=True)):
        _fill_block(layer, block, place)
        relative = stack.relative or block.relative
        if relative is not None:
            own = layer.self_attention
            own.relative_attention_bias = (
                found.layer[0].self_attention.relative_attention_bias
                if i and stack.relative is not None
                else _array(relative.table.embeddings)
            )
            own.relative_attention_max_distance = np.int32(made.relative.max_distance)
    if stack.norm is not None:
        _fill_norm(found.layer_norm, stack.norm, made.norm)
    return found


def _head_width(attention: AttentionSpec, width: int) -> dict[str, int]:
    """Returns the width of a head where it does not follow from the model's."""
    alike = attention.heads * attention.head_width == width
    return {} if alike else {"head_dim": attention.head_width}


def _rotary(attention: AttentionSpec) -> dict[str, Any]:
    if attention.kind != "rotary":
        return {}
    from ctranslate2.specs.attention_spec import RotaryScalingType

    rotary = attention.rotary
    options = {
        "rotary_dim": rotary.width or 0,  # 0: all of a head
        "rotary_interleave": False,
        "rotary_base": rotary.base,
    }
    if rotary.high_frequency:
        options |= {
            "rotary_scaling_type": RotaryScalingType.Llama3,
            "original_max_position_embeddings": rotary.original,
        }
    elif rotary.factor != 1:
        options |= {
            "rotary_scaling_type": RotaryScalingType.Linear,
            "rotary_scaling_factor": rotary.factor,
        }
    return options


def _fill_front(found: Any, front: Any, spec: TokensSpec) -> None:
    words = found.embeddings
    (words[0] if isinstance(words, list) else words).weight = _array(front.word.embeddings)
    found.scale_embeddings = np.float32(spec.scale) if spec.scale != 1 else False
    table = _positions(front, spec)
    if hasattr(found, "position_encodings"):
        # A table of zeros, where there is none: by default it would be one of sinusoids.
        found.position_encodings.encodings = (
            np.zeros((spec.max_positions, spec.width), np.float32) if table is None else table
        )
    if spec.norm is not None:
        _fill_norm(found.layernorm_embedding, front.norm, spec.norm)


def _positions(front: Any, spec: TokensSpec) -> np.ndarray | None:
    """Returns the vectors of the positions 0, 1, 2, ... of tokens, without those of padding."""
    first = spec.pad_id + 1
    if spec.positions == "none":
        return None
    if spec.positions == "fixed":
        return halved_sinusoids(spec.max_positions, spec.width)
    if spec.positions == "fixed_pad_aware":
        return tensor2tensor_sinusoids(spec.max_positions + first, spec.width, spec.pad_id)[first:]
    table = _array(front.position.embeddings)
    return table[first if spec.positions == "pad_aware" else spec.first_row :]


def _fill_block(layer: Any, block: Any, place: str) -> None:
    norm = block.spec.norm
    own = layer.self_attention
    _fill_attention(own, block.attention)
    network, up = layer.ffn, _weight(block.feed_forward.up)
    bias = _bias(block.feed_forward.up)
    if block.spec.feed_forward.kind == "gated":
        (network.linear_0.weight, network.linear_0_noact.weight) = np.split(up, 2)
        if bias is not None:
            (network.linear_0.bias, network.linear_0_noact.bias) = np.split(bias, 2)
    else:
        _fill(network.linear_0, up, bias)
    _fill(network.linear_1, _weight(block.feed_forward.down), _bias(block.feed_forward.down))
    if place in ("parallel", "sandwich"):
        after = block.feed_forward_norm if place == "parallel" else block.attention_end_norm
        _fill_norm(layer.input_layer_norm, block.attention_norm, norm)
        _fill_norm(layer.post_attention_layer_norm, after, norm)
        if place == "sandwich":
            _fill_norm(layer.pre_feedforward_layer_norm, block.feed_forward_norm, norm)
            _fill_norm(layer.post_feedforward_layer_norm, block.feed_forward_end_norm, norm)
    else:
        _fill_norm(own.layer_norm, block.attention_norm, norm)
        _fill_norm(network.layer_norm, block.feed_forward_norm, norm)
    if block.cross is not None:
        _fill_attention(layer.attention, block.cross)
        _fill_norm(layer.attention.layer_norm, block.cross_norm, norm)


def _fill_attention(found: Any, layer: Any) -> None:
    """Fills queries, keys and values, of a sequence itself in one matrix, and the last layer."""
    spec: AttentionSpec = layer.spec
    if layer.scale != 1 / np.sqrt(spec.head_width):
        found.queries_scale = np.float32(layer.scale)
    if spec.kind == "rotary" and spec.rotary.high_frequency:
        _fill_rotary(found, spec.rotary)
    if layer.qkv is not None:
        _fill(found.linear[0], _weight(layer.qkv), _bias(layer.qkv))
    else:
        parts = [(_weight(x), _bias(x)) for x in (layer.query, layer.key_value)]
        if layer.memory_width is None:
            weight = np.concatenate([weight for weight, _ in parts])
            biases = [bias for _, bias in parts if bias is not None]
            parts = [(weight, np.concatenate(biases) if biases else None)]
        for linear, part in zip(found.linear, parts, strict=False):  # the last one is `out`
            _fill(linear, *part)
    _fill(found.linear[-1], _weight(layer.out), _bias(layer.out))
    if layer.query_norm is not None:
        _fill_norm(found.q_norm, layer.query_norm, spec.norm)
        _fill_norm(found.k_norm, layer.key_norm, spec.norm)


def _fill_rotary(found: Any, rotary: RotarySpec) -> None:
    """Says how Llama 3 slows positions down."""
    found.rotary_low_freq_factor = np.float32(rotary.low_frequency)
    found.rotary_high_freq_factor = np.float32(rotary.high_frequency)
    # The runtime reads it, and this kind of its specs does not have it (4.8.5).
    vars(found)["rotary_scaling_factor"] = np.float32(rotary.factor)


def _fill_head(decoder: Any, model: Any) -> None:
    head, spec = model.head, model.spec.heads[model.task_name]
    table = model.towers[-1].front.word.embeddings if head.table is None else head.table.rows
    _fill(decoder.projection, _array(table), None)
    if head.decoder is not None:
        bias = _array(head.decoder.bias)
        if bias.any():
            decoder.projection.bias = bias
    if spec.scale != 1:
        decoder.scale_outputs = np.float32(spec.scale)


def _fill_norm(found: Any, layer: Any, spec: NormSpec | None) -> None:
    assert spec is not None
    if spec.kind == "rms":
        found.gamma = _array(layer.gamma)
        if spec.around_one:
            found.gamma = found.gamma + np.float32(1)
        return
    found.gamma = _array(layer.gamma)
    found.beta = _array(layer.beta) if spec.bias else np.zeros_like(found.gamma)


def _fill(linear: Any, weight: np.ndarray, bias: np.ndarray | None) -> None:
    linear.weight = weight
    if bias is not None:
        linear.bias = bias


def _weight(layer: Any) -> np.ndarray:
    """Returns a dense layer's kernel as [outputs, inputs], with its adapter in it."""
    return np.ascontiguousarray(_array(layer.kernel).T)


def _bias(layer: Any) -> np.ndarray | None:
    return None if layer.bias is None else _array(layer.bias)


def _array(variable: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(variable), np.float32)
