"""The end of every way in: raw texts are split, their task is learned, and they are tokenised."""

from __future__ import annotations

import dataclasses
from typing import Any

from ktlite._logging import logger
from ktlite.data.dataset import Dataset
from ktlite.data.labels import settled
from ktlite.data.named_labels import encode_labels
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.readers import Examples
from ktlite.data.split import strata, stratified_split
from ktlite.errors import DataError, listing, plural


def prepare(
    train: Examples,
    val: Examples | None,
    preproc: Preprocessor,
    *,
    val_pct: float,
    seed: int,
    verbose: int,
    sample_weight: Any = None,
) -> tuple[Dataset, Dataset]:
    """Splits where needed, learns labels and vocabulary, tokenises: the end of every loader.

    Args:
        train: Training texts.
        val: Validation texts, or None to split them off.
        preproc: Learns the task, and tokenises.
        val_pct: Share of the rows to split off.
        seed: Of the split.
        verbose: 0 silences progress bars and all lines but warnings.
        sample_weight: Of each row of the training data's source, as for `preprocess_train`.
    """
    together = [train] if val is None else [train, val]
    train, *rest = settled(preproc.task_name, preproc.class_names, *together)
    val = rest[0] if rest else None
    for raw in (train, *rest):
        if raw.labels is None:
            raise DataError(f"{raw.source}: there are no labels; name the label_columns.")
    assert train.labels is not None
    preproc.learn_task(train)
    if val is None:
        targets = encode_labels(preproc.task, train)
        labels = strata(preproc.task, train.labels, targets)
        kept, held_out = stratified_split(labels, val_pct, seed)
        val = dataclasses.replace(train.take(held_out), source=f"{train.source} (validation)")
        train = train.take(kept)
    # Encoded before the long work: a label that cannot be learned shows at once.
    encode_labels(preproc.task, val)
    preproc.learn_texts(train)
    if verbose:
        kind = f"{preproc.task.name}: {listing(preproc.task.classes, 6)}".removesuffix(": ")
        logger.info(
            "%s to train on, %s to validate on; %s",
            plural(len(train), preproc.input.noun),
            plural(len(val), preproc.input.noun),
            kind,
        )
    return (
        preproc.dataset(train, verbose=verbose, sample_weight=sample_weight),
        preproc.dataset(val, verbose=verbose),
    )
