"""The method of a `Predictor` that gives a text while it is being written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ktlite._arguments import checked
from ktlite.errors import DataError
from ktlite.generation import Generation
from ktlite.predictor.predicting import Predicting


class Writing(Predicting):
    """An example to a text, in pieces."""

    @checked
    def generation(self, **options: Any) -> Generation:
        """Returns how texts are searched for: as the checkpoint says, the task, and these options.

        Args:
            **options: As `predict` takes them.

        Raises:
            ArgumentError: If the model writes no texts, or an option makes no sense.

        Example:
            >>> predictor.generation(max_new_tokens=60).num_beams
            1
        """
        task = self.preproc.task.asking(options)
        return self._forward.generation(**getattr(task, "searches", {}))

    @checked
    def stream(self, example: Any, **options: Any) -> Iterator[str]:
        r"""Yields the text that `predict` returns, in pieces, as they are written.

        Each piece is computed when it is asked for: who stops asking stops the model. Pieces are
        whole characters, and together exactly what `predict` returns with the same options.

        Args:
            example: One text, or, of a model that takes them, one chat (a list of messages).
            **options: How to search, in place of the task's own, as `predict` takes them:
                `max_new_tokens=60`, `do_sample=True`, `stop_strings=["\n"]`, ...

        Raises:
            ArgumentError: At once, if the task writes no texts, an option makes no sense, or there
                are several beams, whose tokens are not settled before the end.
            DataError: At once, if it is not one example that the task takes.

        Example:
            >>> for piece in predictor.stream("Once upon a time", max_new_tokens=60):
            ...     print(piece, end="", flush=True)
        """
        task = self.preproc.task.asking(options)
        many, single = self.preproc.as_list(example)
        if not single:
            raise DataError(
                f"stream: {len(many)} examples in a list; expected one. predict takes several."
            )
        return task.stream(self._forward, self.preproc.encode(many, task=task))
