"""What a frozen encoder makes of a learner's texts: computed once, for the head to train on."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np

from ktlite._interrupts import Interrupts
from ktlite._logging import logger
from ktlite.data.dataset import Dataset
from ktlite.encodings.encodings import Seed
from ktlite.encodings.field import Field
from ktlite.encodings.indexed import noun_of
from ktlite.encodings.tokens import TokenEncodings
from ktlite.encodings.vectors import VectorEncodings
from ktlite.errors import TrainingError, plural
from ktlite.inference.runner import Forward, in_order
from ktlite.models.pooling import pool
from ktlite.training.feed import FIXED, Feed
from ktlite.training.freezing import encoder_digest, encoder_is_frozen
from ktlite.training.memory import is_out_of_memory
from ktlite.training.pieces import pieces_of
from ktlite.training.stream import Stream

LARGEST = 2**31  # bytes of vectors that are kept


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedDataset(Dataset):
    """Examples that have been through the encoder.

    Args:
        kept: What the head takes of each row: one vector where it pools, else one a token.
    """

    kept: VectorEncodings

    @property
    def fields(self) -> tuple[Field, ...]:
        """What stands in for the encoder's output."""
        return self.kept.fields

    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """Returns what stands in for the encoder's output."""
        return self.kept.batch(rows)

    def examples(self, rows: np.ndarray, seed: Seed) -> tuple[dict[str, Any], Any]:
        targets = self.targets
        if targets is not None:
            targets = self.preproc.task.align(targets, self.encodings, rows)
        return self.inputs(rows), targets

    def training_examples(self, rows: np.ndarray, seed: Seed) -> tuple[dict[str, Any], Any]:
        return self.examples(rows, seed)


class KeptFeatures:
    """Gives the head of a model with a frozen encoder vectors to train on, in place of texts.

    A frozen encoder says the same of a text in every epoch, so each text goes through it once.
    Batches, and what the head learns from them, are those of the texts themselves. The vectors
    are kept until the encoder's weights change.

    Args:
        forward: The model's forward pass.
    """

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self._digest = ""
        self._kept: dict[int, Feed] = {}

    def release(self) -> None:
        """Frees the vectors."""
        self._kept = {}

    def feeds(
        self,
        feeds: Mapping[str, Feed | Stream | None],
        encode: Sequence[str],
        batch_size: int,
        verbose: int = 0,
    ) -> list[Feed | Stream | None]:
        """Returns what to train on, and to validate on.

        Args:
            feeds: Of training and validation data, by names; the same ones at every call.
            encode: Names of those to encode, if their vectors are not kept yet.
            batch_size: Rows at a time.
            verbose: 1 shows progress bars for many texts.

        Returns:
            Feeds of vectors where the model's encoder is frozen, and the data is texts whose
            vectors take at most 2 GiB. The feeds themselves otherwise.

        Raises:
            TrainingError: If memory runs out.
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After SIGTERM.
        """
        new = [feed for name, feed in self._new(feeds).items() if name in encode]
        if new:
            logger.info(
                "the encoder is frozen: it encodes %s once, without dropout, and the head "
                "trains on their vectors",
                plural(sum(len(feed.data) for feed in new), new[0].data.preproc.input.noun),
            )
        for feed in new:
            encoded = self._encoded(feed.data, batch_size, verbose)
            self._kept[id(feed)] = Feed(encoded, feed.batch_size, feed.seed, feed.batch_tokens)
        return [self._kept.get(id(feed), feed) for feed in feeds.values()]

    def seconds(self, feeds: Mapping[str, Feed | Stream | None], batch_size: int) -> float:
        """Returns about how long `feeds` would encode, by the time of one batch of each."""
        total = 0.0
        for feed in self._new(feeds).values():
            lengths = feed.data.lengths
            rows = np.argsort(lengths)[len(lengths) // 2 :][:batch_size]
            inputs, _ = feed.data.examples(rows, FIXED)
            self._encoder(inputs)  # traces it
            started = time.monotonic()
            self._encoder(inputs)
            each = (time.monotonic() - started) / (lengths[rows].sum() or len(rows))
            total += each * (lengths.sum() or len(lengths)) / self._encoder.devices
        return total

    def _new(self, feeds: Mapping[str, Feed | Stream | None]) -> dict[str, Feed]:
        """Returns those whose vectors can be kept and are not; frees what holds no longer."""
        model = self.forward.model
        # A head that takes what each tower gives needs more than one vector a row.
        cached = encoder_is_frozen(model) and not model.head.apart
        pieces = pieces_of(model)
        # What changes the vectors that enter the encoder makes others of them each time.
        cached = cached and (pieces is None or pieces.objective is None)
        if not cached or keras.config.backend() != "tensorflow":
            self.release()
            return {}
        texts = {
            name: feed
            for name, feed in feeds.items()
            if isinstance(feed, Feed) and type(feed.data) is Dataset
        }
        data: list[Any] = [feed.data for feed in texts.values()]
        if any(one.augmentation is not None for one in data):
            self.release()  # of a picture that is another each time, so are its vectors
            return {}
        size = 4 * sum(int(_counts(model, one).sum()) for one in data) * model.spec.width
        if size > LARGEST:
            logger.info(
                "the vectors of %s would take %.1f GB, so every epoch encodes them anew",
                plural(sum(map(len, data)), data[0].preproc.input.noun),
                size / 1e9,
            )
            self.release()
            return {}
        digest = encoder_digest(model)
        if digest != self._digest:
            self._digest, self._kept = digest, {}
        return {name: feed for name, feed in texts.items() if id(feed) not in self._kept}

    @functools.cached_property
    def _encoder(self) -> Forward:
        return Forward(self.forward.model, self.forward.strategy, self._below_head)

    def _encoded(self, data: Any, batch_size: int, verbose: int) -> EncodedDataset:
        try:
            with Interrupts("stopping after this batch; once more stops at once") as interrupts:
                return _encoded(data, self._encoder, batch_size, verbose, interrupts)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"out of memory while the frozen encoder encodes the {noun_of(data)}s, in batches "
                f"of {batch_size}. Give get_learner eval_batch_size={max(1, batch_size // 2)}; or "
                "train the whole model: learner.freeze(keep_features=False), a small batch_size."
            ) from error

    def _below_head(self, inputs: Any, training: Any) -> Any:
        """Returns what the head takes, [batch, length, width], or pools, [batch, 1, width]."""
        model, head = self.forward.model, self.forward.model.head
        hidden, mask = model.hidden_states(inputs, training, first_only=head.first_only)
        return pool(hidden, mask, head.spec.pooling)[:, None] if head.pools else hidden


def _counts(model: Any, data: Dataset) -> np.ndarray:
    """Returns the number of vectors that the head takes of each row, int64 [rows]."""
    lengths = data.lengths
    if model.head.pools:
        return np.ones(len(lengths), "int64")
    if not lengths.any():
        return np.full(len(lengths), model.spec.max_positions)
    frames = getattr(model.spec.first.front, "frames", None)  # several samples make one
    return lengths if frames is None else frames(lengths)


def _encoded(
    data: Any, encoder: Forward, batch_size: int, verbose: int, interrupts: Interrupts
) -> EncodedDataset:
    model = encoder.model
    counts = _counts(model, data)
    # Padded as the tokens are, with the same longest row.
    ragged = isinstance(data.encodings, TokenEncodings) and not model.head.pools
    longest = data.encodings.max_length if ragged else int(counts.max(initial=1))
    kept = VectorEncodings(counts, model.spec.width, longest)

    def run(number: int, rows: np.ndarray) -> tuple[()]:
        interrupts.raise_if_any()
        kept.put(rows, encoder(data.inputs(rows)))
        return ()

    in_order(
        run, data.lengths, batch_size, what="Encoding", verbose=verbose, at_once=encoder.devices
    )
    interrupts.raise_if_any()
    held = {field.name: getattr(data, field.name) for field in fields(Dataset)}
    return EncodedDataset(**held, kept=kept)
