"""The jobs of `compare.py` with ktlite: as it comes, in whole batches, on ONNX Runtime, twice."""

from __future__ import annotations

import functools
from typing import Any

from systems.measuring import Stopwatch, Work, main, predicting, timed


def prepare(work: Work) -> None:
    """Leaves a fine-tuned model for the jobs that predict, in a form that PyTorch opens too."""
    learner = get_learner(work, "fit", maxlen=work.maxlen("predict"))
    learner.fit_onecycle(work.spec["rate"], 1, steps_per_epoch=50, verbose=0)
    learner.get_predictor().save(work.folder / "fine-tuned")


def get_learner(work: Work, job: str, **options: Any) -> Any:
    import ktlite

    return ktlite.get_learner(
        work.spec["checkpoint"],
        train_data=work.folder / job / "train.csv",
        val_data=work.folder / job / "val.csv",
        text_column="text",
        label_columns="label",
        batch_size=work.spec["batch_size"],
        verbose=0,
        **{"maxlen": work.maxlen(job), **options},
    )


def fit(work: Work, job: str = "fit", **options: Any) -> dict[str, float]:
    learner = get_learner(work, job, **options)
    learner.fit_onecycle(work.spec["rate"], work.spec["epochs"], verbose=0)
    return {"accuracy": learner.metrics()["accuracy"]}


def tokenize(work: Work) -> dict[str, float]:
    from ktlite import text

    t = text.Transformer(work.spec["checkpoint"], maxlen=work.maxlen("tokenize"))
    texts = work.texts("tokenize")
    return timed(lambda: t.preprocess_train(texts, [i % 2 for i in range(len(texts))], verbose=0))


def find_rate(work: Work) -> dict[str, float]:
    learner = get_learner(work, "fit")
    took = timed(lambda: learner.lr_find(max_epochs=1, verbose=0))
    return {**took, "steps": len(learner.lr_finder.lrs)}


def embed(work: Work) -> dict[str, float]:
    import ktlite

    embedder, texts = ktlite.get_embedder(work.spec["checkpoint"]), work.texts("embed")
    embedder.embed(texts[:64])
    return timed(lambda: embedder.embed(texts))


def replicas(work: Work, number: int) -> dict[str, float]:
    """Trains on some batches; the clock starts after the first ones."""
    import keras
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * number
    )
    warm_up, measured = work.spec["warm_up"], {}

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch + 1 == warm_up:
                self.watch = Stopwatch()
            elif batch + 1 > warm_up:
                measured.update(self.watch.read())

    devices = [f"CPU:{i}" for i in range(number)] if number > 1 else None
    learner = get_learner(work, "fit", devices=devices)
    learner.fit_onecycle(
        work.spec["rate"], 1, steps_per_epoch=work.spec["steps"], callbacks=[Clock()], verbose=0
    )
    return measured


def load(work: Work) -> Any:
    import ktlite

    return ktlite.load_predictor(work.folder / "fine-tuned").predict


def exported(quantize: str | None) -> dict[str, Any]:
    """Returns the jobs of a predictor on ONNX Runtime."""
    name = f"onnx-{quantize or 'float32'}"

    def export(work: Work) -> None:
        import ktlite

        predictor = ktlite.load_predictor(work.folder / "fine-tuned")
        predictor.export(work.folder / name, "onnx", quantize=quantize)

    def load(work: Work) -> Any:
        import ktlite

        return ktlite.load_predictor(work.folder / name, runtime="onnx").predict

    return {"prepare": export, **predicting(load)}


JOBS = {
    "ktlite": {
        "prepare": prepare,
        "fit": fit,
        "fit_long": lambda work: fit(work, "fit_long"),
        "fit_full": lambda work: fit(work, "fit_full"),
        "tokenize": tokenize,
        "find_rate": find_rate,
        "embed": embed,
        "replicas": lambda work: replicas(work, 1),
        **predicting(load),
    },
    "ktlite-whole": {
        job: functools.partial(fit, job=job, micro_tokens=None)
        for job in ("fit", "fit_long", "fit_full")
    },
    "ktlite-2": {"replicas": lambda work: replicas(work, 2)},
    "ktlite-onnx": exported(None),
    "ktlite-int8": exported("int8"),
}

if __name__ == "__main__":
    main(JOBS, ["ktlite", "keras", "tensorflow", "onnxruntime"])
