"""Extractive question answering: the answer is a part of a text, or there is none."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.tokens import ContextEncodings
from ktlite.errors import ArgumentError, DataError, Problems
from ktlite.inputs.contexts import as_question
from ktlite.inputs.words import Words, split_words
from ktlite.tasks.aims import Aim, answer_aims
from ktlite.tasks.answers import NOTHING, Answer, AnswerLogits, Guess, answer_places
from ktlite.tasks.arrays import ragged, unpadded
from ktlite.tasks.losses import IGNORE
from ktlite.tasks.squad_metrics import answer_scores, best_threshold
from ktlite.tasks.task import Report, Task


class QuestionAnswering(Task):
    """Finds the answer to a question in a text, its context.

    The model says of each token that the answer starts there, and that it ends there. Long
    contexts are read in windows that overlap; the answer is the span whose start and end have
    the largest sum of logits in any window (Devlin et al., 2019, arXiv:1810.04805). It is an
    exact part of the context, and neither begins nor ends inside a word.

    Examples are tuples (question, context). Targets are `ragged`: the `Answer`s of each.

    Args:
        threshold: There is no answer where the score of none is larger than that of the best
            one by more than this; `learner.tune_thresholds()` finds the best. None: there always
            is an answer, as in SQuAD 1.1; so it is learned where all questions have one.
        max_answer_length: The most tokens of an answer.
        stride: Tokens that windows of a long context have in common.

    Raises:
        ArgumentError: If arguments cannot work.

    Example:
        >>> task = QuestionAnswering(threshold=1.5)
        >>> learner = ktlite.get_learner("bert-base-cased", "train.json", task=task, maxlen=384)
    """

    name = "question-answering"
    head = "question-answering"
    reads = "questions"
    golden_examples = (
        ("Who?", "It was written by Ann Lee."),
        ("谁？", "房间很干净，服务也好。"),
        ("What?", "One line, and then another. " * 12),
    )

    def __init__(
        self, threshold: float | None = 0.0, max_answer_length: int = 30, stride: int = 128
    ) -> None:
        problems = Problems("QuestionAnswering")
        problems.add_unless(
            threshold is None or isinstance(threshold, Real),
            f"threshold={threshold!r}; expected a number, or None to answer every question.",
        )
        at_least_one(problems, max_answer_length=max_answer_length)
        problems.add_unless(
            isinstance(stride, int) and stride >= 0,
            f"stride={stride!r}; expected a whole number of 0 or more.",
        )
        problems.raise_if_any()
        self.threshold = threshold
        self.max_answer_length = max_answer_length
        self.stride = stride

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Task:
        """Learns whether there are questions without an answer."""
        return cls(threshold=None if all(len(answers) for answers in labels) else 0.0)

    @property
    def outputs(self) -> int:
        return 2

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        """Returns the answers, ragged: a tuple of `Answer`s for each question."""
        targets = []
        for number, answers in enumerate(labels):
            fine = isinstance(answers, (list, tuple, np.ndarray)) and all(
                isinstance(answer, Answer) for answer in answers
            )
            if not fine:
                raise DataError(
                    f"{source}: question {number} has {answers!r:.60} for its answers; expected "
                    "a list of ktlite.tasks.Answer(text, start), empty where there is none."
                )
            targets.append(tuple(answers))
        return ragged(targets)

    def tokenize(self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0) -> Encodings:
        pairs = [as_question(example, f"text {i}") for i, example in enumerate(examples)]
        encodings: Encodings = tokenizer.encode_contexts(pairs, stride=self.stride, verbose=verbose)
        return encodings

    def varied(self, example: Any, change: Callable[[Words], Words]) -> tuple[str, str]:
        """Returns the question changed; the answers are places of the context, which stays."""
        question, context = as_question(example, "text")
        return str(change(split_words(question))), context

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> np.ndarray:
        """Returns int32 [batch, 2, length]: 1 where the answer starts, and where it ends.

        Both are at [CLS] in windows without it. Padding is `IGNORE`.
        """
        assert isinstance(encodings, ContextEncodings)
        filled = np.full((len(rows), 2, encodings.width(rows)), IGNORE, "int32")
        for row, lines in zip(rows, filled, strict=True):
            example = encodings.example(row)
            places = answer_places(
                targets[example], encodings.spans[example], encodings.windows[row]
            )
            lines[:, : encodings.lengths[row]] = 0
            lines[[0, 1], places] = 1
        return filled

    def reduce(
        self, outputs: Any, targets: Any, inputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, Any]:
        """Takes the padding away: outputs are ragged, [length, 2] each."""
        return unpadded(outputs, inputs), None

    def join(self, outputs: np.ndarray, encodings: Encodings) -> np.ndarray:
        """Returns the `AnswerLogits` of each example."""
        assert isinstance(encodings, ContextEncodings)
        rows_of: dict[int, list[int]] = {}
        for row in range(len(encodings)):
            rows_of.setdefault(encodings.example(row), []).append(row)
        return ragged([
            AnswerLogits(
                encodings.contexts[example],
                encodings.spans[example],
                encodings.windows[rows],
                [outputs[row] for row in rows],
            )
            for example, rows in rows_of.items()
        ])  # fmt: skip

    def loss(self) -> Any:
        return _span_loss()

    def metrics(self) -> list[Any]:
        return [_span_accuracy()]

    def guesses(self, logits: AnswerLogits, count: int = 1) -> list[tuple[Guess, float]]:
        """Returns the likeliest answers of one example with their probabilities, the best first.

        That there is no answer is one of them, unless `threshold` is None. The probabilities are
        those among all answers that are possible in the context.
        """
        scores = logits.scores(self.max_answer_length)
        found = logits.guesses(scores, count)
        if self.threshold is not None or not found:
            nothing = NOTHING._replace(score=logits.no_answer - (self.threshold or 0.0))
            found = sorted([*found, nothing], key=lambda guess: -guess.score)[:count]
            scores = np.append(scores, nothing.score)
        total = np.exp(scores - scores.max()).sum()
        return [(guess, float(np.exp(guess.score - scores.max()) / total)) for guess in found]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Returns float32 [texts], the probability of the answer that `decode` gives."""
        return np.array([self.guesses(item)[0][1] for item in logits], "float32")

    def chosen(self, logits: AnswerLogits) -> Guess:
        """Returns the answer to one example; `NOTHING` where there is none."""
        return self._decided(logits, logits.best(self.max_answer_length))

    def _decided(self, logits: AnswerLogits, best: Guess) -> Guess:
        none = self.threshold is not None and logits.no_answer - best.score > self.threshold
        return NOTHING if none else best

    def decode(self, logits: np.ndarray) -> list[Any]:
        """Returns the answer to each question, "" where there is none."""
        return [self.chosen(item).text for item in logits]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        """Returns the right answers to each question, none where there is none."""
        return [[answer.text for answer in answers] for answers in targets]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the mean loss of each example's windows."""
        pairs = zip(logits, targets, strict=True)
        return np.array([item.losses(answers)[0].mean() for item, answers in pairs], "float64")

    def as_list(self, examples: Any) -> tuple[list[Any], bool]:
        if isinstance(examples, str):
            raise DataError(
                "predict takes a tuple (question, context), or a list of them; got a string: "
                f"{examples!r:.60}"
            )
        if isinstance(examples, Mapping):
            return [examples], True
        return super().as_list(examples)

    @checked
    def predict(
        self,
        examples: Any,
        run: Callable[[Sequence[Any]], np.ndarray],
        return_proba: bool = False,
        *,
        return_offsets: bool = False,
        n_best: int | None = None,
    ) -> Any:
        """Answers one question or many.

        Args:
            examples: A tuple (question, context), a dict of them, or a list of either.
            run: As in `Task.predict`.
            return_proba: Add the probability of the answer.
            return_offsets: Add the characters (start, end) of the context: the answer is
                `context[start:end]`. (0, 0) where there is none.
            n_best: Give a list of so many answers for each question, the best first.

        Returns:
            For a question its answer, for a list a list; "" where there is none. The answer, or
            (answer, probability), (answer, (start, end)) or (answer, probability, (start, end)).
        """
        problems = Problems("predict")
        if n_best is not None:
            at_least_one(problems, n_best=n_best)
        problems.raise_if_any()
        many, single = self.as_list(examples)
        wanted = (True, return_proba, return_offsets)
        answers = []
        for logits in run(many):
            found = [
                tuple(itertools.compress((guess.text, probability, guess.span), wanted))
                for guess, probability in self.guesses(logits, n_best or 1)
            ]
            items = found if return_proba or return_offsets else [text for (text,) in found]
            answers.append(items if n_best else items[0])
        return answers[0] if single else answers

    def aims(
        self, example: Any, outputs: np.ndarray, encodings: Encodings, target: Any = None
    ) -> list[Aim]:
        """Returns the answer; `target` may be another part of the context."""
        return answer_aims(self, outputs, encodings, target)

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        question, context = as_question(example)
        return f"true: {true or 'no answer'} | predicted: {predicted!r}", [question, context]

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        true = self.decode_targets(targets)
        best = [item.best(self.max_answer_length) for item in logits]
        decided = [self._decided(*pair).text for pair in zip(logits, best, strict=True)]
        windows = [item.losses(answers) for item, answers in zip(logits, targets, strict=True)]
        return {
            "loss": ragged([losses for losses, _ in windows]),
            "right": ragged([right for _, right in windows]),
            "scores": np.stack(answer_scores(decided, true), axis=-1),
            "best_scores": np.stack(answer_scores([guess.text for guess in best], true), axis=-1),
            "odds": np.array([a.no_answer - b.score for a, b in zip(logits, best, strict=True)]),
            "said": np.array([bool(guess.text) for guess in best]),
            "answerable": np.array([bool(answers) for answers in true]),
        }

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        loss, right = (np.concatenate(list(measured[name])) for name in ("loss", "right"))
        metrics = {"loss": float(loss.mean()), "accuracy": float(right.mean())}
        answerable = measured["answerable"]
        parts = {"": np.ones_like(answerable)}
        if not answerable.all():
            parts |= {"_answerable": answerable, "_unanswerable": ~answerable}
        for suffix, rows in parts.items():
            if rows.any():
                exact, shared = (100 * measured["scores"][rows].mean(axis=0)).tolist()
                metrics |= {f"exact_match{suffix}": exact, f"f1{suffix}": shared}
        if not answerable.all():
            for name, (value, threshold) in _best_thresholds(measured).items():
                metrics |= {f"best_{name}": 100 * value, f"best_{name}_threshold": threshold}
        return metrics

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        """Scores answers as the official SQuAD scripts do, in percent.

        With questions that have no answer it also gives the scores of both kinds, and the
        thresholds with which exact match and F1 would have been best.
        """
        measured = self.measure(logits, targets)
        metrics, there = self.figures(measured), measured["answerable"]
        lines = [f"{'questions':<14}{'exact match':>13}{'f1':>9}{'support':>10}"]
        support = {"": len(there), "_answerable": there.sum(), "_unanswerable": (~there).sum()}
        for suffix in [suffix for suffix in support if f"f1{suffix}" in metrics]:
            exact, shared = metrics[f"exact_match{suffix}"], metrics[f"f1{suffix}"]
            title = suffix[1:] or "all"
            lines.append(f"{title:<14}{exact:>13.2f}{shared:>9.2f}{support[suffix]:>10,}")
        if not there.all():
            for name in ("exact_match", "f1"):
                value, threshold = metrics[f"best_{name}"], metrics[f"best_{name}_threshold"]
                lines.append(f"best {name}: {value:.2f} with threshold={threshold:.3f}")
            lines.append(f"now threshold={self.threshold}; learner.tune_thresholds() sets the best "
                         "for f1")  # fmt: skip
        result = [("exact_match", metrics["exact_match"]), ("f1", metrics["f1"])]
        return Report("\n".join(lines), metrics, result)

    def tune_thresholds(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Sets `threshold` to what gives the highest F1.

        Raises:
            ArgumentError: If there are no questions without an answer to tell from.
        """
        measured = self.measure(logits, targets)
        if measured["answerable"].all():
            raise ArgumentError(
                "tune_thresholds: every question of this data has an answer, so there is no "
                "threshold to find."
            )
        self.threshold = _best_thresholds(measured)["f1"][1]

    def get_config(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "max_answer_length": self.max_answer_length,
            "stride": self.stride,
        }


def _best_thresholds(measured: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Returns the best exact match and F1 that there can be, each with its threshold."""
    odds, said, answerable = (measured[name] for name in ("odds", "said", "answerable"))
    return {
        name: best_threshold(values, odds, said, answerable)
        for name, values in zip(("exact_match", "f1"), measured["best_scores"].T, strict=True)
    }


def _span_loss() -> Any:
    """Returns a Keras loss: the mean of the cross-entropies of start and end over real tokens."""
    import keras
    from keras import ops

    class SpanCrossEntropy(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            logits = _without_padding(y_true, y_pred)
            there = ops.cast(y_true == 1, logits.dtype)
            return -ops.mean(ops.sum(there * ops.log_softmax(logits, axis=-1), axis=-1), axis=-1)

    return SpanCrossEntropy()


def _span_accuracy() -> Any:
    """Returns a Keras metric: the share of starts and ends that are at the right token."""
    import keras
    from keras import ops

    class Accuracy(keras.metrics.Mean):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            guess = ops.argmax(_without_padding(y_true, y_pred), axis=-1)
            right = ops.equal(guess, ops.argmax(y_true, axis=-1))
            return super().update_state(ops.cast(right, "float32"))

    return Accuracy("accuracy")


def _without_padding(y_true: Any, y_pred: Any) -> Any:
    """Returns logits [batch, length, 2] as float32 [batch, 2, length], padding very low."""
    from keras import ops

    logits = ops.cast(ops.transpose(y_pred, (0, 2, 1)), "float32")
    return ops.where(y_true == IGNORE, -1e9, logits)
