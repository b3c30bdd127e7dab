"""The `Predictor`."""

from __future__ import annotations

from ktlite.predictor.embedding import Embedding
from ktlite.predictor.saving import Saving


class Predictor(Saving, Embedding):
    """Predicts from raw texts.

    Args:
        model: The model.
        preproc: The preprocessor that the model was trained with.
        batch_size: Texts a batch.

    Raises:
        ArgumentError: If the preprocessor has seen no labels yet, or the model has
            another number of outputs than they need.

    Example:
        >>> predictor = learner.get_predictor()
        >>> predictor.predict("A warm, funny, engaging film.")
        'positive'
        >>> predictor.predict(["Dull.", "Superb!"])
        ['negative', 'positive']
    """
