"""ktlite: fine-tune Hugging Face checkpoints with Keras 3 and TensorFlow, in three lines.

import ktlite

learner = ktlite.get_learner("bert-base-uncased", train_data="reviews.csv",
text_column="text", label_columns="label")
learner.fit_onecycle(5e-5, 2)
learner.get_predictor().save("reviews-predictor")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ktlite._version import __version__

if TYPE_CHECKING:
    from ktlite import errors, models, tasks, text
    from ktlite.applications.embedding import get_embedder
    from ktlite.applications.few_shot import FewShotClassifier
    from ktlite.applications.fill_mask import FillMask
    from ktlite.applications.question_answering import AnswerExtractor
    from ktlite.applications.search import SemanticSearch
    from ktlite.applications.simple_qa import SimpleQA
    from ktlite.applications.zero_shot import ZeroShotClassifier
    from ktlite.learner import Learner
    from ktlite.predictor import Predictor, load_predictor
    from ktlite.pretraining import get_pretrainer
    from ktlite.workflow import get_learner, get_predictor, load_model

# Looked up on first use: `import ktlite` loads neither TensorFlow nor transformers.
_NAMES = {
    "AnswerExtractor": "ktlite.applications.question_answering",
    "FewShotClassifier": "ktlite.applications.few_shot",
    "FillMask": "ktlite.applications.fill_mask",
    "Learner": "ktlite.learner",
    "Predictor": "ktlite.predictor",
    "SemanticSearch": "ktlite.applications.search",
    "SimpleQA": "ktlite.applications.simple_qa",
    "ZeroShotClassifier": "ktlite.applications.zero_shot",
    "get_embedder": "ktlite.applications.embedding",
    "get_learner": "ktlite.workflow",
    "get_predictor": "ktlite.workflow",
    "get_pretrainer": "ktlite.pretraining",
    "load_model": "ktlite.workflow",
    "load_predictor": "ktlite.predictor",
}
_MODULES = ("errors", "models", "tasks", "text")

__all__ = [
    "AnswerExtractor",
    "FewShotClassifier",
    "FillMask",
    "Learner",
    "Predictor",
    "SemanticSearch",
    "SimpleQA",
    "ZeroShotClassifier",
    "__version__",
    "errors",
    "get_embedder",
    "get_learner",
    "get_predictor",
    "get_pretrainer",
    "load_model",
    "load_predictor",
    "models",
    "tasks",
    "text",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"ktlite.{name}")
    else:
        from ktlite.errors import did_you_mean

        hint = did_you_mean(name, __all__)
        raise AttributeError(f"module 'ktlite' has no attribute {name!r}.{hint}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
