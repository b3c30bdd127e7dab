"""What a `Learner` holds: the model, the data, and how to read the one against the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite._process import check_process
from ktlite.data.dataset import joined
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.reading import read_for
from ktlite.encodings.field import mismatches
from ktlite.encodings.indexed import IndexedData
from ktlite.errors import ArgumentError, Problems, plural
from ktlite.inference.runner import Forward
from ktlite.learner.features import KeptFeatures
from ktlite.learner.labels import check_labels_of, with_labels_of
from ktlite.learner.weights import InitialWeights
from ktlite.predictor import Predictor
from ktlite.tasks import Task
from ktlite.training import run
from ktlite.training.accumulation import batches_a_step
from ktlite.training.distribution import check_learner, check_stream, replicas_of
from ktlite.training.feed import Feed, as_feed
from ktlite.training.freezing import encoder_is_frozen
from ktlite.training.generic import Reading, read_model
from ktlite.training.looking import build_model
from ktlite.training.lr_curve import LRFinderResult
from ktlite.training.stream import Stream


class State:
    """The state of a `Learner`, and what all groups of its methods need."""

    @checked
    def __init__(
        self,
        model: Any,
        train_data: Any = None,
        val_data: Any = None,
        *,
        batch_size: int = 32,
        eval_batch_size: int = 32,
        batch_tokens: int | None = None,
        preproc: Any = None,
        task: Task | None = None,
        seed: int = 42,
        check: bool = True,
    ) -> None:
        problems = Problems("get_learner")
        problems.add_unless(
            isinstance(model, keras.Model),
            f"model is of type {type(model).__name__}; expected the name of a checkpoint or a "
            "compiled Keras model.",
        )
        problems.add_unless(
            task is None or isinstance(task, Task),
            f"task={task!r}; with a Keras model, expected a ktlite.tasks.Task such as "
            "Classification(['no', 'yes']).",
        )
        at_least_one(problems, batch_size=batch_size, eval_batch_size=eval_batch_size)
        if batch_tokens is not None:
            at_least_one(problems, batch_tokens=batch_tokens)
        problems.raise_if_any()
        train_data, val_data = joined(train_data), joined(val_data)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.batch_tokens = batch_tokens
        self.seed = seed
        self._check_data = check
        self._keep_features = True  # `freeze` says
        #: What the learner was made with, for its card; `get_learner` fills it in.
        self.arguments: dict[str, Any] = {}
        self._data_facts: dict[str, Any] | None = None
        found = getattr(train_data, "preproc", None) or getattr(val_data, "preproc", None)
        self.preproc = preproc or found
        self.task = task or (self.preproc.task if self.preproc is not None else None)
        self.train_data = with_labels_of(train_data, self.task, "train_data")
        self.val_data = with_labels_of(val_data, self.task, "val_data")
        self._train = as_feed(self.train_data, batch_size, seed, "train_data", batch_tokens)
        self._val = as_feed(self.val_data, eval_batch_size, seed, "val_data", batch_tokens)
        self.model = model
        _check_reads(model, {"train_data": self._train, "val_data": self._val})

    @property
    def model(self) -> Any:
        """The Keras model. Another one starts anew, with the same data."""
        return self._model

    @model.setter
    def model(self, model: Any) -> None:
        build_model(model, self._train or self._val)
        check_labels_of(model, self.task, "get_learner")
        if hasattr(self, "_model"):
            self._weights_change()
        self._model = model
        self.history: Any = None
        self.lr_finder: LRFinderResult | None = None
        self._epochs_done = 0
        self._fits: list[dict[str, Any]] = []
        self._runs: dict[str, dict[str, Any]] = {}  # of them, the last one in each folder
        self._figures: dict[str, float] = {}  # on val_data, since the last fit
        self._measured_on = ""  # what these are of, in words
        self._after_epoch: dict[str, Any] = {}  # what the last fit measured on val_data
        self._calibrated: dict[str, Any] = {}  # what `calibrate` learned, for the card
        self._calibrated_on: Any = None  # the data that it learned from
        self._initial = InitialWeights(model)
        # Both are kept because they trace the model once.
        self._forward = Forward(model)
        self._features = KeptFeatures(self._forward)
        self._predictor: Predictor | None = None

    def _weights_change(self) -> None:
        """Forgets what was true of the weights as they were: the calibration, the figures."""
        self._figures, self._after_epoch = {}, {}
        self._calibrated, self._calibrated_on = {}, None
        if self.task is not None:
            self.task.forget_calibration()

    def _train_feed(self, where: str) -> Feed | Stream:
        check_process()
        if self._train is None:
            raise ArgumentError(f"{where}: the learner has no train_data; pass it to get_learner.")
        return self._train

    def _feeds(self, verbose: int = 0, encode: Sequence[str] = ("train", "val")) -> list[Any]:
        """Returns what to train on and to validate on: of a frozen encoder, what it makes of it.

        Those that are not to `encode` stay texts, unless their vectors are kept already.
        """
        feeds = {"train": self._train, "val": self._val}
        if not self._keep_features:
            return list(feeds.values())
        return self._features.feeds(feeds, encode, self.eval_batch_size, verbose)

    def _release_features(self) -> None:
        """Frees the vectors that a frozen encoder made, where they are not wanted any more."""
        if not (self._keep_features and encoder_is_frozen(self.model)):
            self._features.release()

    def _val_feed(self, where: str, data: Any = None, **reading: Any) -> Feed | Stream:
        """Returns the feed of `data`, or of the learner's own validation data.

        Args:
            where: What was called, for messages.
            data: Whatever `get_learner` takes as data for this task; None: the learner's own.
            reading: How to read a file or a table, as `raw_for` takes it: `text_column`, `sep`,
                ... Default: as the training data was read.
        """
        feed = self._val
        if data is not None:
            data = joined(data)
            preproc: Any = self.preproc
            if isinstance(preproc, Preprocessor) and _is_raw(data, preproc):
                data = read_for(preproc, data, where=where, source="val_data", **reading)
            data = with_labels_of(data, self.task, f"{where}: val_data")
            feed = as_feed(data, self.eval_batch_size, self.seed, f"{where}: val_data")
        if feed is None:
            raise ArgumentError(
                f"{where}: there is no validation data; pass val_data here or to get_learner."
            )
        return feed

    def _reading(self, feed: Feed | Stream) -> Reading:
        """Returns how to read the model's outputs and the data's targets."""
        if self.task is not None:
            return Reading(self.task, lambda x: x, lambda y: y)
        outputs = keras.tree.flatten(self.model(feed.example()))[0]
        return read_model(self.model, outputs.shape[-1])

    def _ready(self, where: str) -> Problems:
        """Checks what all training methods need of model and data; returns the problems found."""
        problems = Problems(where)
        problems.add_unless(
            self._train is not None, "the learner has no train_data; pass it to get_learner."
        )
        for name, feed in (("train_data", self._train), ("val_data", self._val)):
            if isinstance(feed, Feed):
                problems.add_unless(feed.labelled, f"{name} has no labels.")
        if isinstance(self._val, Stream):
            problems.add_unless(
                not self._val.endless, "val_data never ends; take(n) batches of it."
            )
        problems.add_unless(
            bool(self.model.compiled), "the model is not compiled; call model.compile(...) first."
        )
        problems.add_unless(
            bool(self.model.built),
            "the model has no weights yet, and there was no data to tell their shapes. Give it a "
            "keras.Input as its first layer, or call it once on a batch: model(x[:1]).",
        )
        if self.model.compiled:
            self._check_devices(problems)
        return problems

    def _check_devices(self, problems: Problems) -> None:
        """Records what the model's devices cannot share, where it has several."""
        check_learner(
            problems,
            self.model,
            batch_size=self.batch_size,
            eval_batch_size=self.eval_batch_size,
        )
        for name, feed in (("train_data", self._train), ("val_data", self._val)):
            if isinstance(feed, Stream):
                check_stream(problems, self.model, name, feed.data)
        if isinstance(self._val, Feed):
            rows, replicas = len(self._val.data), replicas_of(self.model)
            problems.add_unless(
                rows >= replicas, f"val_data has {plural(rows, 'row')} for {replicas} devices."
            )

    def _steps(self, wanted: int | None, where: str) -> int:
        steps = run.steps_per_epoch(self._train_feed(where), wanted)
        if steps is None:
            raise ArgumentError(
                f"{where}: the training data does not say how many batches an epoch has. Give "
                "the dataset a cardinality (tf.data.experimental.assert_cardinality); the fits "
                "also take steps_per_epoch."
            )
        return steps

    def _updates(self, wanted: int | None, where: str) -> int:
        """Returns the steps of the optimizer in an epoch, the last one maybe of fewer batches."""
        return -(-self._steps(wanted, where) // batches_a_step(self.model.optimizer))

    def _class_weight(self, weights: Any) -> dict[int, float] | None:
        if weights is None:
            return None
        feed = self._train_feed("class_weight")
        reading = self._reading(feed)
        # Only "balanced" counts the targets, and of a stream that takes a pass.
        counted = isinstance(weights, str)
        targets = reading.targets(all_targets(feed)) if counted else np.zeros(0, "int32")
        return reading.task.class_weights(weights, targets)


def _check_reads(model: Any, feeds: Mapping[str, Feed | Stream | None]) -> None:
    """Raises where labelled data does not give what a model of ktlite reads."""
    problems = Problems("Learner")
    for name, feed in feeds.items():
        if isinstance(feed, Feed) and feed.data.fields and feed.labelled:
            lines = mismatches(getattr(model, "fields", ()), feed.data.fields)
            problems.found += [f"{name}: {line}." for line in lines]
    problems.raise_if_any()


def _is_raw(data: Any, preproc: Preprocessor) -> bool:
    """Says whether data is still to be read: no data set, no batches, no inputs of a model."""
    if isinstance(data, (IndexedData, keras.utils.PyDataset)) or hasattr(data, "element_spec"):
        return False
    inputs = data[0] if isinstance(data, tuple) and len(data) in (2, 3) else None
    if isinstance(inputs, np.ndarray) and len(inputs) and preproc.input.accepts(inputs[0]):
        return True  # such as images
    numbers = getattr(getattr(inputs, "dtype", None), "kind", "O") in "fiub"
    return not numbers and not isinstance(inputs, dict)


def all_targets(feed: Feed | Stream) -> np.ndarray:
    """Returns the targets of all rows.

    Raises:
        ArgumentError: If the data has no labels, or never ends.
    """
    targets: Any = feed.data.targets if isinstance(feed, Feed) else None
    if isinstance(feed, Stream):
        parts = [targets for _, targets in feed.batches() if targets is not None]
        targets = np.concatenate(parts) if parts else None
    if targets is None:
        raise ArgumentError("the data has no labels.")
    return targets
