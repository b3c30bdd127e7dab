"""The jobs of `compare.py` with KerasHub: a BERT classifier from the same checkpoint.

It reads a BERT folder of Hugging Face, encoder and tokenizer, and pads every text to `maxlen`. It
does not read fine-tuned heads from there, so the model for the jobs that predict is its own. It
has no way to predict a single text but `Model.predict`, with a second of overhead: no such job.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from systems.measuring import Work, main, predicting


def prepare(work: Work) -> None:
    classifier, _ = fitted(work, "fit", rows=320)
    classifier.save_to_preset(str(work.folder / "keras-hub"))


def fitted(work: Work, job: str, rows: int | None = None) -> tuple[Any, Any]:
    """Returns a fine-tuned classifier, and the validation data: texts and numbers of labels."""
    import keras
    import pandas as pd

    spec = work.spec
    parts = {
        name: pd.read_csv(work.folder / job / f"{name}.csv")[:rows] for name in ("train", "val")
    }
    names = sorted(parts["train"]["label"].unique())
    data = {
        name: (frame["text"].to_numpy(str), frame["label"].map(names.index).to_numpy())
        for name, frame in parts.items()
    }
    classifier = classifier_from(Path(spec["checkpoint"]), work.maxlen(job), num_classes=len(names))
    steps = spec["epochs"] * -(-len(parts["train"]) // spec["batch_size"])
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=spec["rate"], warmup_steps=steps // 10
    )
    classifier.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    classifier.fit(*data["train"], batch_size=spec["batch_size"], epochs=spec["epochs"], verbose=0)
    return classifier, data["val"]


def classifier_from(folder: Path, maxlen: int, **options: Any) -> Any:
    from keras_hub.models import BertTextClassifier, BertTextClassifierPreprocessor

    preprocessor = BertTextClassifierPreprocessor.from_preset(str(folder), sequence_length=maxlen)
    return BertTextClassifier.from_preset(str(folder), preprocessor=preprocessor, **options)


def fit(work: Work, job: str = "fit") -> dict[str, float]:
    classifier, held = fitted(work, job)
    found = classifier.evaluate(
        *held, batch_size=work.spec["batch_size"], return_dict=True, verbose=0
    )
    return {"accuracy": found["accuracy"]}


def load(work: Work) -> Any:
    classifier = classifier_from(work.folder / "keras-hub", work.maxlen("predict"))

    def predict(texts: str | list[str]) -> Any:
        texts = [texts] if isinstance(texts, str) else texts
        return classifier.predict(texts, batch_size=32, verbose=0).argmax(axis=-1)

    return predict


PREDICTING = predicting(load)
JOBS = {
    "keras_hub": {
        "prepare": prepare,
        "fit": fit,
        "fit_long": lambda work: fit(work, "fit_long"),
        "predict": PREDICTING["predict"],
        "cold": PREDICTING["cold"],
    },
}

if __name__ == "__main__":
    main(JOBS, ["keras_hub", "keras", "tensorflow"])
