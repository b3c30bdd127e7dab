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
    from ktlite import errors, models, sklearn, tasks, text, vision
    from ktlite.applications.embedding import get_embedder
    from ktlite.applications.few_shot import FewShotClassifier
    from ktlite.applications.fill_mask import FillMask
    from ktlite.applications.question_answering import AnswerExtractor
    from ktlite.applications.search import SemanticSearch
    from ktlite.applications.simple_qa import SimpleQA
    from ktlite.applications.writing import Generator, Translator
    from ktlite.applications.zero_shot import ZeroShotClassifier
    from ktlite.applications.zero_shot_images import ZeroShotImageClassifier
    from ktlite.cards import compare
    from ktlite.cross_validation import cross_validate
    from ktlite.deploy.serving import create_app, serve
    from ktlite.distillation import distil
    from ktlite.learner import Learner
    from ktlite.models.loading import load_model
    from ktlite.predictor import Predictor, load_predictor
    from ktlite.pretraining import get_pretrainer
    from ktlite.pruning import prune
    from ktlite.significance import compare_predictors
    from ktlite.training.live_plot import LivePlot
    from ktlite.tuning import tune
    from ktlite.workflow import get_learner, get_predictor

# Looked up on first use: `import ktlite` loads neither TensorFlow nor transformers.
_NAMES = {
    "AnswerExtractor": "ktlite.applications.question_answering",
    "FewShotClassifier": "ktlite.applications.few_shot",
    "FillMask": "ktlite.applications.fill_mask",
    "Generator": "ktlite.applications.writing",
    "Learner": "ktlite.learner",
    "LivePlot": "ktlite.training.live_plot",
    "Predictor": "ktlite.predictor",
    "SemanticSearch": "ktlite.applications.search",
    "SimpleQA": "ktlite.applications.simple_qa",
    "Translator": "ktlite.applications.writing",
    "ZeroShotClassifier": "ktlite.applications.zero_shot",
    "ZeroShotImageClassifier": "ktlite.applications.zero_shot_images",
    "compare": "ktlite.cards",
    "compare_predictors": "ktlite.significance",
    "create_app": "ktlite.deploy.serving",
    "cross_validate": "ktlite.cross_validation",
    "distil": "ktlite.distillation",
    "get_embedder": "ktlite.applications.embedding",
    "get_learner": "ktlite.workflow",
    "get_predictor": "ktlite.workflow",
    "get_pretrainer": "ktlite.pretraining",
    "load_model": "ktlite.models.loading",
    "load_predictor": "ktlite.predictor",
    "prune": "ktlite.pruning",
    "tune": "ktlite.tuning",
    "serve": "ktlite.deploy.serving",
}
_MODULES = ("errors", "models", "sklearn", "tasks", "text", "vision")

__all__ = [
    "AnswerExtractor",
    "FewShotClassifier",
    "FillMask",
    "Generator",
    "Learner",
    "LivePlot",
    "Predictor",
    "SemanticSearch",
    "SimpleQA",
    "Translator",
    "ZeroShotClassifier",
    "ZeroShotImageClassifier",
    "__version__",
    "compare",
    "compare_predictors",
    "create_app",
    "cross_validate",
    "distil",
    "errors",
    "get_embedder",
    "get_learner",
    "get_predictor",
    "get_pretrainer",
    "load_model",
    "load_predictor",
    "models",
    "prune",
    "serve",
    "sklearn",
    "tasks",
    "text",
    "tune",
    "vision",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES or name in _MODULES:
        from ktlite._extras import needs_extra

        with needs_extra("train", f"ktlite.{name}"):
            module = importlib.import_module(_NAMES.get(name, f"ktlite.{name}"))
        value = getattr(module, name) if name in _NAMES else module
    else:
        from ktlite._hints import missing

        missing(__name__, name, __all__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
