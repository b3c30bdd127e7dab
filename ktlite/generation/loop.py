"""The loop of generation: a model is asked for scores until all texts have ended.

The model is a `Step`, whoever computes it (Keras, ONNX Runtime, LiteRT): what comes next is
decided here, in NumPy, and the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ktlite._arguments import checked
from ktlite.errors import ArgumentError, Problems
from ktlite.generation.beams import Beams
from ktlite.generation.narrowing import narrowing_of
from ktlite.generation.options import Generation
from ktlite.generation.rules import Numbers, Rule, Scores, Tokens, renormalized, rules_of
from ktlite.generation.search import Generated, Rowwise, Search, Start, Stop, Written
from ktlite.generation.stopping import Decode, StopStrings


class Step(Protocol):
    """A model that reads tokens and scores the next ones."""

    def __call__(
        self, tokens: Tokens, position: int, state: Any, order: Numbers | None
    ) -> tuple[Scores, Any]:
        """Reads tokens behind those that it has read.

        Args:
            tokens: int32 [rows, count]. At the first call a row for each prompt, and as many
                tokens as the shortest has; then one token a row.
            position: How many tokens each row has read before; 0 at first.
            state: What the last call returned: caches, and what the encoder gave. At first what
                `generate` was given.
            order: int [rows] of numbers below the rows of the last call: row `i` goes on from
                what row `order[i]` has read. None if each goes on from itself. After the first
                call each example has `options.copies` rows (beams, draws), side by side and never
                mixed with another's; examples become fewer when others are done. So what the
                encoder gave is needed once for each, of `order[:: options.copies] //
                options.copies` (at the second call of `order[:: options.copies]`).

        Returns:
            Scores of the next token (logits), float32 [rows, vocabulary], and the new state.
        """


@checked
def generate(
    step: Step,
    state: Any,
    prompts: Sequence[npt.ArrayLike],
    options: Generation,
    *,
    sources: Sequence[npt.ArrayLike] | None = None,
    examples: Sequence[int] | None = None,
    positions: int | None = None,
    rules: Sequence[Rule] = (),
    stop: Stop | None = None,
    decode: Decode | None = None,
    drop_finished: bool = True,
) -> list[Generated]:
    """Writes a text, or several, for each prompt.

    Prompts are padded on the right: the model begins with as many tokens as the shortest has,
    and rows that are longer take their next tokens from the prompt. So every row has the
    positions that it would have alone, and its text depends on no other row. Prompts of like
    length cost the fewest steps.

    Args:
        step: The model.
        state: What its first call gets.
        prompts: Ids of tokens, one list for each text. For a decoder with an encoder:
            `[options.first_token()]`, or more of the text to go on with.
        options: How to search.
        sources: The ids that the encoder read, without padding. `None` for a decoder alone, where
            the prompts count for `encoder_no_repeat_ngram_size`.
        examples: The number of each example, on which draws depend. Default 0, 1, 2.
        positions: How many positions the model has; None for any number.
        rules: More rules, after those of the options and before those for draws.
        stop: Whether a text ends with its present last token: asked after each.
        decode: Turns ids into text; needed for `options.stop_strings`.
        drop_finished: Whether rows are taken out when half of the examples are done. False for
            a model that cannot change its number of rows (it does so once, for beams and draws).

    Returns:
        `num_return_sequences` texts for each prompt, side by side, the best first. Where rules
        leave fewer different ones to beams, the last are empty and have a score of -inf.

    Raises:
        ArgumentError: If prompts are empty or leave no room, or arguments do not fit together.
        KtliteError: If the model's scores are NaN.

    Example:
        >>> table = np.log(np.array([[0.1, 0.6, 0.3], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]]))
        >>> def step(tokens, position, state, order):
        ...     return table[tokens[:, -1]].astype("float32"), None
        >>> generate(step, None, [[1]], Generation(eos_token_id=0))[0].ids
        array([2, 0], dtype=int32)
    """
    search = _search(prompts, options, sources, examples, positions, rules, stop, decode,
                     drop_finished)  # fmt: skip
    for _ in _steps(step, state, prompts, search):
        pass
    return search.results()


@checked
def stream(
    step: Step,
    state: Any,
    prompts: Sequence[npt.ArrayLike],
    options: Generation,
    *,
    sources: Sequence[npt.ArrayLike] | None = None,
    examples: Sequence[int] | None = None,
    positions: int | None = None,
    rules: Sequence[Rule] = (),
    stop: Stop | None = None,
    decode: Decode | None = None,
    drop_finished: bool = True,
) -> Iterator[Written]:
    """Yields tokens as they are written; not with beams, which may take tokens back.

    Args:
        step: As in `generate`, like all others.

    Yields:
        Each new token, with the row that it belongs to. The next step is computed when the
        next token is asked for: who stops asking stops the model.

    Raises:
        ArgumentError: As in `generate`; and with `num_beams` above 1.

    Example:
        >>> for written in stream(step, state, [prompt], options):
        ...     show(written.token)
    """
    if options.num_beams > 1:
        raise ArgumentError(
            f"stream: num_beams={options.num_beams}; tokens of beams are not settled before the "
            "end. Set num_beams=1, or call generate."
        )
    search = _search(prompts, options, sources, examples, positions, rules, stop, decode,
                     drop_finished)  # fmt: skip
    assert isinstance(search, Rowwise)
    return _streamed(step, state, prompts, search)


def _streamed(
    step: Step, state: Any, prompts: Sequence[npt.ArrayLike], search: Rowwise
) -> Iterator[Written]:
    for _ in _steps(step, state, prompts, search):
        yield from search.written


def _steps(
    step: Step, state: Any, prompts: Sequence[npt.ArrayLike], search: Search
) -> Iterator[None]:
    """Runs the model until the search has its texts, and yields after each step."""
    if not len(prompts):
        return
    shortest = min(np.size(prompt) for prompt in prompts)
    tokens = np.array([np.ravel(prompt)[:shortest] for prompt in prompts], np.int32)
    position, order = 0, None
    while True:
        scores, state = step(tokens, position, state, order)
        position += tokens.shape[1]
        chosen = search.advance(np.asarray(scores))
        yield
        if chosen is None:
            return
        tokens, order = chosen.tokens[:, None], chosen.order


def _search(
    prompts: Sequence[npt.ArrayLike],
    options: Generation,
    sources: Sequence[npt.ArrayLike] | None,
    examples: Sequence[int] | None,
    positions: int | None,
    rules: Sequence[Rule],
    stop: Stop | None,
    decode: Decode | None,
    drop_finished: bool,
) -> Search:
    """Checks the arguments of `generate` and returns the search that they ask for."""
    rows = [np.ravel(prompt) for prompt in prompts]
    problems = Problems("generate")
    empty = [place for place, row in enumerate(rows) if not row.size]
    problems.add_unless(
        not empty, f"prompt {empty[0] if empty else ''} has no tokens; expected one or more: of a "
        "decoder with an encoder its start, of another its first token.",
    )  # fmt: skip
    for name, given in (("sources", sources), ("examples", examples)):
        problems.add_unless(
            given is None or len(given) == len(rows),
            f"{name} has {0 if given is None else len(given)} entries; expected one for each of "
            f"{len(rows)} prompts.",
        )
    problems.add_unless(
        not options.stop_strings or decode is not None,
        f"stop_strings={options.stop_strings!r} needs decode=: what turns ids into text.",
    )
    problems.raise_if_any()
    lengths = np.array([row.size for row in rows], np.intp)
    padded = np.zeros((len(rows), int(lengths.max(initial=1))), np.int32)
    for place, row in enumerate(rows):
        padded[place, : row.size] = row
    start = Start(
        padded, lengths, options.limits(lengths, positions),
        np.arange(len(rows)) if examples is None else np.asarray(examples, np.intp),
    )  # fmt: skip
    read = rows if sources is None else [np.ravel(source) for source in sources]
    all_rules = [*rules_of(options, [np.asarray(r, np.int32) for r in read]), *rules]
    narrowing = narrowing_of(options) + ([renormalized] if options.renormalize_logits else [])
    if options.stop_strings and decode is not None:
        stop = StopStrings(options.stop_strings, decode, stop)
    kind = Beams if options.num_beams > 1 else Rowwise
    return kind(options, start, all_rules, narrowing, stop, drop_finished)
