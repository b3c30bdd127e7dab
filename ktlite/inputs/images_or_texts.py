"""Images or texts: what a person gives where a model has a tower for either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ktlite.encodings.encodings import Encodings
from ktlite.errors import DataError
from ktlite.inputs.images import SUFFIXES, Images
from ktlite.inputs.input import Input, register
from ktlite.inputs.texts import Texts
from ktlite.inputs.tokenizer import Tokenizer

_DATA_URL = "data:image/"


def _is_group(item: Any) -> bool:
    return isinstance(item, (tuple, list))


@register
class ImagesOrTexts(Input):
    """Pictures and texts of a checkpoint that compares them.

    A string is a text, unless it ends as the names of picture files do (`"cats/1.jpg"`); all else
    is what `Images` takes.

    Args:
        images: What encodes pictures.
        texts: What encodes texts.

    Example:
        >>> both = ImagesOrTexts.of_checkpoint(folder, spec, maxlen=77)
        >>> list(both.encode(["a cat"]).batch(np.array([0])))
        ['input_ids', 'attention_mask']
        >>> list(both.encode(["cat.jpg"]).batch(np.array([0])))
        ['pixel_values']
    """

    kind = "image or text"
    expected = f"a text, or a picture ({Images.expected})"
    has_pairs = True
    options = ("maxlen",)
    #: Texts are never read in windows.
    stride = None

    def __init__(self, images: Images, texts: Tokenizer) -> None:
        self.images = images
        self.texts = texts

    @property
    def maxlen(self) -> int:
        """The longest text in tokens."""
        return self.texts.maxlen

    @property
    def noun(self) -> str:
        """What an item of data is called: texts that belong to them are labels."""
        return Images.kind

    @classmethod
    def kinds(cls) -> str:
        return "images with texts"

    def __str__(self) -> str:
        return f"{self.images}, texts of {self.maxlen} tokens"

    # Of items, whatever the checkpoint

    @classmethod
    def accepts(cls, item: Any) -> bool:
        """Says whether this is a text or a picture by its type."""
        return isinstance(item, str) or Images.accepts(item)

    @classmethod
    def is_one(cls, value: Any) -> bool:
        """Says whether a value is one text, or one picture."""
        return isinstance(value, str) or Images.is_one(value)

    @classmethod
    def listed(cls, items: Any) -> list[Any]:
        """Returns many texts or pictures as a list."""
        return Images.listed(items)

    # Data has pictures in these places: texts that belong to them are labels.

    @classmethod
    def of_cells(cls, values: list[Any], base: Path | None) -> list[Any]:
        """Returns the pictures that cells of a table stand for."""
        return Images.of_cells(values, base)

    @classmethod
    def is_file(cls, file: Path) -> bool:
        """Says by its name whether a file of a class folder is a picture."""
        return Images.is_file(file)

    @classmethod
    def _of(cls, item: Any) -> type[Input]:
        """Returns the kind of an item."""
        is_text = isinstance(item, str) and Path(item).suffix.lower() not in SUFFIXES
        return Texts if is_text else Images

    @classmethod
    def problems(cls, items: Sequence[Any]) -> list[str | None]:
        """Says of each item why it cannot be used; None: it can."""
        return [cls._of(item).problems([item])[0] for item in items]

    @classmethod
    def key(cls, item: Any) -> str:
        """Returns the same for equal items, or examples of several."""
        return repr(list(map(cls.key, item))) if _is_group(item) else cls._of(item).key(item)

    @classmethod
    def to_json(cls, item: Any) -> Any:
        """Returns a text as it is, a picture as a data URL; of an example of several, a list."""
        return list(map(cls.to_json, item)) if _is_group(item) else cls._of(item).to_json(item)

    @classmethod
    def from_json(cls, value: Any) -> Any:
        """Returns the picture of a data URL; any other string is a text, a list an example."""
        if isinstance(value, list):
            return tuple(map(cls.from_json, value))
        if isinstance(value, str) and value.startswith(_DATA_URL):
            return Images.from_json(value)
        return value

    @classmethod
    def shown(cls, item: Any) -> Any:
        """Returns a text as it is, a picture by its name and size."""
        return tuple(map(cls.shown, item)) if _is_group(item) else cls._of(item).shown(item)

    @classmethod
    def shown_as_html(cls, item: Any) -> str | None:
        """Returns a small copy of a picture; None of a text."""
        return None if _is_group(item) else cls._of(item).shown_as_html(item)

    # Of a checkpoint

    @classmethod
    def of_checkpoint(cls, folder: Path, spec: Any, **options: Any) -> ImagesOrTexts:
        """Returns the input of a checkpoint that has an image tower and a text tower.

        Args:
            folder: The checkpoint's.
            spec: Of its model.
            **options: `maxlen`, as for `get_learner`, or the model's longest if that is less;
                `name`, that of the checkpoint for messages.

        Raises:
            ArgumentError: If `maxlen` does not fit the model.
            CheckpointError: If tokenizer or image processor are missing or another model's.
        """
        longest = spec.tokens.max_positions
        options["maxlen"] = min(options.get("maxlen", longest), longest)
        text = replace(spec.towers["text"], causal=False)  # it writes nothing
        return cls(
            Images.of_checkpoint(folder, replace(spec, towers={"image": spec.towers["image"]})),
            Tokenizer.of_checkpoint(folder, replace(spec, towers={"text": text}), **options),
        )

    def encode(self, items: Sequence[Any], *, verbose: int = 0) -> Encodings:
        """Returns the encodings of texts, or of pictures.

        Args:
            items: Texts, or pictures; not both.
            verbose: 1 shows a progress bar for many texts.

        Raises:
            DataError: If they are of both kinds, or one is neither or cannot be read.
        """
        # A pair of texts is the tokenizer's to judge.
        kinds = {Texts if isinstance(item, tuple) else self._of(item) for item in items}
        if len(kinds) > 1:
            first = {self._of(item).kind: item for item in reversed(items)}
            raise DataError(
                f"texts and pictures at once: {first['text']!r:.60} is a text, and "
                f"{Images.shown(first['image'])} a picture. Give texts and pictures in calls of "
                "their own."
            )
        of_kind: Input = self.images if kinds == {Images} else self.texts
        return of_kind.encode(items, verbose=verbose)

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes the files of both; returns the rest."""
        return {
            "maxlen": self.maxlen,
            Images.kind: self.images.save(folder),
            Texts.kind: self.texts.save(folder),
        }

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> ImagesOrTexts:
        """Returns what `save` wrote."""
        images = Images.load(folder, config[Images.kind])
        return cls(images, Tokenizer.load(folder, config[Texts.kind]))
