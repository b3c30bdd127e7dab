"""The jobs of `compare.py` with PyTorch `transformers`: its Trainer, its pipeline."""

from __future__ import annotations

import functools
from typing import Any

from systems.measuring import Work, main, predicting


def fit(work: Work, job: str = "fit") -> dict[str, float]:
    import numpy as np
    import pandas as pd
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    spec = work.spec
    tokenizer = AutoTokenizer.from_pretrained(spec["checkpoint"])
    parts = {name: pd.read_csv(work.folder / job / f"{name}.csv") for name in ("train", "val")}
    names = sorted(parts["train"]["label"].unique())

    def encoded(frame: Any) -> list[dict[str, Any]]:
        texts = tokenizer(list(frame["text"]), truncation=True, max_length=work.maxlen(job))
        numbers = [names.index(label) for label in frame["label"]]
        return [
            {**{key: texts[key][i] for key in texts}, "labels": number}
            for i, number in enumerate(numbers)
        ]

    trainer = Trainer(
        AutoModelForSequenceClassification.from_pretrained(
            spec["checkpoint"], num_labels=len(names)
        ),
        TrainingArguments(
            str(work.folder / "trainer"),
            learning_rate=spec["rate"],
            num_train_epochs=spec["epochs"],
            per_device_train_batch_size=spec["batch_size"],
            per_device_eval_batch_size=spec["batch_size"],
            warmup_steps=0.1,
            weight_decay=0.01,
            train_sampling_strategy="group_by_length",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=encoded(parts["train"]),
        eval_dataset=encoded(parts["val"]),
        compute_metrics=lambda p: {
            "accuracy": float(np.mean(p.predictions.argmax(axis=-1) == p.label_ids))
        },
    )
    trainer.train()
    return {"accuracy": trainer.evaluate()["eval_accuracy"]}


def load(work: Work) -> Any:
    from transformers import pipeline

    return functools.partial(
        pipeline("text-classification", model=str(work.folder / "fine-tuned"), device="cpu"),
        batch_size=32,
        truncation=True,
        max_length=work.maxlen("predict"),
    )


JOBS = {
    "pytorch": {
        "fit": fit,
        "fit_long": lambda work: fit(work, "fit_long"),
        "fit_full": lambda work: fit(work, "fit_full"),
        **predicting(load),
    },
}

if __name__ == "__main__":
    main(JOBS, ["torch", "transformers"])
