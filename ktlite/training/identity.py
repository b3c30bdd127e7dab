"""What makes a training run the run that it is, so that only the same one goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ktlite.errors import plural
from ktlite.training.feed import Feed
from ktlite.training.pieces import pieces_of
from ktlite.training.stream import Stream

# Rows whose content is looked at; of more, as many at equal distances. Lengths: of all.
_ROWS, _AT_ONCE = 2**16, 2**10
# What training itself changes, and names that Keras numbers.
_CHANGING = ("learning_rate", "beta_1", "momentum", "name")


def identify(
    model: Any, train: Feed | Stream, val: Feed | Stream | None, **settings: Any
) -> dict[str, str]:
    """Returns all that a run's steps depend on, by names that a user knows.

    Args:
        model: The compiled model.
        train: Training data.
        val: Validation data, or None.
        **settings: The schedule, the epochs, and what else the caller was given.
    """
    described = dict(settings)
    for name, feed in (("train_data", train), ("val_data", val)):
        described[name] = describe(feed)
        for key, value in vars(feed).items() if feed is not None else ():
            if key in ("batch_size", "batch_tokens", "seed"):
                described[f"{key} of {name}"] = value
    weights = [(v.shape, str(v.dtype), bool(v.trainable)) for v in model.weights]
    described["the model"] = f"{plural(len(weights), 'weight')}, shapes {_short(repr(weights))}"
    described["the loss"] = _loss(model.loss)
    described["precision"] = model.dtype_policy.name
    pieces = pieces_of(model)
    if pieces is not None and pieces.asked:  # each draws its own dropout
        described["micro_tokens"] = pieces.tokens
    if pieces is not None and pieces.objective is not None:
        described["what the loss is made of"] = repr(pieces.objective.options)
    for key, value in _flat("optimizer", keras.optimizers.serialize(model.optimizer)).items():
        described[key] = value
    return {key: str(value) for key, value in described.items()}


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns a line for each thing in which two runs differ."""
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return [f"{name} was {then.get(name)} and is {now.get(name)}" for name in names]


def describe(feed: Feed | Stream | None) -> str:
    """Returns the number of rows and a digest of their content."""
    if feed is None:
        return "none"
    if isinstance(feed, Stream):
        return f"a stream of {feed.steps} batches"
    data, digest = feed.data, hashlib.sha256()
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), _ROWS)).astype("int64"))
    digest.update(np.ascontiguousarray(data.lengths).tobytes())
    for part in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE)):
        weights = data.sample_weight
        columns = [data.content(part), None if weights is None else weights[part]]
        for column in keras.tree.flatten(columns):
            if column is not None:
                digest.update(np.ascontiguousarray(column).tobytes())
    return f"{plural(len(data), 'row')} (sha256 {digest.hexdigest()[:12]})"


def _flat(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a serialised optimizer as `{"optimizer.weight_decay": 0.01, ...}`."""
    found: dict[str, Any] = {name: config["class_name"]}
    for key, value in config["config"].items():
        if isinstance(value, Mapping) and "class_name" in value:
            found.update(_flat(f"{name}.{key}", value))
        elif key not in _CHANGING:
            found[f"{name}.{key}"] = json.dumps(value, default=str)
    return found


def _loss(loss: Any) -> str:
    """Returns what a model was compiled with: a name, or a Keras loss and its settings."""
    if hasattr(loss, "get_config"):
        return f"{type(loss).__name__} {json.dumps(loss.get_config(), default=str)}"
    return loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
