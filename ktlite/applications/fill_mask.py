"""What a masked language model puts in the place of a mask."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked, not_a_string
from ktlite.errors import ArgumentError, DataError, Problems, listing, plural
from ktlite.inference.runner import Forward, in_order
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.tasks.arrays import softmax


class FillMask:
    """Completes texts with a masked language model.

    Args:
        model_name: Checkpoint with a masked language model: its folder or Hub name. Also what
            `get_pretrainer` trained and `save_model` saved.
        maxlen: Longest text in tokens. Default: what the checkpoint has positions for.
        batch_size: Masks a batch.
        revision: Branch, tag or commit on the Hub.

    Raises:
        CheckpointError: If the checkpoint cannot be used, or has no masked language model or
            mask token.

    Example:
        >>> fill = ktlite.FillMask("bert-base-uncased")
        >>> fill.predict("Paris is the [MASK] of France.", top_k=1)
        [{'score': 0.997, 'token': 3007, 'token_str': 'capital',
          'sequence': 'paris is the capital of france.'}]
    """

    @checked
    def __init__(
        self,
        model_name: str | os.PathLike[str],
        maxlen: int | None = None,
        *,
        batch_size: int = 32,
        revision: str | None = None,
    ) -> None:
        from ktlite.models import from_pretrained
        from ktlite.models.checkpoint import find_checkpoint

        folder = find_checkpoint(model_name, revision=revision)
        self.model = from_pretrained(folder, "masked-lm", new_head=False)
        longest = self.model.spec.tokens.max_positions
        self.tokenizer = Tokenizer(folder, longest if maxlen is None else min(maxlen, longest))
        self.mask_token = self.tokenizer.token(self.tokenizer.mask_id)
        self.batch_size = batch_size
        self._forward = Forward(self.model)

    def __repr__(self) -> str:
        size = plural(self.model.count_params(), "parameter")
        return f"FillMask: {size}, mask token {self.mask_token}"

    @checked
    def predict(
        self,
        texts: Any,
        top_k: int = 5,
        targets: Sequence[str] | None = None,
        verbose: int = 0,
    ) -> Any:
        """Returns the likeliest tokens for each mask.

        Args:
            texts: A text or a list of texts, each with the checkpoint's mask token (`mask_token`;
                mostly `[MASK]` or `<mask>`), once or more often.
            top_k: How many a mask.
            targets: Tokens to choose among. Default: all.
            verbose: 1 shows a progress bar for many.

        Returns:
            For a text with one mask a list of dicts in Hugging Face's form, the likeliest
            first: `score` (probability), `token` (its id), `token_str`, `sequence` (the text
            with it, and with the other masks). For several masks a list of such lists, and for a
            list of texts a list.

        Raises:
            DataError: If a text has no mask, or it is past the longest text.
            ArgumentError: If a target is no token.
        """
        problems = Problems("predict")
        at_least_one(problems, top_k=top_k)
        if targets is not None:
            not_a_string(problems, targets=targets)
        problems.raise_if_any()
        allowed = None if targets is None else self._target_ids(targets)
        single = isinstance(texts, str)
        many = [texts] if single else list(texts)
        encodings = self.tokenizer.encode(many, verbose=verbose)
        masks = np.flatnonzero(encodings.ids == self.tokenizer.mask_id)
        text_of = np.searchsorted(encodings.offsets, masks, side="right") - 1
        without = np.setdiff1d(np.arange(len(many)), text_of)
        if len(without):
            raise DataError(
                f"{many[without[0]]!r:.80} has no {self.mask_token} in its first "
                f"{encodings.max_length} tokens; put it where a word is to be found."
            )
        positions = masks - encodings.offsets[text_of]

        def run(number: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            inputs = encodings.batch(text_of[rows])
            inputs["masked_positions"] = positions[rows, None].astype("int32")
            chances = softmax(self._forward(inputs)[:, 0])
            ids = np.arange(chances.shape[1]) if allowed is None else allowed
            best = np.argsort(-chances[:, ids], axis=1, kind="stable")[:, :top_k]
            return ids[best], np.take_along_axis(chances[:, ids], best, axis=1)

        lengths = encodings.lengths[text_of]
        found = in_order(run, lengths, self.batch_size, what="Predicting", verbose=verbose)
        filled: list[list[Any]] = [[] for _ in many]
        for mask, text, tokens, chances in zip(masks, text_of, *found, strict=True):
            row = slice(encodings.offsets[text], encodings.offsets[text + 1])
            filled[text].append([
                {
                    "score": float(chance),
                    "token": int(token),
                    "token_str": self.tokenizer.decode([token]),
                    "sequence": self._sequence(encodings.ids[row], mask - row.start, token),
                }
                for token, chance in zip(tokens, chances, strict=True)
            ])  # fmt: skip
        results = [masks[0] if len(masks) == 1 else masks for masks in filled]
        return results[0] if single else results

    def _sequence(self, ids: np.ndarray, position: int, token: int) -> str:
        completed = ids.copy()
        completed[position] = token
        return self.tokenizer.decode(completed, keep=[self.tokenizer.mask_id])

    def _target_ids(self, targets: Sequence[str]) -> np.ndarray:
        """Returns the ids of tokens, int64 [targets]."""
        known = {target: self.tokenizer.whole_token(target) for target in targets}
        unknown = [target for target, number in known.items() if number is None]
        if unknown or not known:
            raise ArgumentError(
                f"targets={listing(targets)}: "
                + (f"{listing(unknown)} are no single tokens" if unknown else "none is given")
                + " of this checkpoint; give others, or leave targets out."
            )
        return np.unique(np.array(list(known.values()), "int64"))
