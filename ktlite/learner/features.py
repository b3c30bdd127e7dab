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
from ktlite.data.dataset import TextDataset
from ktlite.encodings.tokens import Encodings
from ktlite.errors import TrainingError
from ktlite.inference.runner import Forward, in_order
from ktlite.models.pooling import pool
from ktlite.training.feed import FIXED, Feed
from ktlite.training.freezing import encoder_digest, encoder_is_frozen
from ktlite.training.memory import is_out_of_memory
from ktlite.training.stream import Stream

LARGEST = 2**31  # bytes of vectors that are kept


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedDataset(TextDataset):
    """Texts that have been through the encoder.

    Args:
        places: In place of each row's tokens, the numbers of its vectors.
        vectors: float32 [vectors, width], what the head takes: one a row where it pools, else
            one a token.
    """

    places: Encodings
    vectors: np.ndarray

    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """Returns what stands in for the encoder's output."""
        padded = self.places.pad(rows)
        return {
            "attention_mask": padded["attention_mask"],
            "hidden_states": self.vectors[padded["input_ids"]],
        }


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
                "the encoder is frozen: it encodes %s texts once, without dropout, and the head "
                "trains on their vectors",
                f"{sum(len(feed.data) for feed in new):,}",
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
            each = (time.monotonic() - started) / lengths[rows].sum()
            total += each * lengths.sum() / self._encoder.devices
        return total

    def _new(self, feeds: Mapping[str, Feed | Stream | None]) -> dict[str, Feed]:
        """Returns those whose vectors can be kept and are not; frees what holds no longer."""
        model = self.forward.model
        if not encoder_is_frozen(model) or keras.config.backend() != "tensorflow":
            self.release()
            return {}
        texts = {
            name: feed
            for name, feed in feeds.items()
            if isinstance(feed, Feed) and type(feed.data) is TextDataset
        }
        data = [feed.data for feed in texts.values()]
        counts = [len(one) if model.head.pools else one.lengths.sum() for one in data]
        size = 4 * int(sum(counts)) * model.spec.width
        if size > LARGEST:
            logger.info(
                "the vectors of %s texts would take %.1f GB, so every epoch encodes the texts anew",
                f"{sum(map(len, data)):,}",
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
                "out of memory while the frozen encoder encodes the texts, in batches of "
                f"{batch_size}. Give get_learner eval_batch_size={max(1, batch_size // 2)}; or "
                "train on the texts: learner.freeze(keep_features=False), and a small batch_size."
            ) from error

    def _below_head(self, inputs: Any, training: Any) -> Any:
        """Returns what the head takes, [batch, length, width], or pools, [batch, 1, width]."""
        model, head = self.forward.model, self.forward.model.head
        hidden, mask = model.hidden_states(inputs, training, first_only=head.first_only)
        return pool(hidden, mask, head.spec.pooling)[:, None] if head.pools else hidden


def _encoded(
    data: Any, encoder: Forward, batch_size: int, verbose: int, interrupts: Interrupts
) -> EncodedDataset:
    tokens, model = data.encodings, encoder.model
    offsets, longest = tokens.offsets, tokens.max_length
    if model.head.pools:
        offsets, longest = np.arange(len(data) + 1), 1
    places = Encodings(np.arange(offsets[-1], dtype="int32"), offsets, None, longest)
    vectors = np.empty((len(places.ids), model.spec.width), "float32")

    def run(number: int, rows: np.ndarray) -> tuple[()]:
        interrupts.raise_if_any()
        padded = places.pad(rows)
        there = padded["attention_mask"] == 1
        vectors[padded["input_ids"][there]] = encoder(data.inputs(rows))[there]
        return ()

    in_order(
        run, data.lengths, batch_size, what="Encoding", verbose=verbose, at_once=encoder.devices
    )
    interrupts.raise_if_any()
    held = {field.name: getattr(data, field.name) for field in fields(TextDataset)}
    return EncodedDataset(**held, places=places, vectors=vectors)
