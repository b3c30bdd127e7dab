"""Texts as a kind of input: what one is, how it is read, and how long it may be."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.errors import ArgumentError, DataError, Problems, listing
from ktlite.inputs.decoding import decode
from ktlite.inputs.input import Input
from ktlite.inputs.text_augmentation import TextAugmentation, nearest_words, words_of_texts
from ktlite.inputs.word_parts import WordParts, shortened, words_of

SHORTEST = 4  # two special tokens and something to look at
_SHOWN_FILES = 5


class Texts(Input):
    """What is said of texts before a tokenizer is known."""

    kind = "text"
    unit = "token"
    expected = "str"
    has_pairs = True
    options = ("maxlen", "window", "stride")
    measure = "characters"
    in_pytorch = ('inputs = model.tokenizer("A text.", return_tensors="pt")',)

    @classmethod
    def accepts(cls, item: Any) -> bool:
        return isinstance(item, str)

    @classmethod
    def is_one(cls, value: Any) -> bool:
        return False  # the task says: of one that tags words, a list of them is an example

    @classmethod
    def is_one_json(cls, value: Any) -> bool:
        return isinstance(value, (str, dict))  # a question and its context are an object

    @classmethod
    def extent(cls, item: Any) -> int:
        return len(item)

    @classmethod
    def listed(cls, items: Any) -> list[Any]:
        listed: list[Any] = items.tolist() if hasattr(items, "tolist") else list(items)
        return listed

    def remarks(self, items: Sequence[Any]) -> list[str | None]:
        return self._familiarity.remarks(items)

    @functools.cached_property
    def _familiarity(self) -> Any:
        from ktlite.inputs.familiarity import Familiarity  # which needs a tokenizer, as this one is

        return Familiarity(self)  # type: ignore[arg-type]

    @classmethod
    def of_files(
        cls, files: Sequence[Path], encoding: str | None, source: str
    ) -> tuple[list[Any], str]:
        texts: list[str] = []
        used: Counter[str] = Counter()
        problems = Problems(source, DataError)
        for file in files:
            try:
                text, found = decode(file.read_bytes(), encoding, f"{file.parent.name}/{file.name}")
            except DataError as error:
                problems.add(str(error))
                continue
            texts.append(text)
            used[found] += 1
        del problems.found[_SHOWN_FILES:]
        problems.raise_if_any()
        counts = listing(f"{name} ({count:,})" for name, count in used.most_common())
        return texts, f"encodings: {counts}"

    def augmentation(self, given: Any, task: Any) -> TextAugmentation:
        if not task.varies:
            raise ArgumentError(
                f"augment={given!r:.80}: what a {task.name} task learns would no longer follow "
                "from a changed text; it goes with labels of texts, of pairs and of words, and "
                "with questions."
            )
        return TextAugmentation.of(given, keeps_words=task.labels_words)

    def prepared_augmentation(
        self, augmentation: TextAugmentation, items: Sequence[Any], model: Any
    ) -> TextAugmentation:
        def table() -> np.ndarray:
            return np.asarray(model.towers[0].front.word.embeddings)

        nearest = functools.partial(nearest_words, self, table)
        return augmentation.prepared(functools.cache(lambda: words_of_texts(items)), nearest)

    def shortened(self, item: Any, most: int) -> tuple[Any, int]:
        return shortened(item, most)

    def parts(self, item: Any, encodings: Encodings) -> WordParts:
        return words_of(item, encodings, self)


def lengths(tokens: Any, folder: Path, options: Mapping[str, Any]) -> tuple[int, int | None]:
    """Returns the longest text in tokens, and how many of them windows share; None: it is cut.

    Args:
        tokens: The `TokensSpec` of the model.
        folder: Of the checkpoint.
        options: `maxlen`, or `window` and `stride`, as for `get_learner`; `name`, that of the
            checkpoint, for messages.

    Raises:
        ArgumentError: If they do not fit the model.
    """
    window, stride = options.get("window"), options.get("stride")
    longest = tokens.max_positions
    problems = Problems("Transformer")
    name, length = ("maxlen", options["maxlen"]) if window is None else ("window", window)
    fits = isinstance(length, (int, np.integer)) and SHORTEST <= length <= longest
    problems.add_unless(
        fits,
        f"{name}={length!r}; expected a whole number from {SHORTEST} to {longest}, the positions "
        f"that {options.get('name', folder)} has.",
    )
    if stride is not None:
        problems.add_unless(window is not None, f"stride={stride!r} goes with window=.")
        problems.add_unless(
            not fits or (isinstance(stride, (int, np.integer)) and 0 <= stride <= length // 2),
            f"stride={stride!r}; expected a whole number from 0 to {length // 2 if fits else 0}, "
            "half of the window.",
        )
    problems.raise_if_any()
    if window is not None and stride is None:
        stride = window // 4
    return int(length), stride


def check_texts(texts: Sequence[Any]) -> None:
    """Raises DataError unless every text is a string or a pair of strings, in Unicode."""
    for row, text in enumerate(texts):
        parts = text if isinstance(text, tuple) and len(text) == 2 else (text,)
        if not all(isinstance(part, str) for part in parts):
            raise DataError(
                f"text {row} is {text!r:.60} of type {type(text).__name__}; expected a string, or "
                "a tuple of two strings for a pair."
            )
        try:
            for part in parts:
                part.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"text {row} is not Unicode: character {error.start} is half of a surrogate pair "
                "(an emoji that was cut in two?). Mend it with "
                "text.encode('utf-8', 'replace').decode()."
            ) from error
