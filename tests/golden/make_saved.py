"""Writes golden folders: what this version saves, and what it answers from it.

    python tests/golden/make_saved.py

Later versions must open these folders and answer the same, so run it again only to add a kind of
folder, and never over a version that is there: each has a folder `saved/<version>`.

- `predictors/<task>`: a predictor of each task; `<task>.json` has what it answered.
- `onnx`: the first of them, exported.
- `run`: the checkpoints of a training that was stopped inside its second epoch; `run.json` has the
  losses of the same training left alone, and answers.
- `adapters`: what `Learner.save_adapters` wrote; `adapters.json` has answers.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

import ktlite
from ktlite.data.preprocessor import Preprocessor
from ktlite.models import from_pretrained
from ktlite.predictor import Predictor
from ktlite.tasks import (
    Classification,
    MultiLabel,
    QuestionAnswering,
    Regression,
    Similarity,
    Task,
    TokenClassification,
)

HERE = Path(__file__).parent
TEXTS = ["a good film", "a film about time . it is a bad film", "so-so"]
PAIRS = [("who ?", "a film about time"), ("what is bad ?", "the film is bad , the time is good")]
# For each: the task, what the predictor is asked and how, and the checkpoint that it starts from.
PREDICTORS: dict[str, tuple[Task, Any, str, str]] = {
    "classification": (
        Classification(["neg", "so-so", "pos"]),
        TEXTS,
        "predict_proba",
        "bert-gelu",
    ),
    "pairs": (Classification(["no", "yes"]), PAIRS, "predict_proba", "roberta"),
    "multilabel": (MultiLabel(["toxic", "threat"]), TEXTS, "predict_proba", "distilbert"),
    "regression": (
        Regression(["stars", "price"], mean=[3, 20], scale=[1.5, 8]),
        TEXTS,
        "predict",
        "bert-gelu",
    ),
    "tagging": (
        TokenClassification(["O", "B-PER", "I-PER"]),
        TEXTS,
        "predict_proba",
        "modernbert-token",
    ),
    "answers": (QuestionAnswering(threshold=0.5), PAIRS, "predict", "bert-span"),
    "similarity": (Similarity("cosine"), TEXTS, "embed", "bert-gelu"),
}
# A training of three steps an epoch, and the step before which it is stopped.
STOPPED = 4
RUN: dict[str, Any] = {"maxlen": 16, "batch_size": 8, "val_pct": 0.25, "seed": 3, "verbose": 0}
WORDS = {"ham": "a good film", "spam": "the bad time"}
RUN_DATA = ([f"{WORDS[c]} {i}" for i in range(16) for c in WORDS], ["ham", "spam"] * 16)


class Stop(keras.callbacks.Callback):
    """Ends the training before a step, counted over all epochs, as a kill would."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if not self.left:
            raise RuntimeError("stopped")
        self.left -= 1


def checkpoint(folder: Path, name: str = "bert-gelu") -> Path:
    """Returns a tiny checkpoint with its tokenizer."""
    shutil.copytree(HERE / "tiny-tokenizer", folder / name)
    for file in ("config.json", "model.safetensors"):
        shutil.copy(HERE / name / file, folder / name)
    return folder / name


def loud(model: Any) -> Any:
    """Gives the last layer large weights, so that answers differ from text to text."""
    layer, random = getattr(model.head, "classifier", None), np.random.default_rng(5)
    for weight in layer.weights if layer is not None else ():
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model


def answers(predictor: Predictor, how: str, asked: Any) -> Any:
    """Returns what a predictor says, as JSON values."""
    found = getattr(predictor, how)(asked)
    return [one if isinstance(one, str) else np.asarray(one).tolist() for one in found]


def training(folder: Path, checkpoints: Path, *callbacks: Any, **options: Any) -> Any:
    """Trains two epochs with one-cycle; returns the learner."""
    learner = ktlite.get_learner(folder, RUN_DATA, **RUN)
    options = {"checkpoint_folder": checkpoints, "save_every": 1e-9, "verbose": 0, **options}
    learner.fit_onecycle(1e-2, 2, callbacks=list(callbacks), **options)
    return learner


def main() -> None:
    out = HERE / "saved" / ktlite.__version__
    if out.exists():
        sys.exit(f"{out} is there: what a version wrote stays as it is.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, (task, asked, how, family) in PREDICTORS.items():
            (folder / name).mkdir()
            start = checkpoint(folder / name, family)
            model = loud(from_pretrained(start, task.head, num_labels=task.outputs or None))
            predictor = Predictor(model, Preprocessor(start, 24, task))
            predictor.save(out / "predictors" / name)
            expected = {"asked": asked, "how": how, "answers": answers(predictor, how, asked)}
            write(out / "predictors" / f"{name}.json", expected)
            if name == "classification":
                predictor.export(out / "onnx", "onnx")
        start = checkpoint(folder)
        alone = training(start, folder / "alone")
        with contextlib.suppress(RuntimeError):
            training(start, out / "run", Stop(STOPPED))
        history = {k: alone.history.history[k] for k in ("loss", "val_loss", "lr")}
        texts = RUN_DATA[0][:4]
        proba = alone.get_predictor().predict_proba(texts).tolist()
        write(out / "run.json", {"history": history, "asked": texts, "answers": proba})
        adapted = ktlite.get_learner(start, RUN_DATA, lora=2, **RUN)
        adapted.fit_onecycle(1e-2, 1, verbose=0)
        adapted.save_adapters(out / "adapters")
        config = out / "adapters" / "adapter_config.json"  # without this machine's folder
        config.write_text(config.read_text().replace(str(start), start.name))
        proba = adapted.get_predictor().predict_proba(texts).tolist()
        write(out / "adapters.json", {"asked": texts, "answers": proba})


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
