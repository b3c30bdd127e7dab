"""The methods of a `Predictor` that predict."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked, not_a_string
from ktlite._labels import label_names, matched
from ktlite.cards import RunCard
from ktlite.data.pairs import check_no_table
from ktlite.data.preprocessor import Preprocessor
from ktlite.encodings.encodings import Encodings
from ktlite.errors import ArgumentError, DataError, Problems, listing, plural
from ktlite.inference.answers import answers
from ktlite.inference.runner import Forward, Runner
from ktlite.predictor.cache import LogitsCache
from ktlite.tasks import Task


def _check_order(model: Any, preproc: Preprocessor) -> None:
    """Raises if a model's outputs are the labels of a preprocessor in another order."""
    outputs, labels = label_names(getattr(model, "config", None)), preproc.task.output_names
    if matched(labels, outputs).moved:
        raise ArgumentError(
            f"the model's outputs are {listing(outputs)}, and the labels of the preprocessor "
            f"{listing(labels)}: the same in another order. Make the model with this "
            "preprocessor's get_classifier()."
        )


class Predicting:
    """Raw texts to predictions."""

    @checked
    def __init__(
        self, model: Any, preproc: Preprocessor, batch_size: int = 32, *, cache: int = 0
    ) -> None:
        # A runner may have traced the model already.
        self._forward = model if isinstance(model, Runner) else Forward(model)
        self.model = model = self._forward.model
        needed = preproc.task.outputs
        found = getattr(model, "num_labels", needed) or 0
        if found != needed:
            raise ArgumentError(
                f"the model has {plural(found, 'output')}, but the labels of the preprocessor need "
                f"{needed}; make the model with this preprocessor's get_classifier()."
            )
        _check_order(model, preproc)
        # With a task of its own: calibrating or training another model changes nothing here.
        self.preproc = copy.copy(preproc)
        self.preproc.task = copy.deepcopy(preproc.task)
        self.batch_size = batch_size
        #: What led to the model; None where that is not known.
        self.card: RunCard | None = None
        #: The folder of the export that it runs, and its manifest's checksum; else None.
        self.origin: tuple[Path, str] | None = None
        self._cache = LogitsCache(cache)
        self._embedders: dict[tuple[str | None, bool | None], Runner] = {}

    def __repr__(self) -> str:
        count = getattr(self.model, "count_params", None)
        size = type(self.model).__name__ if count is None else plural(count(), "parameter")
        parts = [repr(self.preproc.task), size, self.preproc.shape]
        lines = [f"{type(self).__name__}: {', '.join(parts)}"]
        if self.card is not None:
            lines += self.card.summary()
        return "\n".join(lines)

    def get_classes(self) -> list[Any]:
        """Returns the labels in the order of the probabilities."""
        return self.preproc.get_classes()

    @checked
    def predict(
        self,
        texts: Any,
        return_proba: bool = False,
        *,
        coverage: float | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> Any:
        """Predicts one text or many.

        Args:
            texts: A string, or a list of them; of a model that was trained on pairs of texts, a
                tuple of two strings, or a list of such tuples. Of a model that tags words, also a
                list of lists of words; of one that compares texts, pairs; of one that answers
                questions, tuples (question, context).
            return_proba: Give probabilities in place of labels.
            coverage: Give sets in place of single predictions, each with the truth in it for at
                least this share of texts, such as 0.9: the labels that may well be true, the most
                likely first; for regression (lowest, highest). Needs `Learner.calibrate`. The
                promise is about texts like those of its data (exchangeable ones), on average over
                texts, not for each class or kind of text.
            batch_size: Texts a batch. Default: the predictor's.
            verbose: 1 shows a progress bar for many texts.
            **options: More that the task takes, as its `predict` describes them. Several labels a
                text: `return_labels`. Tags of words: `merge_tokens`, `return_offsets`,
                `custom_tokenizer`. Answers: `return_offsets`, `n_best`.

        Returns:
            For one text one prediction, for a list a list: the label; for several labels
            a text, (label, probability) of each; for regression, the number; for tags of
            words, a list of (word, tag); for a pair to compare, the cosine. With `return_proba`,
            what `predict_proba` returns, or the probability in each tuple.

        Raises:
            DataError: If a text is not of a kind that the task takes, such as a pair where the
                model was trained on single texts.
            ArgumentError: If the task does not take an option, gives no sets, or is not
                calibrated.
        """
        if coverage is not None:
            return self._sets(texts, coverage, {"return_proba": return_proba, **options},
                              batch_size, verbose)  # fmt: skip

        def run(examples: Sequence[Any], task: Task | None = None) -> np.ndarray:
            if task in (None, self.preproc.task):
                return self.logits(examples, batch_size, verbose)
            return self.fresh_logits(examples, batch_size, verbose, task)

        examples, single = self.preproc.given(texts)
        predicted = self.preproc.task.predict(examples, run, return_proba, **options)
        return predicted[0] if single else predicted

    def _sets(
        self,
        texts: Any,
        coverage: float,
        others: Mapping[str, Any],
        batch_size: int | None,
        verbose: int,
    ) -> Any:
        """Returns what `predict` does with `coverage`, which goes with no other option."""
        given = [name for name, value in others.items() if value]
        if given:
            raise ArgumentError(f"predict: coverage goes without {listing(given)}.")
        many, single = self.preproc.as_list(texts)
        sets = self.preproc.task.sets(self.logits(many, batch_size, verbose), coverage)
        return sets[0] if single else sets

    @checked
    def predict_stream(
        self,
        texts: Iterable[Any],
        return_proba: bool = False,
        *,
        chunk: int = 2_000,
        **options: Any,
    ) -> Iterator[Any]:
        """Yields the predictions of any number of texts, in their order, in bounded memory.

        Args:
            texts: What can be iterated over: a generator, a file's lines, a reader of a database.
                No more than `chunk` are taken before their predictions are given.
            return_proba: As for `predict`.
            chunk: Texts at a time. The more, the more alike in length are those of a batch.
            **options: Other arguments of `predict`.

        Raises:
            DataError: When it comes to a text that is not of a kind that the task takes.

        Example:
            >>> with open("reviews.txt") as lines:
            ...     for label in predictor.predict_stream(line.strip() for line in lines):
            ...         ...
        """
        problems = Problems("predict_stream")
        at_least_one(problems, chunk=chunk)
        not_a_string(problems, texts=texts)
        problems.raise_if_any()
        preproc = self.preproc
        check_no_table(texts, preproc.reading.get("text_column"), preproc.input.noun)

        def predictions() -> Iterator[Any]:
            source, done = iter(texts), 0
            while part := list(itertools.islice(source, chunk)):
                try:
                    found = self.predict(part, return_proba, **options)
                except DataError as error:
                    raise DataError(f"of the texts from number {done} on, {error}") from error
                yield from found
                done += len(part)

        return predictions()

    @checked
    def predict_proba(
        self,
        texts: Any,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Returns probabilities, float32: [classes] for one text, [texts, classes] for a list.

        Of a model that tags words: [words, classes] for each text.
        """
        many, single = self.preproc.as_list(texts)
        probabilities = self.preproc.task.probabilities(self.logits(many, batch_size, verbose))
        return probabilities[0] if single else probabilities

    @checked
    def logits(
        self, texts: Sequence[Any], batch_size: int | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Returns the model's logits, in the order of the texts.

        They are float32 [texts, outputs]; of a model that tags words, an array of objects, each
        float32 [words, outputs].
        """
        if not self._cache.size or not len(texts):
            return self.fresh_logits(texts, batch_size, verbose)
        examples = list(texts)
        keys = [self.preproc.input.key(example) for example in examples]
        try:
            found = self._cache.find(keys)
            missing = {k: e for k, e in zip(keys, examples, strict=True) if k not in found}
            rows = self.fresh_logits(list(missing.values()), batch_size, verbose)
        except (DataError, TypeError):  # an example of no known kind: say which of all it is
            return self.fresh_logits(examples, batch_size, verbose)
        new: dict[Any, np.ndarray] = {k: rows[i : i + 1] for i, k in enumerate(missing)}
        self._cache.add(new)
        found |= new
        return np.concatenate([found[key] for key in keys])

    def clear_cache(self) -> None:
        """Forgets the predictions that `cache` keeps; do so where the model's weights change."""
        self._cache.clear()

    def fresh_logits(
        self,
        texts: Sequence[Any],
        batch_size: int | None = None,
        verbose: int = 0,
        task: Task | None = None,
    ) -> np.ndarray:
        """Returns what `logits` does, from the model as it is now and not from the cache.

        Args:
            texts: As for `logits`.
            batch_size: Likewise.
            verbose: Likewise.
            task: In place of the predictor's own, one with other options.
        """
        if not len(texts):
            return np.zeros((0, self.preproc.task.outputs), "float32")
        encodings = self.preproc.encode(texts, verbose=verbose, task=task)
        return self.logits_of(encodings, batch_size, verbose, task)

    def logits_of(
        self,
        encodings: Encodings,
        batch_size: int | None = None,
        verbose: int = 0,
        task: Task | None = None,
    ) -> np.ndarray:
        """Returns what `logits` does, for texts that are tokens already."""
        size = self.batch_size if batch_size is None else batch_size
        task = task or self.preproc.task
        return answers(self._forward, encodings, task, batch_size=size, verbose=verbose)
