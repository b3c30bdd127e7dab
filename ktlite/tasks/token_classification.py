"""A tag a word: names, parts of speech, slots."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._arguments import checked
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import DataError, did_you_mean, listing
from ktlite.inputs.words import Words, as_words
from ktlite.tasks.aims import Aim, entity_aims
from ktlite.tasks.arrays import log_softmax, plain, ragged, softmax, unpadded
from ktlite.tasks.calibration import Calibration, Reliability
from ktlite.tasks.entities import (
    OUTSIDE,
    counted,
    entities,
    has_prefix,
    macro,
    score_table,
    scores_of,
)
from ktlite.tasks.losses import IGNORE, counted_accuracy, counted_cross_entropy
from ktlite.tasks.task import Report, Task
from ktlite.tasks.teaching import SoftLoss, of_classes


class TokenClassification(Task):
    """Tags for words. The model tags sub-words; the first one speaks for its word.

    Tags with prefixes (`B-PER`, `I-PER`, `O`: BIO, IOB1, IOBES, BILOU, BMEWO) stand for
    entities; validation counts these. Other tags (`NOUN`) are counted by word.

    Targets are `ragged`: int32 [words] for each text.

    Args:
        classes: The tags, in the order of the outputs.
        label_all_subwords: Train on all sub-words of a word, not on the first alone.
        calibration: What `calibrate` has learned, as `get_config` gives it.

    Raises:
        DataError: If a tag is listed twice, there is no second one, or some have prefixes and
            others do not.

    Example:
        >>> task = TokenClassification(["O", "B-PER", "I-PER"])
        >>> task.encode([["B-PER", "I-PER", "O"]])[0]
        array([1, 2, 0], dtype=int32)
    """

    name = "token-classification"
    counts_targets = True
    labels_words = True
    head = "token-classification"
    reads = "tagged"

    def __init__(
        self,
        classes: Sequence[str],
        label_all_subwords: bool = False,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self._classes = [str(tag) for tag in plain(list(classes))]
        self._index = {tag: i for i, tag in enumerate(self._classes)}
        self.label_all_subwords = label_all_subwords
        self.calibration = Calibration.from_config(calibration)
        if len(self._index) != len(self._classes):
            raise DataError(f"a tag is listed twice: {listing(self._classes)}.")
        if len(self._classes) < 2:
            raise DataError(
                f"tagging needs at least two tags, got {listing(self._classes) or 'none'}. "
                "Check that the tag column is the right one."
            )
        named = [tag for tag in self._classes if tag != OUTSIDE]
        without = [tag for tag in named if not has_prefix(tag)]
        self.prefixed = not without
        if without and len(without) < len(named):
            raise DataError(
                f"the tags are of no known scheme: {listing(without)} without prefix beside "
                f"{listing(t for t in named if has_prefix(t))}. Expected O and B-, I-, E-, S- with "
                "a type for each (BIO, IOB1, IOBES), or plain tags."
            )

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Task:
        """Learns the tags. Each type gets all prefixes that any of them has.

        A type of few entities may lack its `I-` in the training data, and have it elsewhere.
        """
        found = {str(tag) for tags in labels for tag in tags}
        letters = {tag[0] for tag in found if has_prefix(tag)}
        types = {tag[2:] for tag in found if has_prefix(tag)}
        if types and all(has_prefix(tag) or tag == OUTSIDE for tag in found):
            order = "BISELUMW"
            found = {f"{letter}-{kind}" for kind in types for letter in letters} | {OUTSIDE}
            ordered = sorted(found - {OUTSIDE}, key=lambda tag: (tag[2:], order.index(tag[0])))
        else:
            ordered = sorted(found - {OUTSIDE})
        names = [OUTSIDE] * (OUTSIDE in found) + ordered
        try:
            return cls(list(class_names) or names)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None

    @property
    def outputs(self) -> int:
        return len(self._classes)

    @property
    def classes(self) -> list[Any]:
        return list(self._classes)

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        if isinstance(labels, str) or any(
            isinstance(tags, str) or not isinstance(tags, Iterable) for tags in labels
        ):
            raise DataError(
                f"{source}: expected a list of tags for each text, such as ['B-PER', 'O']; got "
                f"{labels[0]!r:.60}."
            )
        rows = [[str(tag) for tag in plain(list(tags))] for tags in labels]
        unknown = sorted({tag for tags in rows for tag in tags if tag not in self._index})
        if unknown:
            number, tags = next(
                (i, tags) for i, tags in enumerate(rows) if any(t not in self._index for t in tags)
            )
            raise DataError(
                f"{source}: tags that are not among {listing(self._classes)}: {listing(unknown)}, "
                f"first in text {number}.{did_you_mean(unknown[0], self._classes)} Tags that only "
                "the validation data has cannot be learned: add such texts to the training data."
            )
        return ragged([np.array([self._index[tag] for tag in tags], "int32") for tags in rows])

    def tokenize(self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0) -> Encodings:
        words = [as_words(example).words for example in examples]
        encodings: Encodings = tokenizer.encode_words(words, verbose=verbose)
        return encodings

    def varied(self, example: Any, change: Callable[[Words], Words]) -> Words:
        """Returns the words changed, as many as before, each with the tag that it had."""
        words = as_words(example)
        changed = change(words)
        return changed if len(changed) == len(words) else words

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> np.ndarray:
        """Returns the word's target at its first sub-word, else `IGNORE`.

        Args:
            targets: Of all examples; or vectors of all their words, float32 [words, width] each.
            encodings: Of all examples.
            rows: int [batch].

        Returns:
            int32 [batch, length], or float32 [batch, length, width].
        """
        assert isinstance(encodings, TokenEncodings)
        first = np.asarray(targets[0])
        kind = "float32" if first.ndim > 1 else "int32"
        filled = np.full((len(rows), encodings.width(rows), *first.shape[1:]), IGNORE, kind)
        for row, line in zip(rows, filled, strict=True):
            words = encodings.words_in(row)
            there = words >= 0 if self.label_all_subwords else _first(words)
            line[: len(words)][there] = targets[encodings.example(row)][words[there]]
        return filled

    def reduce(
        self, outputs: Any, targets: Any, inputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, Any]:
        """Takes the padding away: outputs are ragged, [length, tags] each."""
        return unpadded(outputs, inputs), None

    def join(self, outputs: np.ndarray, encodings: Encodings) -> np.ndarray:
        """Returns ragged logits, [words, tags] for each text, its windows put together."""
        assert isinstance(encodings, TokenEncodings)
        parts: dict[int, list[np.ndarray]] = {}
        for row, logits in enumerate(outputs):
            first = _first(encodings.words_in(row))
            parts.setdefault(encodings.example(row), []).append(logits[first])
        return ragged([np.concatenate(part) for part in parts.values()])

    def loss(self) -> Any:
        return counted_cross_entropy()

    def soft_loss(self, temperature: float) -> SoftLoss:
        return of_classes(temperature)

    def metrics(self) -> list[Any]:
        return [counted_accuracy()]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return ragged([self._chances(row).astype("float32") for row in logits])

    def _chances(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits / self.calibration.temperature)

    def decode(self, logits: np.ndarray) -> list[Any]:
        return self.decode_targets(ragged([row.argmax(axis=-1) for row in logits]))

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return [[self._classes[int(i)] for i in row] for row in targets]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the mean loss of each text's words; 0 where there are none."""
        rows = self._word_losses(logits, targets)
        return np.array([losses.mean() if len(losses) else 0.0 for losses in rows])

    def _word_losses(self, logits: np.ndarray, targets: np.ndarray) -> list[np.ndarray]:
        """Returns for each text the losses of its words, float64 [words]."""
        temperature = self.calibration.temperature
        pairs = zip(logits, targets, strict=True)
        return [_losses(row / temperature, true) for row, true in pairs]

    def as_list(self, examples: Any) -> tuple[list[Any], bool]:
        if isinstance(examples, Words):
            return [examples], True
        return super().as_list(examples)

    @checked
    def predict(
        self,
        examples: Any,
        run: Callable[[Sequence[Any]], np.ndarray],
        return_proba: bool = False,
        *,
        merge_tokens: bool = False,
        return_offsets: bool = False,
        custom_tokenizer: Callable[[str], Sequence[Any]] | None = None,
    ) -> Any:
        """Tags the words of one text or many.

        Args:
            examples: A text; a list of texts; a list of lists of words.
            run: As in `Task.predict`.
            return_proba: Add the probability of the tag (of an entity: the mean of its words').
            merge_tokens: Give entities, not words.
            return_offsets: Add the characters (start, end) of each word. Entities have them.
            custom_tokenizer: Cuts a text into words. It returns them as they stand in the text,
                in their order, or their (start, end).

        Returns:
            For a text a list, for a list a list of lists of (word, tag), (word, tag,
            probability), (word, tag, (start, end)) or (word, tag, probability, (start, end)).
            With `merge_tokens`: of (text, type, (start, end)) or (text, type, probability,
            (start, end)).
        """
        many, single = self.as_list(examples)
        texts = [as_words(example, custom_tokenizer) for example in many]
        wanted = (True, True, return_proba, return_offsets or merge_tokens)
        found = []
        for words, logits in zip(texts, run(texts), strict=True):
            tags = [self._classes[i] for i in logits.argmax(axis=-1)]
            chances = self._chances(logits).max(axis=-1) if len(logits) else np.zeros(0)
            items: Iterable[tuple[Any, ...]]
            if merge_tokens:
                items = self._merged(words, tags, chances)
            else:
                items = zip(words.words, tags, chances.tolist(), words.spans, strict=True)
            found.append([tuple(itertools.compress(item, wanted)) for item in items])
        return found[0] if single else found

    def _merged(self, words: Words, tags: list[str], chances: np.ndarray) -> list[tuple[Any, ...]]:
        """Returns (text, type, probability, (start, end)) of each entity."""
        merged = []
        for kind, first, end in entities(tags, self.prefixed):
            span = (words.spans[first][0], words.spans[end - 1][1])
            merged.append((words.text[slice(*span)], kind, float(chances[first:end].mean()), span))
        return merged

    def aims(
        self, example: Any, outputs: np.ndarray, encodings: Encodings, target: Any = None
    ) -> list[Aim]:
        """Returns the entities; `target` may be words of the text, or the number of one."""
        return entity_aims(self, example, outputs, encodings, target)

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        wrong = [
            f"{word}: {tag}, predicted {guess}"
            for word, tag, guess in zip(as_words(example).words, true, predicted, strict=True)
            if tag != guess
        ]
        return f"{len(wrong)} of {len(true)} words wrong", [str(example), *wrong]

    @property
    def _kinds(self) -> list[str]:
        """What is counted: types of entities, or tags."""
        if not self.prefixed:
            return self._classes
        return sorted({tag[2:] for tag in self._classes if tag != OUTSIDE})

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        predicted = [row.argmax(axis=-1) for row in logits]
        pairs = list(zip(targets, predicted, strict=True))
        if self.prefixed:
            tags = self.decode_targets(targets), self.decode(logits)
            counts = counted(*tags, self._kinds)
        else:
            counts = np.array([_counts_of_tags(*pair, self.outputs) for pair in pairs])
        return {
            "loss": np.array([losses.sum() for losses in self._word_losses(logits, targets)]),
            "words": np.array([len(true) for true in targets]),
            "right": np.array([(true == guess).sum() for true, guess in pairs]),
            "counts": counts,
        }

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        words = measured["words"].sum()
        figures = {
            "loss": float(measured["loss"].sum() / words),
            "accuracy": float(measured["right"].sum() / words),
        }
        by_kind, overall = scores_of(self._kinds, measured["counts"].sum(axis=0))
        if self.prefixed:
            figures |= {name: getattr(overall, name) for name in ("precision", "recall", "f1")}
        return {**figures, "f1_macro": macro(by_kind).f1}

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        measured = self.measure(logits, targets)
        figures = self.figures(measured)
        if self.prefixed:
            scores = scores_of(self._kinds, measured["counts"].sum(axis=0))
            return Report(score_table(*scores), figures, figures["f1"])
        from sklearn.metrics import classification_report

        true, predicted = [
            list(itertools.chain.from_iterable(tags))
            for tags in (self.decode_targets(targets), self.decode(logits))
        ]
        text = classification_report(true, predicted, zero_division=0, digits=3)
        return Report(text, figures, figures["accuracy"])

    def calibrate(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Learns a temperature of the words' probabilities."""
        self.calibration = Calibration(self.best_temperature(logits, targets))

    def reliability(self, logits: np.ndarray, targets: np.ndarray) -> Reliability:
        """Compares the probability of each word's tag with how often it is right."""
        words, true = np.concatenate(list(logits)), np.concatenate(list(targets))
        return Reliability.of(self._chances(words).max(axis=-1), words.argmax(axis=-1) == true)

    def get_config(self) -> dict[str, Any]:
        return {
            "classes": self.classes,
            "label_all_subwords": self.label_all_subwords,
            **self.calibration.config(),
        }


def _first(words: np.ndarray) -> np.ndarray:
    """Returns bool [length]: which tokens are the first of a word."""
    return (words >= 0) & (np.diff(words, prepend=-1) != 0)


def _losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns float64 [words]."""
    return -np.take_along_axis(log_softmax(logits), targets[:, None].astype(int), 1)[:, 0]


def _counts_of_tags(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Returns how often each tag is right, predicted and true, int [classes, 3]."""
    groups = (true[true == predicted], predicted, true)
    return np.stack([np.bincount(group, minlength=classes) for group in groups], axis=-1)
