"""The jobs of `compare.py` with ktlite."""

from __future__ import annotations

from typing import Any

from systems.measuring import Work, main, predicting, timed


def prepare(work: Work) -> None:
    """Leaves a fine-tuned model for the jobs that predict, in a form that PyTorch opens too."""
    folder = work.folder / "fine-tuned"
    if not folder.exists():
        learner = get_learner(work, "fit")
        learner.fit_onecycle(work.spec["rate"], 1, steps_per_epoch=50, verbose=0)
        learner.get_predictor().save(folder)


def get_learner(work: Work, job: str) -> Any:
    import ktlite

    return ktlite.get_learner(
        work.spec["checkpoint"],
        train_data=work.folder / job / "train.csv",
        val_data=work.folder / job / "val.csv",
        text_column="text",
        label_columns="label",
        maxlen=work.maxlen(job),
        batch_size=work.spec["batch_size"],
        verbose=0,
    )


def fit(work: Work, job: str = "fit") -> dict[str, float]:
    learner = get_learner(work, job)
    learner.fit_onecycle(work.spec["rate"], work.spec["epochs"], verbose=0)
    return {"accuracy": learner.metrics()["accuracy"]}


def tokenize(work: Work) -> dict[str, float]:
    from ktlite import text

    t = text.Transformer(work.spec["checkpoint"], maxlen=work.maxlen("tokenize"))
    texts = work.texts("tokenize")
    return timed(lambda: t.preprocess_train(texts, [i % 2 for i in range(len(texts))], verbose=0))


def load(work: Work) -> Any:
    import ktlite

    return ktlite.load_predictor(work.folder / "fine-tuned").predict


def find_rate(work: Work) -> dict[str, float]:
    learner = get_learner(work, "fit")
    return timed(lambda: learner.lr_find(max_epochs=1, verbose=0))


if __name__ == "__main__":
    main({
        "prepare": prepare,
        "fit": fit,
        "fit_long": lambda work: fit(work, "fit_long"),
        "tokenize": tokenize,
        "find_rate": find_rate,
        **predicting(load),
    })  # fmt: skip
