"""What a server does with requests, whatever way they come in."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np
from fastapi import HTTPException

from ktlite._logging import logger
from ktlite._version import __version__
from ktlite.deploy.serving.batching import Batcher
from ktlite.deploy.serving.limits import SHORT, Limits
from ktlite.deploy.serving.metrics import Metrics
from ktlite.deploy.serving.requests import (
    Explain,
    Proba,
    examples_of,
    parse,
    parts_of,
    predict_model,
)
from ktlite.errors import KtliteError
from ktlite.inputs.familiarity import Familiarity
from ktlite.predictor import Predictor


class _Loaded(NamedTuple):
    predictor: Predictor
    since: str
    familiarity: Familiarity

    @classmethod
    def of(cls, predictor: Predictor) -> _Loaded:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return cls(predictor, now, Familiarity(predictor.preproc.tokenizer))


class Service:
    """Answers requests with a predictor that can be exchanged.

    Args:
        predictor: What predicts.
        limits: What it takes.
        metrics: What counts it.
        load: Makes the predictor anew; None where it came from no folder.
        name: What to call it.
    """

    def __init__(
        self,
        predictor: Predictor,
        limits: Limits,
        metrics: Metrics,
        load: Callable[[], Predictor] | None = None,
        name: str = "predictor",
    ) -> None:
        self.limits, self.name = limits, name
        self.in_flight = 0
        self._load, self._loading = load, threading.Lock()
        self._now = _Loaded.of(predictor)
        self.Predict = predict_model(predictor.predict, predictor.preproc.task.predict)
        self._batches = Batcher(
            most=limits.batch,
            gather=limits.gather,
            cost=_cost,
            expected=lambda: self.in_flight,
            observe=metrics.batch,
        )
        # Explanations take long: they wait for each other, and predictions do not for them.
        self._explanations = Batcher(most=1, gather=limits.gather)

    @property
    def stuck(self) -> bool:
        """Whether the model has not answered for longer than clients wait."""
        return self._batches.busy > self.limits.timeout

    def predict(self, body: bytes) -> dict[str, Any]:
        """Returns predictions, as `Predictor.predict` gives them."""
        options = parse(body, self.Predict)
        predictor = self._now.predictor
        texts = self._examples(predictor, options.pop("texts"))
        predictions = self._batched(predictor).predict(texts, **options)
        return {"predictions": predictions, **self._remarks(texts)}

    def predict_proba(self, body: bytes) -> dict[str, Any]:
        """Returns probabilities, and the classes in their order."""
        predictor = self._now.predictor
        texts = self._examples(predictor, parse(body, Proba)["texts"])
        return {
            "classes": predictor.get_classes(),
            "probabilities": self._batched(predictor).predict_proba(texts),
            **self._remarks(texts),
        }

    def explain(self, body: bytes) -> dict[str, Any]:
        """Returns what each word did to the prediction."""
        options = parse(body, Explain)
        predictor = self._now.predictor
        (example,) = self._examples(predictor, [options.pop("text")])

        def run(examples: list[Any]) -> list[Any]:
            return list(predictor.explain(examples, **options))

        ((explanation,),) = self._explanations(run, [example], self.limits.timeout)
        found: dict[str, Any] = explanation.to_dict()
        return found

    def info(self) -> dict[str, Any]:
        """Returns what the predictor is."""
        predictor, since, _ = self._now
        task = predictor.preproc.task
        return {
            "name": self.name,
            "task": task.name,
            "takes": task.reads,
            "classes": predictor.get_classes(),
            "options": [name for name in self.Predict.model_fields if name != "texts"],
            "settings": {
                key: value
                for key, value in task.get_config().items()
                if key not in ("classes", "calibration")
            },
            "maxlen": predictor.preproc.maxlen,
            "limits": {"texts": self.limits.texts, "characters": self.limits.characters},
            "loaded": since,
            "ktlite": __version__,
        }

    def reload(self) -> dict[str, Any]:
        """Loads the folder anew; where that fails, the predictor that is there stays.

        Requests that have begun are finished by the one that they began with.

        Raises:
            HTTPException: 409 where there is nothing to load, or it does not do the same task;
                500 where loading fails.
        """
        if self._load is None:
            raise HTTPException(409, "this server's predictor came from no folder.")
        with self._loading:
            try:
                predictor = self._load()
            except (KtliteError, OSError) as error:
                logger.error("reload failed, the old predictor stays: %s", error)
                raise HTTPException(500, f"the old predictor stays: {error}") from error
            old, new = self._now.predictor.preproc.task.name, predictor.preproc.task.name
            if old != new:
                raise HTTPException(409, f"the folder now holds a predictor of {new}; this server "
                                         f"was started for {old}: restart it.")  # fmt: skip
            self._now = _Loaded.of(predictor)
        logger.info("reloaded %s", self.name)
        return self.info()

    def _examples(self, predictor: Predictor, texts: Any) -> Any:
        words = predictor.preproc.task.reads == "tagged"
        examples, single = examples_of(texts, self.limits, words=words)
        return examples[0] if single else examples

    def _remarks(self, texts: Any) -> dict[str, Any]:
        """Returns what there is to say of texts that the tokenizer hardly knows; mostly nothing."""
        many = texts if isinstance(texts, list) else [texts]
        found = self._now.familiarity.remarks([" ".join(parts_of(text)) for text in many])
        if not any(found):
            return {}
        return {"remarks": found if isinstance(texts, list) else found[0]}

    def _batched(self, predictor: Predictor) -> Predictor:
        """Returns a predictor that gets its logits together with the texts of other requests."""

        def logits(texts: Sequence[Any], *_: Any) -> np.ndarray:
            parts = self._batches(predictor.logits, texts, self.limits.timeout)
            return np.concatenate(parts)

        batched = copy.copy(predictor)
        vars(batched)["logits"] = logits  # in place of the method
        return batched


def _cost(example: Any) -> int:
    """Returns how many short texts an example counts as: a long one may be read in windows."""
    return 1 + sum(len(part) for part in parts_of(example)) // SHORT
