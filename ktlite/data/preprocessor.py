"""Input + task: how texts, or other items, and labels become what a model sees."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import checked
from ktlite._hints import PREPROCESSOR, Hinted
from ktlite._logging import logger
from ktlite._places import is_file
from ktlite.data.dataset import Dataset, Inputs
from ktlite.data.named_labels import encode_labels, in_order
from ktlite.data.pairs import as_pairs, check_no_table, check_pairs, one_or_many
from ktlite.data.readers import Examples
from ktlite.data.sources import SOURCES, Source, source_of
from ktlite.encodings.encodings import Encodings
from ktlite.errors import ArgumentError, DataError, PredictorError, listing
from ktlite.inputs.input import Input, find_input
from ktlite.inputs.texts import Texts
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.tasks import TASKS, Task, infer_task
from ktlite.tasks.task import listed


class Preprocessor(Hinted):
    """The one way from texts and labels to model inputs and targets.

    Training, validation, the predictor and every export use the same object, so
    that a text is treated the same everywhere.

    Args:
        folder: Folder with the tokenizer; None where `learn_texts` makes one, or with `input`.
        maxlen: Longest text in tokens; None where there are no texts.
        stride: Read what is longer in windows of `maxlen` tokens, which share so many tokens
            with the next. Default: cut it.
        task: What the labels mean; None until the first labels are seen.
        class_names: Names for integer labels 0, 1, 2, ... or for label columns.
        task_name: One of `ktlite.tasks.TASKS`; None to infer it from the labels. Or a task,
            which then learns nothing from them.
        lowercase: Texts are lower-cased before all else, whatever the tokenizer's files say.
        input: How items become what a model reads, in place of a tokenizer of `folder`.

    Attributes:
        reading: How the training data was read, for more of its kind: `text_column`,
            `label_columns`, `sep`, `encoding`, `names` and `na_values`, as far as they were given.
        pairs: Whether an example is a pair of texts, as in the training data; None where that is
            not known, or the task reads something else.
    """

    _hints = PREPROCESSOR

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        maxlen: int | None,
        task: Task | None = None,
        *,
        class_names: Sequence[Any] = (),
        task_name: str | Task | None = None,
        stride: int | None = None,
        lowercase: bool = False,
        input: Input | None = None,
    ) -> None:
        if isinstance(task_name, Task) and len(class_names):
            raise ArgumentError(
                f"class_names={listing(class_names)} cannot go with a task that is made already "
                f"and has its own classes: {listing(task_name.classes) or 'none'}."
            )
        if input is None and folder is not None:
            assert maxlen is not None
            input = Tokenizer(folder, maxlen, stride, lowercase=lowercase)
        self.maxlen = maxlen
        self._task = task_name if isinstance(task_name, Task) else task
        self._input = input
        self._prepare()
        self.class_names = list(class_names)
        self.task_name = task_name
        self.reading: dict[str, Any] = {}
        self.pairs: bool | None = None

    def _prepare(self) -> None:
        """Fits task and input to each other, as soon as both are known."""
        if self._input is not None and self._task is not None:
            self._task = self._task.for_input(self._input)
            self._input = self._task.prepared(self._input)

    @property
    def task(self) -> Task:
        """The task.

        Raises:
            ArgumentError: If no labels have been seen yet.
        """
        if self._task is None:
            raise ArgumentError(
                "the task is not known before labels are seen: call preprocess_train(texts, y) "
                "first."
            )
        return self._task

    @task.setter
    def task(self, task: Task) -> None:
        self._task = task

    @property
    def input(self) -> Input:
        """How items become what a model reads: a tokenizer, or what it is for images.

        Raises:
            ArgumentError: If it is learned from the training texts, and none have been seen yet.
        """
        if self._input is None:
            raise ArgumentError(
                "the vocabulary is not known before texts are seen: call preprocess_train(texts, "
                "y) first."
            )
        return self._input

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer.

        Raises:
            ArgumentError: If it is not known yet, as for `input`; or if there are no texts.
        """
        if not isinstance(self.input, Tokenizer):
            raise ArgumentError(f"there is no tokenizer: this model reads {self.input.noun}s.")
        return self.input

    @property
    def head(self) -> str:
        """The Hugging Face task name of the model's head."""
        return self.input.heads.get(self.task.head, self.task.head)

    @property
    def shape(self) -> str:
        """How long texts, or how large other items, may be, in words."""
        if self.maxlen is not None:
            return f"maxlen {self.maxlen}"
        return "" if self._input is None else str(self._input)

    def get_classes(self) -> list[Any]:
        """Returns the class labels in the order of the model's outputs."""
        return self.task.classes

    @checked
    def preprocess_train(
        self,
        texts: Any,
        y: Any = None,
        mode: str = "train",
        verbose: int = 1,
        *,
        sample_weight: Any = None,
    ) -> Dataset:
        """Tokenises training texts and learns from `y` what the labels are.

        Args:
            texts: Strings or pairs of strings: list, array or Series. To tag: lists of words.
            y: Labels: strings, integers, floats, one-hot or multi-hot. To tag: lists of tags.
            mode: `"train"` infers the task from `y`; `"test"` keeps the one there is.
            verbose: 0 silences the progress bar.
            sample_weight: How much each text counts in the loss: a number of 0 or more for each.

        Raises:
            DataError: If texts or labels cannot be used; see `ktlite.tasks.infer_task`.

        Example:
            >>> t = Transformer("bert-base-uncased", maxlen=128)
            >>> train = t.preprocess_train(["fine film", "dull film"], ["pos", "neg"])
        """
        if mode not in ("train", "test"):
            raise ArgumentError(f"preprocess_train: mode={mode!r}; expected 'train' or 'test'.")
        raw = self.source.arrays(texts, y)
        return self.dataset(raw, fit=mode == "train", verbose=verbose, sample_weight=sample_weight)

    @checked
    def preprocess_test(self, texts: Any, y: Any = None, verbose: int = 1) -> Dataset:
        """Tokenises texts for validation or prediction; labels must be known ones."""
        return self.preprocess_train(texts, y, mode="test", verbose=verbose)

    @property
    def source(self) -> Source:
        """The readers of its data."""
        kind = Texts if self._input is None else type(self._input)
        return source_of(self.task_name if self._task is None else self._task, kind)

    def dataset(
        self,
        raw: Examples,
        *,
        fit: bool = False,
        verbose: int = 1,
        sample_weight: Any = None,
    ) -> Dataset:
        """Tokenises texts that a reader has read.

        Args:
            raw: Texts and labels.
            fit: Learn the task from the labels, and what else training texts teach.
            verbose: 0 silences the progress bar.
            sample_weight: Of each row of the source, as for `preprocess_train`.
        """
        if not len(raw):
            nouns = f"{self.input.noun}s" if self._input else "texts"
            raise DataError(f"{raw.source or nouns}: there are no {nouns}.")
        if fit and raw.labels is not None:
            self.learn_task(raw)
            self.learn_texts(raw)
        weights = None if sample_weight is None else _weights(sample_weight, raw)
        targets = None if raw.labels is None else encode_labels(self.task, raw)
        encodings = raw.encodings or self.encode(raw.items, verbose=verbose)
        if targets is not None:
            encodings = self.task.with_targets(encodings, targets, self.input)
        return Dataset(raw.items, encodings, targets, self, raw.rows, weights, self._task)

    def preprocess(self, texts: Any) -> Inputs:
        """Returns the tokens of texts, as the model gets them."""
        found: Inputs = self.preprocess_test(texts, verbose=0).x
        return found

    def undo(self, doc: Sequence[int] | np.ndarray) -> str:
        """Returns the text that token ids stand for, such as `x[0]` of a `Dataset`.

        What is not in the vocabulary, case where it does not matter, and white space are lost.
        """
        return self.tokenizer.decode(np.asarray(doc).reshape(-1))

    def get_tokenizer(self) -> Any:
        """Returns the tokenizer as `transformers` has it: `tokenizer(texts, truncation=True)`."""
        from transformers import AutoTokenizer

        with tempfile.TemporaryDirectory(prefix="ktlite-") as folder:
            self.tokenizer.save(Path(folder))
            return AutoTokenizer.from_pretrained(folder, model_max_length=self.maxlen)

    def learn_task(self, raw: Examples) -> None:
        """Infers the task from the labels of `raw`, unless it was given."""
        has_pairs = self._input is None or self._input.has_pairs
        if has_pairs and source_of(self.task_name) is SOURCES["texts"] and len(raw):
            self.pairs = isinstance(raw.items[0], tuple)
        if isinstance(self.task_name, Task):
            return
        labels, names = raw.labels, self.class_names or list(raw.class_names)
        if labels is not None and labels.ndim == 2:
            names = names or list(raw.label_columns)
            labels = in_order(raw, names) if names else labels
        self._task = infer_task(labels, self.task_name, class_names=names, source=raw.source)
        self._prepare()

    def learn_texts(self, raw: Examples) -> None:
        """Learns from training texts what the preprocessing depends on: here nothing."""

    def given(self, examples: Any) -> tuple[Any, bool]:
        """Returns what a caller of `predict` gives, so that it can be taken in one way only.

        A tuple of two strings is a pair, but where the training data was single texts: there it is
        two of them, as a tuple of three is three. The name of a file is a text like any other; that
        there is such a file is said.

        Returns:
            The examples; and whether they are a list of one item that was given by itself. Of
            texts, the task says what is a single example.

        Raises:
            DataError: If it is a table.
        """
        check_no_table(examples, self.reading.get("text_column"), self.input.noun)
        if self.input.is_one(examples):
            return [examples], True
        if not self.input.has_pairs:
            return listed(
                examples, f"predict takes {self.input.expected}, or a list of them"
            ), False
        if is_file(examples):
            logger.warning(
                "%r is taken for a text, though there is a file of that name. What is in it "
                "predicts `ktlite predict FOLDER --input FILE`; predictor.evaluate(file) compares "
                "it with its labels.",
                examples,
            )
        return one_or_many(examples, self.pairs), False

    def as_list(self, examples: Any) -> tuple[list[Any], bool]:
        """Returns what a caller gives as a list, and whether it is a single example.

        Raises:
            DataError: If it is of another kind.
        """
        many, single = self.given(examples)
        if single:
            return list(many), True
        return self.task.as_list(many)

    @property
    def golden_examples(self) -> list[Any]:
        """What a loaded predictor must still say as it did when it was saved."""
        own = self.input.golden
        examples = list(self.task.golden_examples if own is None else own)
        return as_pairs(examples) if self.pairs else examples

    def encode(
        self, texts: Sequence[Any], *, verbose: int = 0, task: Task | None = None
    ) -> Encodings:
        """Returns the `Encodings` of texts, or of what else the task takes.

        Args:
            texts: What it takes.
            verbose: 1 shows a progress bar for many.
            task: In place of its own, one with other options.

        Raises:
            DataError: If one is a pair where the training data was single texts, or the reverse.
        """
        if self.pairs is not None:
            check_pairs(texts, self.pairs)
        task = task or self._task
        if task is None:
            return self.input.encode(texts, verbose=verbose)
        return task.tokenize(texts, self.input, verbose)

    def __repr__(self) -> str:
        name = getattr(self, "model_name", "")
        parts = [Path(name).name] if name else []
        parts += [self.shape] if self.shape else []
        parts.append("no labels seen yet" if self._task is None else repr(self._task))
        return f"{type(self).__name__}: {', '.join(parts)}"

    def write_files(self, folder: Path) -> None:
        """Writes what other libraries open beside a checkpoint: the input's files, the task's."""
        self.input.save(folder)
        if self._task is not None:
            self._task.write_files(folder, self.maxlen)

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes the input's files; returns the rest as JSON values."""
        return {
            "inputs": {self.input.kind: self.input.save(folder)},
            "task": {"name": self.task.name, **self.task.get_config()},
            **({} if self.pairs is None else {"pairs": self.pairs}),
            "reading": {name: value for name, value in self.reading.items() if _is_plain(value)},
        }

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Preprocessor:
        """Makes the preprocessor again from what `save` wrote and returned."""
        task = dict(config["task"])
        name = task.pop("name")
        if name not in TASKS:
            raise PredictorError(
                f"{folder}: it was made for a task {name!r}, which is not known here. If it is "
                "your own, import its module first, which has to ktlite.tasks.register it."
            )
        made = TASKS[name].from_config(task)
        kind, facts = inputs_of(config)
        read = find_input(kind).load(folder, facts)
        preproc = cls(None, facts.get("maxlen"), made, input=read)
        preproc.reading = dict(config.get("reading", {}))
        preproc.pairs = config.get("pairs")
        return preproc


def inputs_of(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Returns the kind that a saved preprocessor reads, and its settings, by what `save` returned.

    Before there were other inputs than texts, what is said of these stood at the top.
    """
    ((kind, settings),) = config.get("inputs", {Texts.kind: config}).items()
    return kind, settings


def _is_plain(value: Any) -> bool:
    """Says whether columns have names that JSON keeps; pandas allows any."""
    names = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(name, (str, int)) for name in names)


def _weights(sample_weight: Any, raw: Examples) -> np.ndarray:
    """Returns the weights of texts, float32 [texts], from those of the source's rows."""
    try:
        weights = np.asarray(sample_weight, "float32")
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight: expected a number for each row: {error}.") from error
    if weights.ndim != 1 or len(weights) <= raw.rows.max():
        raise DataError(
            f"sample_weight of shape {list(weights.shape)}; expected a number for each of the "
            f"rows of {raw.source or 'the texts'}, at least {raw.rows.max() + 1:,}."
        )
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise DataError(
            f"sample_weight of row {wrong[0]} is {weights[wrong[0]]}; expected 0 or more."
        )
    return weights[raw.rows]
