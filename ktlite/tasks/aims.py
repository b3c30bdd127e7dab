"""What of a model's outputs an explanation is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.tokens import ContextEncodings, TokenEncodings
from ktlite.errors import ArgumentError, did_you_mean, listing
from ktlite.inputs.words import Words, as_words
from ktlite.tasks.answers import Answer, answer_places
from ktlite.tasks.arrays import softmax
from ktlite.tasks.entities import entities


@dataclass(frozen=True, eq=False)
class Aim:
    """A number to explain: a weighted sum of the model's outputs for one example.

    Args:
        target: What a person calls it: a label, an entity, an answer.
        prediction: What the model says.
        probability: Of the target; None where there are no probabilities.
        weights: By the number of the example's row, what its outputs are multiplied with, of
            their shape. Rows without weights do not matter.
    """

    target: Any
    prediction: Any
    probability: float | None
    weights: Mapping[int, np.ndarray]


def contrasts(classes: int) -> np.ndarray:
    """Returns the weights of each class against the mean of the others, [classes, classes].

    A softmax sees differences of logits alone. Of two classes this one is the log odds.

    Example:
        >>> contrasts(2)
        array([[ 1., -1.],
               [-1.,  1.]])
    """
    return (classes * np.eye(classes) - 1) / max(classes - 1, 1)


def output_aims(
    task: Any, outputs: np.ndarray, encodings: Encodings, target: Any = None
) -> list[Aim]:
    """Returns the aims of a task with one row of outputs an example; `Task.aims` describes it."""
    if not task.outputs:
        raise ArgumentError(f"explain: the outputs of the task {task.name!r} cannot be explained.")
    names = task.classes or [task.name]
    if len(names) != task.outputs:
        raise ArgumentError(
            f"explain: the {task.outputs} outputs of the task {task.name!r} have no names. Give it "
            "`classes`, a name for each, or `aims` of its own."
        )
    if target is not None and target not in names:
        raise ArgumentError(
            f"target={target!r}; expected one of {listing(map(repr, names))}."
            f"{did_you_mean(target, names)}"
        )
    logits = task.join(outputs, encodings)
    prediction = task.decode(logits)[0]
    chances, order = [None] * len(names), list(range(len(names)))
    if task.predicts_classes:
        chances = task.probabilities(logits)[0].tolist()
        order.sort(key=lambda number: -chances[number])
    rows = range(len(outputs))
    weights = task.target_weights() / len(rows)  # windows of a text count alike
    return [
        Aim(names[number], prediction, chances[number], dict.fromkeys(rows, weights[number]))
        for number in order
        if target is None or names[number] == target
    ]


def entity_aims(
    task: Any, example: Any, outputs: np.ndarray, encodings: Encodings, target: Any = None
) -> list[Aim]:
    """Returns an aim for each entity that a tagger finds, or for the words that are asked for.

    Of several words the mean. Where there is no entity, the word that the model is least sure of.

    Args:
        task: A `TokenClassification`.
        example: A text, or its words.
        outputs: What `reduce` kept of its rows.
        encodings: Of this example alone.
        target: The number of a word, or words as they stand in the text.
    """
    assert isinstance(encodings, TokenEncodings)
    words = as_words(example)
    if not len(words):
        raise ArgumentError("there are no words to explain.")
    logits = task.join(outputs, encodings)[0]
    tags, chances = task.decode([logits])[0], softmax(logits).max(axis=-1)
    first: dict[int, tuple[int, int]] = {}  # of each word, where its tag is read: row and token
    for row in range(len(outputs)):
        for token, word in enumerate(encodings.words_in(row).tolist()):
            if word >= 0:
                first.setdefault(word, (row, token))
    if target is None:
        unsure = int(chances.argmin())
        found = [(start, end) for _, start, end in entities(tags, task.prefixed)]
        stretches = found or [(unsure, unsure + 1)]
    else:
        stretches = [_stretch(words, target)]
    aims = []
    for start, end in stretches:
        weights = {row: np.zeros_like(outputs[row], "float64") for row, _ in
                   (first[word] for word in range(start, end))}  # fmt: skip
        for word in range(start, end):
            row, token = first[word]
            chosen = int(logits[word].argmax())
            weights[row][token] += contrasts(task.outputs)[chosen] / (end - start)
        named = words.text[words.spans[start][0] : words.spans[end - 1][1]]
        said = " ".join(tags[start:end])
        aims.append(Aim(named, said, float(chances[start:end].mean()), weights))
    return aims


def _stretch(words: Words, target: Any) -> tuple[int, int]:
    """Returns the first of some words, and the one after the last."""
    if isinstance(target, int) and 0 <= target < len(words):
        return target, target + 1
    starts = {start: number for number, (start, _) in enumerate(words.spans)}
    ends = {end: number + 1 for number, (_, end) in enumerate(words.spans)}
    for start in starts if isinstance(target, str) and target else ():
        if words.text.startswith(target, start) and start + len(target) in ends:
            return starts[start], ends[start + len(target)]
    raise ArgumentError(
        f"target={target!r}; expected words of the text, or the number of one, 0 to "
        f"{len(words) - 1}.{did_you_mean(target, words.words)}"
    )


def answer_aims(
    task: Any, outputs: np.ndarray, encodings: Encodings, target: Any = None
) -> list[Aim]:
    """Returns the aim of an answer: the logits that it starts, and that it ends, where it does.

    Args:
        task: A `QuestionAnswering`.
        outputs: What `reduce` kept of its rows.
        encodings: Of this example alone.
        target: A part of the context. Default: the model's answer.
    """
    assert isinstance(encodings, ContextEncodings)
    context, spans = encodings.contexts[0], encodings.spans[0]
    guess, chance = task.guesses(task.join(outputs, encodings)[0])[0]
    text, start = guess.text, guess.span[0]
    if target not in (None, text):
        text, start, chance = target, context.find(target) if isinstance(target, str) else -1, None
    if start < 0:
        raise ArgumentError(f"target={target!r}; expected an answer that is in the context.")
    answers = [Answer(text, start)] if text else []
    # Of no answer, the window that says least for it, as in `AnswerLogits`.
    sign, best = 1 if answers else -1, -np.inf
    weights: dict[int, np.ndarray] = {}
    for row, (window, logits) in enumerate(zip(encodings.windows, outputs, strict=True)):
        first, last = answer_places(answers, spans, window)
        score = sign * float(logits[first, 0] + logits[last, 1])
        if bool(first) == bool(answers) and score > best:
            ones = np.zeros_like(logits, "float64")
            ones[first, 0] = ones[last, 1] = 1.0
            best, weights = score, {row: ones}
    if not weights:
        raise ArgumentError(f"target={target!r}; no window of the context has the whole of it.")
    return [Aim(text or "no answer", guess.text, chance, weights)]
