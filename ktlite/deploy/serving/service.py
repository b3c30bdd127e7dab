"""What a server does with requests, whatever way they come in."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np
from fastapi import HTTPException
from pydantic import BaseModel

from ktlite._logging import logger
from ktlite._version import __version__
from ktlite.deploy.serving.batching import Batcher
from ktlite.deploy.serving.limits import Limits, cost
from ktlite.deploy.serving.metrics import Metrics
from ktlite.deploy.serving.requests import (
    Models,
    examples_of,
    items_of,
    parse,
    place,
)
from ktlite.errors import DataError, KtliteError, listing
from ktlite.inputs.input import Input
from ktlite.predictor import Predictor


class _Loaded(NamedTuple):
    predictor: Predictor
    since: str

    @classmethod
    def of(cls, predictor: Predictor) -> _Loaded:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return cls(predictor, now)


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
        self.takes = Models.of(self.input, predictor.predict, predictor.preproc.task.predict)
        self._batches = Batcher(
            most=limits.batch,
            gather=limits.gather,
            cost=self._cost,
            expected=lambda: self.in_flight,
            observe=metrics.batch,
        )
        # Explanations take long: they wait for each other, and predictions do not for them.
        self._explanations = Batcher(most=1, gather=limits.gather)

    @property
    def input(self) -> Input:
        """What the predictor reads."""
        return self._now.predictor.preproc.input

    @property
    def stuck(self) -> bool:
        """Whether the model has not answered for longer than clients wait."""
        return self._batches.busy > self.limits.timeout

    def predict(self, body: bytes, content_type: str = "application/json") -> dict[str, Any]:
        """Returns predictions, as `Predictor.predict` gives them."""
        predictor = self._now.predictor
        given, options = self._given(body, content_type, self.takes.predict)
        examples, single = self._examples(predictor, given)
        asked = examples[0] if single else examples
        predictions = self._run(
            examples, single, lambda: self._batched(predictor).predict(asked, **options)
        )
        return {"predictions": predictions, **self._remarks(examples, single)}

    def predict_proba(self, body: bytes, content_type: str = "application/json") -> dict[str, Any]:
        """Returns probabilities, and the classes in their order."""
        predictor = self._now.predictor
        given, _ = self._given(body, content_type, self.takes.proba)
        examples, single = self._examples(predictor, given)
        asked = examples[0] if single else examples
        found = self._run(examples, single, lambda: self._batched(predictor).predict_proba(asked))
        return {
            "classes": predictor.get_classes(),
            "probabilities": found,
            **self._remarks(examples, single),
        }

    def explain(self, body: bytes, content_type: str = "application/json") -> dict[str, Any]:
        """Returns what each part of an example did to the prediction, such as each word."""
        predictor = self._now.predictor
        given, options = self._given(body, content_type, self.takes.explain)
        (example,), _ = self._examples(predictor, [given])

        def run(examples: list[Any]) -> list[Any]:
            return list(predictor.explain(examples, **options))

        ((explanation,),) = self._run(
            [example], True, lambda: self._explanations(run, [example], self.limits.timeout)
        )
        found: dict[str, Any] = explanation.to_dict()
        return found

    def info(self) -> dict[str, Any]:
        """Returns what the predictor is."""
        predictor, since = self._now
        task = predictor.preproc.task
        return {
            "name": self.name,
            "task": task.name,
            "takes": task.reads,
            "input": self.input.kind,
            "noun": self.input.noun,
            "media": self.input.media,
            "classes": predictor.get_classes(),
            "options": list(self.takes.predict.model_fields)[1:],
            "settings": {
                key: value
                for key, value in task.get_config().items()
                if key not in ("classes", "calibration")
            },
            "maxlen": predictor.preproc.maxlen,
            "limits": {
                "texts": self.limits.texts,
                "characters": self.limits.characters,
                "pixels": self.limits.pixels,
                "seconds": self.limits.seconds,
                "body": self.limits.body,
                "max_new_tokens": self.limits.max_new_tokens,
            },
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
            old, new = _purpose(self._now.predictor), _purpose(predictor)
            if old != new:
                raise HTTPException(409, f"the folder now holds a predictor of {new}; this server "
                                         f"was started for {old}: restart it.")  # fmt: skip
            self._now = _Loaded.of(predictor)
        logger.info("reloaded %s", self.name)
        return self.info()

    def _given(
        self, body: bytes, content_type: str, model: type[BaseModel]
    ) -> tuple[Any, dict[str, Any]]:
        """Returns the examples of a request as they came, and its options."""
        options = parse(body, content_type, model, self.input.noun)
        return options.pop(next(iter(model.model_fields)), None), options

    def _examples(self, predictor: Predictor, given: Any) -> tuple[list[Any], bool]:
        words = predictor.preproc.task.reads == "tagged"
        return examples_of(given, self.limits, predictor.preproc.input, words=words)

    def _run(self, examples: list[Any], single: bool, run: Callable[[], Any]) -> Any:
        """Returns what `run` does; where examples turn out to be unusable, says which.

        They are batched with those of others, and their numbers there say nothing to the client.
        """
        try:
            return run()
        except DataError:
            problems = self.input.problems(examples)
            told = [
                f"{place(self.input.noun, None if single else number)}: {problem}"
                for number, problem in enumerate(problems)
                if problem is not None
            ]
            if not told:
                raise
            raise HTTPException(422, f"{listing(told)}.") from None

    def _remarks(self, examples: list[Any], single: bool) -> dict[str, Any]:
        """Returns what there is to say of examples that the model hardly knows; mostly nothing."""
        whole = [
            " ".join(items_of(example, self.input)) if self.input.has_pairs else example
            for example in examples
        ]
        found = self.input.remarks(whole)
        if not any(found):
            return {}
        return {"remarks": found[0] if single else found}

    def _cost(self, example: Any) -> int:
        """Returns how many short examples one counts as: a long text may be read in windows."""
        extent = sum(map(self.input.extent, items_of(example, self.input)))
        return cost(self.input.measure, extent)

    def _batched(self, predictor: Predictor) -> Predictor:
        """Returns a predictor that gets its logits together with the texts of other requests."""

        def logits(texts: Sequence[Any], *_: Any) -> np.ndarray:
            parts = self._batches(predictor.logits, texts, self.limits.timeout)
            return np.concatenate(parts)

        batched = copy.copy(predictor)
        vars(batched)["logits"] = logits  # in place of the method
        return batched


def _purpose(predictor: Predictor) -> str:
    return f"{predictor.preproc.task.name} of {predictor.preproc.input.noun}s"
