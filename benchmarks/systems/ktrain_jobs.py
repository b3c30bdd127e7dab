"""The jobs of `compare.py` with ktrain: its `Transformer`, from the `.h5` file that it needs.

transformers 4.57 cannot load a safetensors checkpoint into its TensorFlow classes (its issue
40028), so `convert` makes the model from the config and assigns the weights.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from systems.measuring import Work, main, predicting, timed


def prepare(work: Work) -> None:
    import ktrain

    learner, preproc = get_learner(work, "fit", rows=320, maxlen=work.maxlen("predict"))
    learner.fit_onecycle(work.spec["rate"], 1, verbose=0)
    ktrain.get_predictor(learner.model, preproc).save(str(work.folder / "ktrain-predictor"))


def convert(work: Work) -> None:
    """Writes a BERT encoder's safetensors as tf_model.h5."""
    import numpy as np
    from safetensors.numpy import load_file
    from transformers import AutoConfig, TFAutoModel

    checkpoint, folder = Path(work.spec["checkpoint"]), work.folder / "bert-h5"
    model = TFAutoModel.from_config(AutoConfig.from_pretrained(checkpoint))
    model(model.dummy_inputs)
    tensors = load_file(checkpoint / "model.safetensors")
    for variable in model.weights:
        parts = variable.name.split("/")[2:]
        name = ".".join(parts).replace("_._", ".").removesuffix(":0")
        for theirs, ours in (
            (".kernel", ".weight"), (".gamma", ".weight"), (".beta", ".bias"),
            (".embeddings", ".weight"),
        ):  # fmt: skip
            if name.endswith(theirs):
                name = name.removesuffix(theirs) + ours
        if not name.startswith(("embeddings.", "encoder.", "pooler.")):
            name = name.partition(".")[2]
        value = tensors.get(name, tensors.get(f"{name}.weight"))
        value = value.T if variable.name.endswith("kernel:0") else value
        variable.assign(np.ascontiguousarray(value))
    model.save_pretrained(folder, safe_serialization=False)
    for file in checkpoint.glob("*token*"):
        shutil.copy(file, folder)
    for file in checkpoint.glob("vocab*"):
        shutil.copy(file, folder)


def preprocessed(work: Work, job: str, rows: int | None, maxlen: int | None) -> Any:
    import pandas as pd
    from ktrain import text

    train = pd.read_csv(work.folder / job / "train.csv")[:rows]
    val = pd.read_csv(work.folder / job / "val.csv")[:rows]
    names = sorted(train["label"].unique())
    t = text.Transformer(
        str(work.folder / "bert-h5"), maxlen=maxlen or work.maxlen(job), class_names=names
    )
    made = t.preprocess_train(list(train["text"]), list(train["label"]), verbose=0)
    held = t.preprocess_test(list(val["text"]), list(val["label"]), verbose=0)
    return t, made, held


def get_learner(work: Work, job: str, rows: int | None = None, maxlen: int | None = None) -> Any:
    import ktrain

    t, train, val = preprocessed(work, job, rows, maxlen)
    learner = ktrain.get_learner(
        t.get_classifier(), train_data=train, val_data=val, batch_size=work.spec["batch_size"]
    )
    return learner, t


def fit(work: Work, job: str = "fit") -> dict[str, float]:
    learner, _ = get_learner(work, job)
    learner.fit_onecycle(work.spec["rate"], work.spec["epochs"], verbose=0)
    matrix = learner.validate(print_report=False)
    return {"accuracy": matrix.trace() / matrix.sum()}


def tokenize(work: Work) -> dict[str, float]:
    from ktrain import text

    t = text.Transformer(
        str(work.folder / "bert-h5"), maxlen=work.maxlen("tokenize"), class_names=["a", "b"]
    )
    texts = work.texts("tokenize")
    labels = [i % 2 for i in range(len(texts))]
    return timed(lambda: t.preprocess_train(texts, labels, verbose=0))


def load(work: Work) -> Any:
    import ktrain

    return ktrain.load_predictor(str(work.folder / "ktrain-predictor")).predict


def find_rate(work: Work) -> dict[str, float]:
    learner, _ = get_learner(work, "fit")
    took = timed(lambda: learner.lr_find(max_epochs=1, verbose=0))
    return {**took, "steps": len(learner.lr_finder.lrs)}


JOBS = {
    "ktrain": {
        "convert": convert,
        "prepare": prepare,
        "fit": fit,
        "fit_long": lambda work: fit(work, "fit_long"),
        "tokenize": tokenize,
        "find_rate": find_rate,
        **predicting(load),
    },
}

if __name__ == "__main__":
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    main(JOBS, ["ktrain", "tensorflow", "transformers"])
