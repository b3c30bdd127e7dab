"""What all tasks have in common whose models write."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ktlite._arguments import checked
from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.targets import IGNORE, SourceEncodings, Spells
from ktlite.errors import ArgumentError, DataError
from ktlite.generation import Generation, StopStrings
from ktlite.generation.config_files import write_options
from ktlite.tasks.arrays import ragged
from ktlite.tasks.losses import scored_accuracy, scored_cross_entropy
from ktlite.tasks.pieces import Pieces
from ktlite.tasks.task import Task

LABELS = "labels"  # Hugging Face's name for what is to be written


@dataclass(frozen=True)
class Written:
    """What a model has written for one example, and how likely it finds what is true.

    Args:
        ids: int32 [tokens], without those that texts start and end with.
        loss: The sum of the losses of the tokens that it should have written; NaN without them.
        count: How many these are.
        right: How many of them are the likeliest in their place; NaN where a runtime does not say.
        stops: Strings that the text ends before.
        text: The text.
    """

    ids: np.ndarray
    loss: float = float("nan")
    count: int = 0
    right: float = 0
    stops: tuple[str, ...] = ()
    text: str = ""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The tokens, for recorded predictions."""
        return self.ids.astype(dtype or "float64")


class Writing(Task):
    """A text for each example, written token by token, and learned by the likelihood of each.

    Args:
        **options: How to search, in the names of `transformers`: `num_beams`, `max_new_tokens`,
            `do_sample`, ... Default: as the checkpoint says.
    """

    varies = False

    counts_targets = True
    labels_are_texts = True

    def __init__(self, **options: Any) -> None:
        # Says what is wrong with them.
        if Generation().with_(**options).num_return_sequences > 1:
            raise ArgumentError(
                f"num_return_sequences={options['num_return_sequences']}: a {self.name} task "
                "writes one text for each; model.generate writes several."
            )
        self.options = options
        self._sources: Spells | None = None

    @property
    def outputs(self) -> int:
        return 0

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        """Returns the texts to be written, [texts] object (str)."""
        values = np.asarray(labels, dtype=object)
        wrong = [value for value in values.ravel() if not isinstance(value, str)]
        if values.ndim != 1 or wrong:
            first = f"{wrong[0]!r:.40} of type {type(wrong[0]).__name__}" if wrong else values.shape
            raise DataError(f"{source}: expected a text to write for each text; got {first}.")
        return values

    def loss(self) -> Any:
        return scored_cross_entropy()

    def custom_loss(self, loss: Any = None, label_smoothing: float = 0.0) -> Any:
        if loss is not None:
            raise ArgumentError(
                f"loss={loss!r}: a {self.name} task learns by the cross-entropy of tokens, whose "
                "logits are never held as a whole; leave loss= out."
            )
        return super().custom_loss(None, label_smoothing)

    def metrics(self) -> list[Any]:
        return [scored_accuracy()]

    def scored(self, inputs: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, Any]:
        """Returns inputs of a model that make it say how likely the targets are."""
        return {**inputs, LABELS: targets}

    def batch(
        self, encodings: Encodings, targets: Any, rows: np.ndarray, seed: Seed
    ) -> tuple[dict[str, np.ndarray], Any]:
        inputs, labels = super().batch(encodings, targets, rows, seed)
        return (inputs if labels is None else self.scored(inputs, labels)), labels

    def answer(
        self,
        run: Any,
        inputs: dict[str, np.ndarray],
        targets: Any = None,
        rows: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Writes; or with targets, says how likely these are, and writes where it is measured."""
        texts = [Written(np.zeros(0, "int32"))] * len(next(iter(inputs.values())))
        if targets is None or self.writes_to_measure:
            ids = run.generate(self.read(inputs), examples=rows, **self._search())
            stops = run.generation(**self.searches).stop_strings
            texts = [Written(row, stops=stops) for row in ids]
        if targets is None:
            return ragged(texts), None
        scores = run(self.scored(inputs, targets))
        sums, counts = scores.sum(axis=1), (targets != IGNORE).sum(axis=1)
        found = [
            replace(text, loss=float(loss), count=int(count), right=float(right))
            for text, (loss, right), count in zip(texts, sums, counts, strict=True)
        ]
        return ragged(found), None

    @property
    def searches(self) -> dict[str, Any]:
        """How texts are searched for, where it is not as the checkpoint says."""
        return self.options

    def _search(self) -> dict[str, Any]:
        """Returns how to search, with what turns tokens into text where that is known."""
        decode = {} if self._sources is None else {"decode": self._sources.decode}
        return {**self.searches, **decode}

    def bound_to(self, encodings: Encodings) -> Writing:
        bound = copy.copy(self)
        bound._sources = self.sources(encodings)
        return bound

    def sources(self, encodings: Encodings) -> Spells:
        """Returns those of the encodings that know what is written as text."""
        assert isinstance(encodings, SourceEncodings)
        return encodings

    def join(self, outputs: np.ndarray, encodings: Encodings) -> np.ndarray:
        sources = self.sources(encodings)
        return ragged([replace(one, text=self._text(one, sources)) for one in outputs])

    def _text(self, written: Written, sources: Spells) -> str:
        text = sources.decode(written.ids)
        text = StopStrings(written.stops, sources.decode).cut(text)
        return text.strip() if self.strips else text

    def stream(self, runner: Any, encodings: Encodings) -> Iterator[str]:
        task = self.bound_to(encodings)
        first = task._pieces(runner, encodings, 0)  # which says here what is wrong
        more = (task._pieces(runner, encodings, row) for row in range(1, len(encodings)))
        return itertools.chain(first, itertools.chain.from_iterable(more))

    def _pieces(self, runner: Any, encodings: Encodings, row: int) -> Iterator[str]:
        """Yields the text of one row; what is white before it stays, if it is not the first."""
        sources = self.sources(encodings)
        inputs = self.read(encodings.batch(np.array([row])))
        stops = runner.generation(**self.searches).stop_strings
        strips = self.strips and not row

        def text(ids: np.ndarray) -> str:
            found = StopStrings(stops, sources.decode).cut(sources.decode(ids))
            return found.strip() if strips else found

        pieces = Pieces(sources, text, stops, strips)
        tokens = runner.stream(inputs, **self._search())

        def told() -> Iterator[str]:
            yield from filter(None, map(pieces.add, tokens))
            if last := pieces.rest():
                yield last

        return told()

    #: Whether white space around a text is left out.
    strips: ClassVar[bool] = False
    #: Whether an example may be a list of messages.
    takes_chats: ClassVar[bool] = False
    #: Whether what is measured needs texts that the model has written, beside the likelihood of
    #: those that are true.
    writes_to_measure = True

    def read(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns what of the inputs is there before anything is written."""
        return {name: array for name, array in inputs.items() if name != LABELS}

    @checked
    def predict(
        self,
        examples: Any,
        run: Callable[..., np.ndarray],
        return_proba: bool = False,
        **options: Any,
    ) -> Any:
        """Writes a text for each.

        Args:
            examples: One text, or many.
            run: Turns a list of examples into what the model has written.
            return_proba: There are no probabilities of texts.
            **options: How to search, in place of the task's own: `num_beams=4`,
                `max_new_tokens=60`, `do_sample=True`, ...
        """
        if return_proba:
            self.probabilities(np.zeros(0))
        many, single = self.as_list(examples)
        task = self.asking(options)
        texts = task.decode(run(many, task=task))
        return texts[0] if single else texts

    def asking(self, options: Mapping[str, Any]) -> Task:
        return self.from_config({**self.get_config(), **options}) if options else self

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        raise ArgumentError("texts that are written have no probabilities; predict gives them.")

    def decode(self, logits: np.ndarray) -> list[Any]:
        return [one.text for one in logits]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return list(targets)

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the mean loss of each text's tokens, float64 [texts]."""
        return np.array([one.loss / max(one.count, 1) for one in logits], "float64")

    def likelihood(self, logits: np.ndarray) -> dict[str, float]:
        """Returns mean loss, perplexity and, where known, accuracy of all tokens that count."""
        count = max(sum(one.count for one in logits), 1)
        loss = sum(one.loss for one in logits) / count
        accuracy = sum(one.right for one in logits) / count
        figures = {"loss": loss, "perplexity": float(np.exp(min(loss, 700.0)))}
        return figures if np.isnan(accuracy) else {**figures, "accuracy": accuracy}

    def check_explained(self) -> None:
        raise ArgumentError(
            f"explain: {self.name} writes texts, and what moved a text that is written is not "
            "explained; explain is for predictions that have a score: of classes, values, tags or "
            "answers. evaluate() and learner.view_top_losses() show how likely true texts are."
        )

    def get_config(self) -> dict[str, Any]:
        return dict(self.options)

    def hf_config(self) -> dict[str, Any]:
        return {}

    def write_files(self, folder: Path, maxlen: int | None) -> None:
        """Writes how this task searches into the checkpoint's `generation_config.json`."""
        if self.searches:
            options = Generation.of_folder(folder).with_(**self.searches)
            write_options(folder, options.to_config(), [field.name for field in fields(options)])


def as_lines(metrics: Mapping[str, float]) -> str:
    """Returns figures to read, one a line."""
    return "\n".join(f"{name:>12} {value:10.4f}" for name, value in metrics.items())
