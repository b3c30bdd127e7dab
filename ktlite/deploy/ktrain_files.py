"""Turns predictors that ktrain saved into ktlite's.

ktrain's folder holds a pickle, and a pickle may run any code. This one is read by an unpickler
that puts stubs, which do nothing, in place of all that it names, and refuses names of packages
that ktrain's files do not name.
"""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ktlite.data.preprocessor import Preprocessor
from ktlite.errors import PredictorError
from ktlite.predictor import Predictor
from ktlite.tasks import Classification, MultiLabel, Regression, Task

PICKLE = "tf_model.preproc"
_STUBBED = ("ktrain", "numpy", "sklearn", "torch", "transformers")
_SIMPLE = re.compile(r"[iuU]\d+")  # NumPy's integers and strings
_ONLY = "ktlite converts text classifiers and regressions that ktrain's text.Transformer made."


def convert_ktrain(old: str | os.PathLike[str], new: str | os.PathLike[str]) -> Predictor:
    """Writes a predictor of ktrain's as one of ktlite's, which gives the same predictions.

    Args:
        old: The folder that ktrain's `predictor.save` wrote: `tf_model.h5`, `config.json`,
            `tf_model.preproc` and the files of the tokenizer.
        new: The folder to write.

    Returns:
        The predictor that was saved.

    Raises:
        PredictorError: If it is no such folder, or the pickle names what it should not.
        CheckpointError: If the model cannot be read.

    Example:
        >>> convert_ktrain("old-predictor", "new-predictor").predict("Fine!")
        'positive'
    """
    from ktlite.models import from_pretrained

    folder = Path(old)
    file = folder / PICKLE
    if not file.is_file():
        raise PredictorError(
            f"{folder}: there is no {PICKLE} in it, which ktrain's predictor.save writes."
        )
    facts = _facts(file)
    task = _task(facts)
    model = from_pretrained(folder, "text-classification", num_labels=task.outputs)
    if not facts.get("use_token_type_ids", True):
        _use_one_token_type(model)
    predictor = Predictor(model, Preprocessor(folder, int(facts["maxlen"]), task))
    predictor.save(new)
    return predictor


def _facts(file: Path) -> dict[str, Any]:
    """Returns the attributes of ktrain's preprocessor."""
    with file.open("rb") as stream:
        try:
            found = _Unpickler(stream, file).load()
        except PredictorError:
            raise
        except Exception as error:  # a damaged pickle raises anything
            raise PredictorError(f"{file}: it is damaged: {error}.") from None
    state = getattr(found, "state", None)
    if type(found).__name__ not in ("Transformer", "TransformersPreprocessor"):
        raise PredictorError(f"{file}: it holds a {type(found).__name__}. {_ONLY}")
    if not isinstance(state, dict) or not isinstance(state.get("maxlen"), int):
        raise PredictorError(f"{file}: it does not say what ktrain's preprocessors say.")
    return state


def _task(facts: dict[str, Any]) -> Task:
    classes = [_label(label) for label in facts.get("c") or ()]
    if not classes:
        return Regression()
    return MultiLabel(classes) if facts.get("multilabel") else Classification(classes)


def _label(label: Any) -> Any:
    """Returns a string or number as it is, and out of the stub of NumPy's."""
    if not isinstance(label, _Stub):
        return label
    try:
        kind, data = label.arguments
        (code, *_) = kind.arguments
        if _SIMPLE.fullmatch(code):
            return np.frombuffer(data, code)[0].item()
    except (AttributeError, IndexError, TypeError, ValueError):
        pass
    raise PredictorError(f"a label is neither a string nor a whole number. {_ONLY}")


def _use_one_token_type(model: Any) -> None:
    """Makes the second text of a pair count as the first one does.

    With newer transformers ktrain does not notice that BERT has token types, and gives none.
    """
    for variable in model.variables:
        if variable.path.endswith("token_type/embeddings"):
            table = variable.numpy()
            variable.assign(table[:1].repeat(len(table), axis=0))


class _Stub:
    """Stands in for what a class or function would have made: keeps its data, does nothing."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, file: Path) -> None:
        super().__init__(stream)
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] in _STUBBED:
            return type(name, (_Stub,), {})
        raise PredictorError(
            f"{self.file}: it names {module}.{name}, which is not among what is in predictors of "
            f"text.Transformer; nothing of the file was used. {_ONLY}"
        )
