"""Labels that are probably wrong, found by confident learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ktlite.errors import ArgumentError
from ktlite.evaluation.outputs import Outputs
from ktlite.tasks import Classification

if TYPE_CHECKING:
    import pandas as pd


def label_errors(outputs: Outputs) -> pd.DataFrame:
    """Returns the examples whose labels are probably wrong, the surest first.

    Confident learning (Northcutt et al., 2021, arXiv:1911.00068) estimates from the probabilities
    how often each class is mislabelled as each; cleanlab does it. The model must not have learned
    from these labels.

    Args:
        outputs: Of a classification, with targets.

    Returns:
        A row for each candidate: `row` in the source, the example itself under its name (`text`,
        `image`, ...), the `label` given, the one that is `suggested`, and `score`, the probability
        of the given one.

    Raises:
        ArgumentError: If cleanlab is not installed, or the labels are not one class an example.
    """
    import pandas as pd

    task, targets = outputs.task, outputs.known_targets()
    if not isinstance(task, Classification):
        raise ArgumentError(
            f"label_errors looks for wrong classes, one an example; these are labels of a "
            f"{task.name} task. top_losses() lists what the model finds least likely."
        )
    probabilities = task.probabilities(outputs.logits)
    wrong = _candidates(targets.astype(int), probabilities)
    items, rows = outputs.items, outputs.rows
    noun = "text" if items is None else outputs.noun
    columns = {
        "row": wrong if rows is None else np.asarray(rows)[wrong],
        noun: [None if items is None else items[i] for i in wrong],
        "label": task.decode_targets(targets[wrong]),
        "suggested": task.decode(outputs.logits[wrong]),
        "score": probabilities[wrong, targets[wrong].astype(int)],
    }
    return pd.DataFrame(columns)


def _candidates(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the numbers of the examples that confident learning would leave out."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise ArgumentError(
            'label_errors needs cleanlab; install it with pip install "ktlite[labels]".'
        ) from error
    # In one process: it would start others for what takes a moment.
    found = find_label_issues(
        labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return np.asarray(found, "int64")
