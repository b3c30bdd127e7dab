"""What a kind of input has to know: how it becomes arrays, and how people see it."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.indexed import IndexedData
from ktlite.errors import ArgumentError, DataError, listing
from ktlite.inputs.parts import Parts


class Input(abc.ABC):
    """One kind of thing that a model reads, such as texts or images.

    What a person gives is an *item*. Class methods say what is one before any checkpoint is
    known, for readers of data; an instance is of a checkpoint, and encodes items for its model.

    A new kind is one file with a subclass that `register` knows; the specs of models that read it
    say its `kind`.
    """

    #: The name in files and messages, and of an item: `"text"`.
    kind: ClassVar[str]
    #: What `Encodings.lengths` count: `"token"`; empty where all are alike.
    unit: ClassVar[str] = ""
    #: What an item may be, for messages.
    expected: ClassVar[str]
    #: Whether a tuple of two is a pair of items, and not an item.
    has_pairs: ClassVar[bool] = False
    #: Arguments of `of_checkpoint` that a user may give, as in `get_learner`.
    options: ClassVar[tuple[str, ...]] = ()
    #: Hugging Face's names of heads for this kind, where they are others than for texts.
    heads: ClassVar[Mapping[str, str]] = {}
    #: Items for recorded predictions, never the user's: a predictor travels further than its data.
    #: None: examples of the task.
    golden: ClassVar[Sequence[Any] | None] = None

    #: Lines of Python that make `inputs` of an item for `model`, a pipeline of Hugging Face's.
    in_pytorch: ClassVar[Sequence[str]] = ()

    #: What `extent` counts, as servers limit it: `"characters"`; empty: nothing.
    measure: ClassVar[str] = ""
    #: The media type of the files that hold one item each, as browsers ask: `"image/*"`. Empty:
    #: items are no files.
    media: ClassVar[str] = ""

    @property
    def noun(self) -> str:
        """What an item is called."""
        return self.kind

    @classmethod
    def kinds(cls) -> str:
        """Returns what several items are called."""
        return f"{cls.kind}s"

    # Of items, whatever the checkpoint

    @classmethod
    @abc.abstractmethod
    def accepts(cls, item: Any) -> bool:
        """Says whether this is an item by its type."""

    @classmethod
    def is_one(cls, value: Any) -> bool:
        """Says whether a value is a single item, not several; where the kind leaves it open, no."""
        return cls.accepts(value)

    @classmethod
    def problems(cls, items: Sequence[Any]) -> list[str | None]:
        """Says of each item why it cannot be used, in a few words; None: it can."""
        return [None] * len(items)

    @classmethod
    def listed(cls, items: Any) -> list[Any]:
        """Returns many items as a list."""
        return list(items)

    @classmethod
    def of_cells(cls, values: list[Any], base: Path | None) -> list[Any]:
        """Returns the items that cells of a table stand for.

        Args:
            values: The cells.
            base: The folder of the file that they are from; None: they are from none.
        """
        return values

    @classmethod
    def of_files(
        cls, files: Sequence[Path], encoding: str | None, source: str
    ) -> tuple[list[Any], str]:
        """Returns the items in files, one in each, and a few words on how they were read.

        Args:
            files: Their paths.
            encoding: Of files of text; None: detected.
            source: What to call them all in messages.

        Raises:
            DataError: If one cannot be read.
        """
        return [os.fspath(file) for file in files], ""

    @classmethod
    def is_file(cls, file: Path) -> bool:
        """Says by its name whether a file of a class folder has an item."""
        return True

    @classmethod
    def key(cls, item: Any) -> str:
        """Returns a string that is the same for equal items, and differs for others."""
        return repr(item)

    @classmethod
    def to_json(cls, item: Any) -> Any:
        """Returns an item as a value for JSON."""
        return item

    @classmethod
    def from_json(cls, value: Any) -> Any:
        """Returns the item that a value of JSON stands for."""
        return value

    @classmethod
    def is_one_json(cls, value: Any) -> bool:
        """Says whether a value of JSON is a single item, not several."""
        return isinstance(value, str)

    @classmethod
    def from_bytes(cls, content: bytes) -> Any:
        """Returns the item that an uploaded file holds, of a kind with `media`."""
        raise DataError(f"{cls.kind}s are not files of their own.")

    @classmethod
    def extent(cls, item: Any) -> int:
        """Returns how large an item is, in its kind's `measure`, before it is read in full.

        Raises:
            DataError: If that cannot be told.
        """
        return 0

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Returns the JSON schema of what `to_json` returns."""
        return {"type": "string"}

    @classmethod
    def shown(cls, item: Any) -> Any:
        """Returns an item as a person reads it in a line: here itself."""
        return item

    @classmethod
    def in_code(cls, item: Any) -> str:
        """Returns how an item is written in an example of code."""
        return repr(item)

    @classmethod
    def shown_as_html(cls, item: Any) -> str | None:
        """Returns an item as HTML, for reports; None: as `shown` has it."""
        return None

    # Of a checkpoint

    @classmethod
    @abc.abstractmethod
    def of_checkpoint(cls, folder: Path, spec: Any, **options: Any) -> Input:
        """Returns the input of a checkpoint's model.

        Args:
            folder: The checkpoint's.
            spec: The `ktlite.models.core.spec.ModelSpec` of its model.
            **options: Those that `options` names, as far as they were given.

        Raises:
            ArgumentError: If an option does not fit the checkpoint.
            CheckpointError: If the folder lacks what it takes.
        """

    @abc.abstractmethod
    def encode(self, items: Sequence[Any], *, verbose: int = 0) -> Encodings:
        """Returns the encodings of items, of one row each or more.

        Raises:
            DataError: If one is no item, or cannot be used; it says which.
        """

    def augmentation(self, given: Any, task: Any) -> Any:
        """Returns what an `augment=` stands for; what `Encodings.augmented` takes.

        Args:
            given: What the user gave.
            task: What the labels mean.

        Raises:
            ArgumentError: If it is not known, or does not go with the task.
        """
        return given

    def prepared_augmentation(self, augmentation: Any, items: Sequence[Any], model: Any) -> Any:
        """Returns an augmentation with what is worked out once, before training: here as it is.

        Args:
            augmentation: Of `augmentation`.
            items: The training data, and no more than that.
            model: What trains.
        """
        return augmentation

    def shortened(self, item: Any, most: int) -> tuple[Any, int]:
        """Returns an item with so many words at most, and how many are left out: here none.

        Args:
            item: The item, or an example of several.
            most: Of each text.
        """
        return item, 0

    def parts(self, item: Any, encodings: Encodings) -> Parts:
        """Returns what an explanation takes out of an item: by default there is nothing known.

        Args:
            item: The item, or an example of several.
            encodings: Of this example alone.

        Raises:
            ArgumentError: If none of its parts are known.
        """
        raise ArgumentError(
            f"explain: {self.noun}s have no parts that are known, so that nothing can be taken out "
            f"of one. `parts` of {type(self).__name__} would say what they are."
        )

    def remarks(self, items: Sequence[Any]) -> list[str | None]:
        """Says of each item, in a few words, why not to trust what is predicted; None: nothing."""
        return [None] * len(items)

    def vocabularies(self) -> list[list[str | None]]:
        """Returns the tokens by id of what is read and of what is written; none without tokens."""
        return []

    def counts(self, encodings: Encodings) -> np.ndarray:
        """Returns how often each entry of the vocabulary is in encodings, int64 [entries].

        Raises:
            ArgumentError: If items are not made of such.
        """
        raise ArgumentError(f"vocabulary: this model reads {self.noun}s, not texts; leave it out.")

    def narrowed(self, used: np.ndarray) -> tuple[Input, np.ndarray]:
        """Returns this with a part of the vocabulary, and int64 [kept], the old id of each new one.

        Args:
            used: int [used], ids that have to stay.

        Raises:
            ArgumentError: If there is no vocabulary, or none of which a part can be taken.
        """
        raise ArgumentError(f"vocabulary: this model reads {self.noun}s, not texts; leave it out.")

    def checks(self, splits: Mapping[str, IndexedData], longest: int | None) -> Sequence[Any]:
        """Looks at data of this kind, for `Learner.check`.

        Args:
            splits: The data sets by name, the training data first.
            longest: The longest that the model can read, as tokens; None where that is not known.

        Returns:
            Tuples of what was looked at, what was found, and what to do about it, which is empty
            where all is fine.
        """
        return []

    @abc.abstractmethod
    def save(self, folder: Path) -> dict[str, Any]:
        """Writes files that belong to it, as the checkpoint had them; returns the rest for JSON."""

    @classmethod
    @abc.abstractmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Input:
        """Makes it again from what `save` wrote and returned."""


T = TypeVar("T", bound=type[Input])

#: All kinds of input by name; `register` adds one.
INPUTS: dict[str, type[Input]] = {}


def register(kind: T) -> T:
    """Makes a kind of input known by its name; for use as a decorator."""
    INPUTS[kind.kind] = kind
    return kind


def input_of(
    checkpoint: str | os.PathLike[str],
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
) -> type[Input]:
    """Returns the kind of input that a checkpoint's model reads, by its config.json alone.

    Args:
        checkpoint: Its folder or Hub name.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of the config to accept.

    Raises:
        CheckpointError: If there is no such checkpoint, or its config is not understood.
    """
    from ktlite.models.auto import read_spec
    from ktlite.models.checkpoint import find_config

    folder = find_config(checkpoint, revision=revision)
    return find_input(read_spec(folder, tuple(ignore_config_fields)).input)


def find_input(kind: str) -> type[Input]:
    """Returns a kind of input.

    Raises:
        ArgumentError: If there is none of this name.
    """
    from ktlite.inputs import (  # noqa: F401  register themselves
        images,
        images_or_texts,
        sounds,
        tokenizer,
    )

    if kind not in INPUTS:
        raise ArgumentError(f"no kind of input is {kind!r}; there are {listing(sorted(INPUTS))}.")
    return INPUTS[kind]
