"""Weights for a model that has none yet, and a look at what its layers make of an example."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ktlite._logging import logger
from ktlite.errors import ArgumentError, Problems
from ktlite.training.feed import FIXED, Feed
from ktlite.training.optimizers import strategy_scope
from ktlite.training.stream import Stream


def build_model(model: Any, feed: Feed | Stream | None) -> None:
    """Gives a model that has no weights yet those that fit its data, as Keras' `fit` does.

    Args:
        model: Such as a `Sequential` without `keras.Input`.
        feed: Its data; None leaves the model as it is.

    Raises:
        ArgumentError: If the model does not take the data.
    """
    if model.built or feed is None:
        return
    example = feed.example()
    ragged = isinstance(feed, Feed) and bool(feed.data.lengths.any())

    def symbol(array: Any) -> Any:
        shape = [None] * len(array.shape) if ragged else [None, *array.shape[1:]]
        return keras.KerasTensor(shape, keras.backend.standardize_dtype(array.dtype))

    with strategy_scope(model):
        try:
            model(keras.tree.map_structure(symbol, example))
        except Exception as first:  # what users' layers raise: anything
            try:  # one that computes with arrays alone
                model(example, training=False)
            except Exception as error:
                raise ArgumentError(
                    f"the model does not take the data, of shape {_shapes(example)}: {first}"
                    f"{_named(example)}"
                ) from error
    logger.info("the model had no weights yet; built for inputs of shape %s", _shapes(example))


def _shapes(example: Any) -> Any:
    """Returns the shapes of inputs, such as "[rows, 7]", in their structure."""
    return keras.tree.map_structure(
        lambda array: f"[{', '.join(['rows', *map(str, array.shape[1:])])}]", example
    )


def _named(example: Any) -> str:
    """Returns what to do where inputs have names that the model does not know: a sentence."""
    if not isinstance(example, Mapping):
        return ""
    name, array = next(iter(example.items()))
    dtype = keras.backend.standardize_dtype(array.dtype)
    return (
        "\nThe data has inputs with names; a model of your own takes one that an Input is named "
        f"after: keras.Input((None,), dtype={dtype!r}, name={name!r})."
    )


def example_of(feed: Feed | Stream, batch: int, row: int) -> Any:
    """Returns the inputs of one row, as a batch.

    Args:
        feed: The data.
        batch: Number of the batch, of data in its own order.
        row: Number of the row in it.

    Raises:
        ArgumentError: If there is no such batch or row.
    """
    problems = Problems("layer_output")
    whole = isinstance(batch, int) and isinstance(row, int) and batch >= 0 and row >= 0
    problems.add_unless(
        whole, f"batch_id={batch!r}, example_id={row!r}; expected whole numbers of 0 or more."
    )
    problems.raise_if_any()
    if isinstance(feed, Feed):
        number, count = batch * feed.batch_size + row, len(feed.data)
        problems.add_unless(number < count, f"there is no example {number}: the data has {count}.")
        problems.raise_if_any()
        return feed.data.examples(np.array([number]), FIXED)[0]
    found = next(itertools.islice(iter(feed.data), batch, None), None)
    problems.add_unless(found is not None, f"there is no batch {batch}.")
    problems.raise_if_any()
    inputs = found[0] if isinstance(found, (tuple, list)) else found
    count = len(keras.tree.flatten(inputs)[0])
    problems.add_unless(row < count, f"example {row} of a batch of {count}.")
    problems.raise_if_any()
    return keras.tree.map_structure(lambda array: array[row : row + 1], inputs)


def layer_output(model: Any, layer_id: int, inputs: Any) -> Any:
    """Returns the output of one of `model.layers` for inputs, as arrays.

    Raises:
        ArgumentError: If there is no such layer, or it does not run.
    """
    count = len(model.layers)
    if not isinstance(layer_id, int) or not -count <= layer_id < count:
        raise ArgumentError(
            f"layer_output: layer_id={layer_id!r}; the model has {count} layers, 0 to {count - 1}: "
            f"{', '.join(layer.name for layer in model.layers)}."
        )
    layer, outputs = model.layers[layer_id], []
    call = layer.call

    def look(*args: Any, **keywords: Any) -> Any:
        outputs.append(call(*args, **keywords))
        return outputs[-1]

    object.__setattr__(layer, "call", look)
    try:
        model(inputs, training=False)
    finally:
        object.__delattr__(layer, "call")
    if not outputs and isinstance(layer, keras.layers.InputLayer):  # is not called
        outputs = keras.tree.flatten(inputs)[:1]
    if not outputs:
        raise ArgumentError(f"layer_output: the layer {layer.name!r} does not run in prediction.")
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs[-1])
