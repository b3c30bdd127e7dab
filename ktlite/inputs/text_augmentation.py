"""Texts that are changed at random in training batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError, Problems, listing
from ktlite.inputs.named_changes import asked_changes
from ktlite.inputs.word_changes import (
    Change,
    Delete,
    Insert,
    Nearest,
    Swap,
    Synonym,
    Typo,
)
from ktlite.inputs.words import Words, split_words

#: Changes by name.
CHANGES: dict[str, type[Change]] = {
    "synonym": Synonym,
    "insert": Insert,
    "swap": Swap,
    "delete": Delete,
    "typo": Typo,
}


@dataclass(frozen=True)
class TextAugmentation:
    """Draws a change for each text of a training batch.

    In each epoch a text is left alone or changed in one of the ways, all of these equally often.
    What is drawn depends on the generator alone.

    Labels are left as they are, though a changed word may turn what a text says: "not bad" without
    its first word is the opposite.

    Args:
        changes: The ways.

    Example:
        >>> augmentation = TextAugmentation.of(["delete", Typo(0.2)])
        >>> train = dataclasses.replace(train, augmentation=augmentation)
    """

    changes: tuple[Change, ...]

    @classmethod
    def of(cls, augment: Any, *, keeps_words: bool = False) -> TextAugmentation:
        """Returns what an `augment=` stands for.

        Args:
            augment: Names, and changes with their settings; one or a list; names in one string,
                commas between; or an augmentation.
            keeps_words: Whether labels stand on words, so that these must stay where they are.

        Raises:
            ArgumentError: If it holds anything else; all that it does is named.
        """
        made = augment.changes if isinstance(augment, cls) else augment
        problems = Problems("augment")
        changes = []
        for one in asked_changes(problems, made, CHANGES):
            if not isinstance(one, Change):
                problems.add(
                    f"{one!r:.60} is of type {type(one).__name__}; of texts expected some of "
                    f"{listing(CHANGES)}, or changes such as ktlite.text.Delete(0.2)."
                )
                continue
            changes.append(one)
            problems.add_unless(
                one.keeps_words or not keeps_words,
                f"{type(one).__name__} moves words, and labels that stand on words would be "
                "another's; with them go synonym and typo, which put a word in a word's place.",
            )
        problems.raise_if_any()
        return cls(tuple(changes))

    def prepared(self, texts: Callable[[], Sequence[Words]], nearest: Nearest) -> TextAugmentation:
        """Returns the augmentation with what is worked out once.

        Args:
            texts: Returns all training texts.
            nearest: Finds words that are near to others.
        """
        return TextAugmentation(tuple(c.prepared(texts, nearest) for c in self.changes))

    def drawn(self, random: np.random.Generator) -> Callable[[Words], Words] | None:
        """Returns how to change a text, or the texts of an example; None: it is left alone."""
        number = int(random.integers(len(self.changes) + 1))
        if number == len(self.changes):
            return None
        return functools.partial(self.changes[number], random=random)


def nearest_words(
    tokenizer: Any, table: Callable[[], np.ndarray], words: Sequence[str], count: int
) -> dict[str, list[str]]:
    """Returns the words of a vocabulary whose vectors are nearest to those of others, by cosine.

    Args:
        tokenizer: A `Tokenizer`.
        table: Returns float [vocabulary, width], the vectors of its tokens.
        words: In lower case; those that are one token are looked up.
        count: How many of each.

    Raises:
        ArgumentError: If none of them is one token: there is nothing to look up.
    """
    ids = np.sort(tokenizer.ordinary_ids())
    entries = [tokenizer.decode([int(number)]) for number in ids]
    fine = [i for i, entry in enumerate(entries) if entry.isalpha()]
    again = tokenizer.plain_ids([f" {entries[i]}" for i in fine])
    # Those that are words, not what words go on with.
    fine = [i for i, tokens in zip(fine, again, strict=True) if tokens.tolist() == [ids[i]]]
    number_of = {entries[i].lower(): n for n, i in reversed(list(enumerate(fine)))}
    asked = [word for word in words if word in number_of]
    if not asked:
        raise ArgumentError(
            "augment: none of the training texts' words is one token of this checkpoint, so none "
            "is near to another; give a dictionary, ktlite.text.Synonym(words={'film': ['movie']})."
        )
    vectors = np.asarray(table(), "float32")[ids[fine]]
    vectors -= vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12
    found = {}
    for start in range(0, len(asked), 512):
        part = asked[start : start + 512]
        close = vectors[[number_of[word] for word in part]] @ vectors.T
        most = min(close.shape[1], count + 4)  # other spellings of the word itself are left out
        best = np.argpartition(-close, most - 1, axis=1)[:, :most]
        for word, row, values in zip(part, best, close, strict=True):
            ordered = [entries[fine[i]] for i in row[np.argsort(-values[row], kind="stable")]]
            found[word] = [entry for entry in ordered if entry.lower() != word][:count]
    return found


def words_of_texts(items: Sequence[Any]) -> list[Words]:
    """Returns the texts of examples, each by itself, as words."""
    parts: list[Words] = []
    for item in items:
        if isinstance(item, Words):
            parts.append(item)
        elif isinstance(item, str):
            parts.append(split_words(item))
        else:
            parts += words_of_texts(item)
    return parts
