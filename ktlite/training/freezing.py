"""Which layers train: counted in groups that reach the blocks of an encoder."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np

from ktlite._logging import logger
from ktlite.errors import ArgumentError
from ktlite.models.adapters import has_adapters
from ktlite.models.towers import towers_of
from ktlite.training.optimizers import strategy_scope


def layer_groups(model: Any) -> list[tuple[str, list[Any]]]:
    """Returns (name, layers) from input to output: the model's own groups, or its layers."""
    if hasattr(model, "layer_groups"):
        return model.layer_groups()
    return [(layer.name, [layer]) for layer in model.layers if layer.weights]


def set_frozen(model: Any, count: int) -> None:
    """Freezes the first `count` groups, lets the others train, and recompiles if that is new.

    Recompiling gives the optimizer fresh moments: those of Keras are bound to the
    variables that they were made for.

    Raises:
        ArgumentError: If the model has adapters.
    """
    if has_adapters(model):
        raise ArgumentError(
            "this model trains its adapters (lora=) and its head; all else is frozen as it is."
        )
    changed = False
    for number, (_, layers) in enumerate(layer_groups(model)):
        for layer in layers:
            changed |= layer.trainable != (number >= count)
            layer.trainable = number >= count
    if changed and model.compiled:
        recompile(model)
    trained = sum(int(keras.ops.size(w)) for w in model.trainable_weights)
    logger.info("%s of %s parameters train", f"{trained:,}", f"{model.count_params():,}")


def recompile(model: Any) -> None:
    """Compiles a model again with the same loss, metrics and settings, and a new optimizer.

    The new optimizer has the old one's settings, its learning rate among them.
    """
    compile_like(model, model)


def compile_like(model: Any, other: Any) -> None:
    """Compiles a model as another one is, with an optimizer of the same settings of its own."""
    old = other.optimizer
    with strategy_scope(other):
        new = type(old).from_config(old.get_config())
        for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
            if hasattr(old, name):  # a setting that Keras keeps out of the config
                setattr(new, name, getattr(old, name))
        model.compile(**{**other._compile_config.config, "optimizer": new})


def encoder_is_frozen(model: Any) -> bool:
    """Says whether a model has an encoder and a head, and nothing below the head trains."""
    if not towers_of(model) or model.head is None:
        return False
    return not any(weight.trainable for weight in _below_head(model))


def encoder_digest(model: Any) -> str:
    """Returns a digest of all weights below a model's head."""
    digest = hashlib.blake2b(digest_size=16)
    for weight in _below_head(model):
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(array.view("uint8").data)  # bfloat16 has no buffer of its own
    return digest.hexdigest()


def _below_head(model: Any) -> list[Any]:
    return [w for tower in towers_of(model) for layer in tower.layers for w in layer.weights]


def describe_layers(model: Any) -> str:
    """Returns a table of the layer groups: number, name, whether it trains, parameters."""
    lines = [f"{'':>4} {'layer':<24} {'trains':<7} {'parameters':>12}"]
    for number, (name, layers) in enumerate(layer_groups(model)):
        weights = [w for layer in layers for w in layer.weights]
        size = sum(int(keras.ops.size(w)) for w in weights)
        trains = any(layer.trainable for layer in layers)
        lines.append(f"{number:>4} {name:<24} {'yes' if trains else 'no':<7} {size:>12,}")
    return "\n".join(lines)
