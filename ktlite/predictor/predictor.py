"""The `Predictor`."""

from __future__ import annotations

from ktlite._hints import PREDICTOR, Hinted
from ktlite.predictor.embedding import Embedding
from ktlite.predictor.evaluating import Evaluating
from ktlite.predictor.explaining import Explaining
from ktlite.predictor.exporting import Exporting
from ktlite.predictor.file_names import FileNames
from ktlite.predictor.pickling import Pickling
from ktlite.predictor.writing import Writing


class Predictor(Exporting, Embedding, Explaining, Evaluating, FileNames, Pickling, Writing, Hinted):
    """Predicts from raw texts.

    Args:
        model: The model.
        preproc: The preprocessor that the model was trained with.
        batch_size: Texts a batch, of up to 128 tokens each; of longer ones fewer.
        cache: Keep what the model said of so many texts, those asked for last, for when they are
            asked for again. Default: of none. Call `clear_cache()` when you train the model on.

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

    _hints = PREDICTOR
