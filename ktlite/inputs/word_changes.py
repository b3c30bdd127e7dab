"""Changes of a text's words, drawn at random, for training."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ktlite.errors import DataError, Problems
from ktlite.inputs.words import Words, stands_alone

# Letters beside each other on a keyboard of the English layout.
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
Lookup = Mapping[str, Sequence[str]]
#: Returns for words the words that are nearest, by a table of the checkpoint's.
Nearest = Callable[[Sequence[str], int], Lookup]


@dataclass(frozen=True)
class Change(abc.ABC):
    """A way to change a text for training.

    Args:
        share: Of its words that are changed: about so many, and one at least. Punctuation marks are
            left alone. In scripts without spaces each character is a word.

    Raises:
        ArgumentError: If `share` is not above 0 and at most 1.
    """

    share: float = 0.1
    #: Whether each word stays where it is, so that labels of words stay theirs.
    keeps_words: ClassVar[bool] = False

    def __post_init__(self) -> None:
        problems = Problems(type(self).__name__)
        fine = isinstance(self.share, (int, float)) and not isinstance(self.share, bool)
        problems.add_unless(
            fine and 0 < self.share <= 1, f"share={self.share!r}; expected above 0, at most 1."
        )
        self._check(problems)
        problems.raise_if_any()

    def _check(self, problems: Problems) -> None:  # noqa: B027
        """Records what is wrong with further arguments: here there are none."""

    def prepared(self, texts: Callable[[], Sequence[Words]], nearest: Nearest) -> Change:
        """Returns the change with what is worked out once for all training texts: here itself.

        Args:
            texts: Returns all of them.
            nearest: Finds words that are near to others.
        """
        return self

    @abc.abstractmethod
    def __call__(self, words: Words, random: np.random.Generator) -> Words:
        """Returns a changed text.

        Args:
            words: The text.
            random: What the change is drawn from.
        """

    def _chosen(self, places: Sequence[int], random: np.random.Generator) -> np.ndarray:
        """Returns about a `share` of places, one at least where there is one, ascending."""
        chosen = np.flatnonzero(random.random(len(places)) < self.share)
        if not len(chosen) and len(places):
            chosen = random.integers(len(places), size=1)
        return np.asarray(places, "int64")[chosen]


class Delete(Change):
    """Takes words out (EDA: Wei and Zou, 2019, arXiv:1901.11196); one is always left.

    Example:
        >>> Delete(0.2)(split_words("It was not a bad film."), np.random.default_rng(0)).text
        'It was not a film.'
    """

    def __call__(self, words: Words, random: np.random.Generator) -> Words:
        places = word_places(words)
        if len(places) < 2:
            return words
        gone = set(self._chosen(places, random).tolist())
        if len(gone) == len(places):
            gone.discard(places[random.integers(len(places))])
        pieces = _gapped(words)
        kept = [piece for i, piece in enumerate(pieces) if i not in gone]
        kept[0] = (kept[0][0], pieces[0][1])
        return _joined(kept, _tail(words))


class Swap(Change):
    """Lets words change places with others, each with any (EDA)."""

    def __call__(self, words: Words, random: np.random.Generator) -> Words:
        places, pieces = word_places(words), _gapped(words)
        if len(places) < 2:
            return words
        for first in self._chosen(places, random):
            second = places[random.integers(len(places))]
            (a, before), (b, between) = pieces[first], pieces[second]
            pieces[first], pieces[second] = (b, before), (a, between)
        return _joined(pieces, _tail(words))


@dataclass(frozen=True)
class _LookedUp(Change):
    """A change by words that are like others.

    Args:
        words: For words, in lower case, others that may stand in for them. Default: those whose
            vectors in the checkpoint's table of words are nearest. These are used alike, but need
            not mean the same: "bad" is near to "good".
        count: How many of these are drawn from.
    """

    words: Lookup | None = None
    count: int = 5

    def _check(self, problems: Problems) -> None:
        whole = isinstance(self.count, int) and not isinstance(self.count, bool)
        problems.add_unless(
            whole and self.count >= 1,
            f"count={self.count!r}; expected a whole number of 1 or more.",
        )
        if self.words is not None:
            fine = isinstance(self.words, Mapping) and all(
                isinstance(key, str) and not isinstance(others, str) and all(
                    isinstance(other, str) and other.strip() for other in others
                )
                for key, others in self.words.items()
            )  # fmt: skip
            problems.add_unless(
                fine, "words is no dict of words with lists of others, {'film': ['movie']}."
            )

    def __repr__(self) -> str:
        known = "" if self.words is None else f", words of {len(self.words):,}"
        return f"{type(self).__name__}(share={self.share}, count={self.count}{known})"

    def prepared(self, texts: Callable[[], Sequence[Words]], nearest: Nearest) -> Change:
        if self.words is not None:
            return self
        known = sorted({text.words[i].lower() for text in texts() for i in word_places(text)})
        return dataclasses.replace(self, words=nearest(known, self.count))

    def _others(self, word: str) -> Sequence[str]:
        return [] if self.words is None else list(self.words.get(word.lower(), ()))[: self.count]

    def _known(self, words: Words) -> list[int]:
        """Returns the places of words that others are known for."""
        own = words.words
        return [place for place in word_places(words) if self._others(own[place])]

    def _other(self, word: str, random: np.random.Generator) -> str:
        others = self._others(word)
        return _cased(others[int(random.integers(len(others)))], word)


@dataclass(frozen=True, repr=False)
class Synonym(_LookedUp):
    """Puts other words in place of words (EDA): those of a dictionary, or near ones.

    Example:
        >>> change = Synonym(words={"film": ["movie"]})
        >>> change(split_words("A fine film."), np.random.default_rng(0)).text
        'A fine movie.'
    """

    keeps_words = True

    def __call__(self, words: Words, random: np.random.Generator) -> Words:
        pieces = _gapped(words)
        for place in self._chosen(self._known(words), random):
            pieces[place] = (self._other(pieces[place][0], random), pieces[place][1])
        return _joined(pieces, _tail(words))


@dataclass(frozen=True, repr=False)
class Insert(_LookedUp):
    """Puts words that are like some of a text's anywhere into it (EDA); see `Synonym`."""

    def __call__(self, words: Words, random: np.random.Generator) -> Words:
        pieces = _gapped(words)
        new = [self._other(pieces[i][0], random) for i in self._chosen(self._known(words), random)]
        places = word_places(words)  # not between a word and its full stop
        for word in new:
            at = int(random.integers(len(places)))
            place = places[at]
            places = [*places[: at + 1], *(later + 1 for later in places[at:])]
            spaced = not (stands_alone(word[-1]) and stands_alone(pieces[place][0][0]))
            # What is put first leaves the space that stood there to the word behind it.
            behind, gap = pieces[place]
            pieces[place : place + 1] = [(word, gap), (behind, " " if spaced else "")]
        return _joined(pieces, _tail(words))


class Typo(Change):
    """Hits the key beside the right one, once in a word of at least 3 letters.

    As in Pruthi et al. (2019, arXiv:1905.11268), the first letter stays, and so does the last one.
    Letters are those of the English keyboard; words of other scripts are left alone.
    """

    keeps_words = True

    def __call__(self, words: Words, random: np.random.Generator) -> Words:
        pieces = _gapped(words)
        inner = {
            place: [i for i in range(1, len(word) - 1) if word[i].lower() in _BESIDE]
            for place, (word, _) in enumerate(pieces)
        }
        for place in self._chosen([place for place, found in inner.items() if found], random):
            word, gap = pieces[place]
            at = inner[int(place)][random.integers(len(inner[int(place)]))]
            beside = _BESIDE[word[at].lower()]
            hit = _cased(beside[random.integers(len(beside))], word[at])
            pieces[place] = (word[:at] + hit + word[at + 1 :], gap)
        return _joined(pieces, _tail(words))


@dataclass(frozen=True, repr=False)
class Rewritten(Change):
    """Puts a text of the same meaning in place of a text, made once for all training texts.

    Back-translation (Sennrich et al., 2016, arXiv:1511.06709) is
    `Rewritten((to_german.translate, to_english.translate))`. `share` has no meaning here.

    Args:
        steps: Functions from a list of texts to a list of as many texts, the first one first.
    """

    steps: Sequence[Callable[[list[str]], Sequence[str]]] = ()
    made: Mapping[str, str] | None = None

    def _check(self, problems: Problems) -> None:
        steps = self.steps if isinstance(self.steps, Sequence) else [self.steps]
        problems.add_unless(
            bool(steps) and all(map(callable, steps)),
            f"steps={self.steps!r:.80}; expected functions from a list of texts to as many texts.",
        )
        object.__setattr__(self, "steps", tuple(steps))

    def __repr__(self) -> str:
        return f"Rewritten({len(self.steps)} steps)"

    def prepared(self, texts: Callable[[], Sequence[Words]], nearest: Nearest) -> Change:
        """Returns the change with the texts that are made of these.

        Raises:
            DataError: If a step gives anything but as many texts.
        """
        given = list(dict.fromkeys(text.text for text in texts()))
        made: Any = given
        for number, step in enumerate(self.steps):
            made = list(step(list(made)))
            if len(made) != len(given) or not all(isinstance(text, str) for text in made):
                raise DataError(
                    f"Rewritten: step {number} was given {len(given):,} texts and returned "
                    f"{len(made):,} items; expected as many texts, each a string."
                )
        pairs = zip(given, made, strict=True)
        return dataclasses.replace(self, made={old: new for old, new in pairs if new.strip()})

    def __call__(self, words: Words, random: np.random.Generator) -> Words:
        text = (self.made or {}).get(words.text, words.text)
        return words if text == words.text else Words(text, ())


def word_places(words: Words) -> list[int]:
    """Returns the numbers of a text's words that are no punctuation marks."""
    return [i for i, word in enumerate(words.words) if any(map(str.isalnum, word))]


def _gapped(words: Words) -> list[tuple[str, str]]:
    """Returns each word with what stands between it and the one before."""
    ends = [0, *(end for _, end in words.spans)]
    return [
        (words.text[start:end], words.text[before:start])
        for before, (start, end) in zip(ends, words.spans, strict=False)
    ]


def _tail(words: Words) -> str:
    return words.text[words.spans[-1][1] :] if words.spans else words.text


def _joined(pieces: Sequence[tuple[str, str]], tail: str) -> Words:
    spans, text = [], ""
    for word, gap in pieces:
        text += gap
        spans.append((len(text), len(text) + len(word)))
        text += word
    return Words(text + tail, tuple(spans))


def _cased(word: str, as_this: str) -> str:
    """Returns a word with a capital where another begins with one."""
    return word[:1].upper() + word[1:] if as_this[:1].isupper() else word


def _beside() -> dict[str, str]:
    found = {letter: "" for row in _ROWS for letter in row}
    for number, row in enumerate(_ROWS):
        for place, letter in enumerate(row):
            # A row is half a key to the right of the one above.
            below = _ROWS[number + 1][max(0, place - 1) : place + 1] if number < 2 else ""
            above = _ROWS[number - 1][place : place + 2] if number else ""
            found[letter] = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
            found[letter] += below + above
    return found


_BESIDE = _beside()
