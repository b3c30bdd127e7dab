"""ktrain's `text_classifier` and `text_regression_model`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ktlite.errors import ArgumentError
from ktlite.text.dataset import TextDataset
from ktlite.text.loaders import checkpoint_name
from ktlite.text.transformer import Transformer


def text_classifier(
    name: str | os.PathLike[str],
    train_data: TextDataset,
    preproc: Transformer | None = None,
    multilabel: bool | None = None,
    metrics: Sequence[Any] | None = None,
    verbose: int = 1,
) -> Any:
    """Returns a compiled classifier for data that a loader made.

    Args:
        name: The checkpoint, the same as in the loader's `preprocess_mode`.
        train_data: The training data.
        preproc: The loader's preprocessor. Default: the one of the data.
        multilabel: As in `Transformer.get_classifier`.
        metrics: Keras metrics over the logits. Default: the task's.
        verbose: Accepted for ktrain's sake.

    Raises:
        ArgumentError: If the data was tokenised for another checkpoint.

    Example:
        >>> model = text.text_classifier("bert-base-uncased", train, preproc=preproc)
    """
    return _preproc(name, train_data, preproc).get_classifier(None, multilabel, metrics)


def text_regression_model(
    name: str | os.PathLike[str],
    train_data: TextDataset,
    preproc: Transformer | None = None,
    metrics: Sequence[Any] | None = None,
    verbose: int = 1,
) -> Any:
    """Returns a compiled regression model; arguments as `text_classifier`."""
    return _preproc(name, train_data, preproc).get_regression_model(None, metrics)


def _preproc(
    name: str | os.PathLike[str], train_data: TextDataset, preproc: Transformer | None
) -> Transformer:
    found: Any = preproc or train_data.preproc
    if Path(checkpoint_name(name)) != Path(found.model_name):
        raise ArgumentError(
            f"name={os.fspath(name)!r}, but the texts were tokenised for {found.model_name!r}; "
            "load the data with that checkpoint as preprocess_mode, or name the other one here."
        )
    return found
