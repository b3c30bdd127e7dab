"""A Keras model as what `ktlite.generation` asks for next tokens, and the texts it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from ktlite._tracing import Sized, traced
from ktlite.encodings.targets import IGNORE
from ktlite.encodings.unpadded import unpadded
from ktlite.errors import ArgumentError
from ktlite.generation import Generated, Generation, Written, generate, stream
from ktlite.models.core.attention import Cache
from ktlite.models.core.spec import TokensSpec
from ktlite.models.core.stack import State
from ktlite.models.decoding import reordered, with_memory

# Kinds of positions that end with their table.
_ENDING = ("learned", "sinusoidal", "stored", "pad_aware", "fixed", "fixed_pad_aware")


#: Bytes, about, of such scores at a time.
_SCORES = 2**28


class Reading(NamedTuple):
    """What a `KerasStep` keeps from call to call.

    Args:
        state: The model's.
        rows: int [rows], the example of each.
        examples: int [sequences], those of the state's memory.
    """

    state: State
    rows: np.ndarray
    examples: np.ndarray


class KerasStep:
    """Runs a `TransformerModel` token by token (`ktlite.generation.Step`).

    Where Keras runs on TensorFlow the model is traced once, for all numbers of rows and tokens,
    with the weights as they are at each call.

    Args:
        model: A model that writes.

    Example:
        >>> step = KerasStep(model)
        >>> texts = generate(step, step.begin(inputs), [[start]] * len(ids), options)
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._variables = [id(variable) for variable in model.variables]
        self._begins: dict[tuple[str, ...], Any] = {}
        self._step: Any = None

    def is_of(self, model: Any) -> bool:
        """Says whether a model still has the variables that this one runs."""
        return [id(variable) for variable in model.variables] == self._variables

    def begin(self, inputs: Mapping[str, Any]) -> Reading:
        """Returns what the first call of `generate` is given, for a batch of inputs."""
        reads = [field.name for tower in self.model.towers for field in tower.spec.fields]
        last = self.model.towers[-1].spec.prefix
        names = [n for n in reads if n in inputs and not (last and n.startswith(last))]
        given = {name: np.asarray(inputs[name]) for name in names}
        if not given:
            self.model.begin(inputs)  # says what is missing
        key = tuple(names)
        if key not in self._begins:
            sizes = {
                field.name: Sized((None, *field.shape), field.dtype)
                for field in self.model.spec.fields
                if field.name in given
            }
            self.model.begin(given)  # says what is wrong, without a trace around it
            self._begins[key] = traced(self.model.begin, sizes)
        examples = np.arange(len(given[names[0]]))
        size = _rows_at_once(self.model) or max(len(examples), 1)
        parts = [
            self._begins[key]({name: x[first : first + size] for name, x in given.items()})
            for first in range(0, max(len(examples), 1), size)
        ]
        state = parts[0]
        if len(parts) > 1:
            joined = keras.tree.map_structure(lambda *x: keras.ops.concatenate(x), *parts)
            state = State(*joined)
        return Reading(state, examples, examples)

    def __call__(
        self, tokens: np.ndarray, position: int, state: Reading, order: np.ndarray | None
    ) -> tuple[np.ndarray, Reading]:
        """See `ktlite.generation.Step`."""
        now, rows, examples = state
        if order is not None:
            rows = rows[order]
            # Not in the trace, which is one for steps with an order and without.
            now = reordered(now, np.asarray(order, "int32"))
            now, examples = _narrowed(now, rows, examples)
        if self._step is None:
            sizes = Sized((None, None), "int32"), Sized((), "int32"), _sizes(now)
            self._step = traced(self.model.step, *sizes)
        scores, now = self._step(np.asarray(tokens, "int32"), np.int32(position), now)
        return keras.ops.convert_to_numpy(scores), Reading(now, rows, examples)


def _rows_at_once(model: Any) -> int | None:
    """Returns how many inputs of a fixed size are read at a time; None: any number.

    The scores of attention between all positions of a long sound take most of the memory.
    """
    first = model.towers[0].spec
    if len(model.towers) == 1 or None in first.front.fields[0].shape:
        return None
    scores = 4 * first.stack.attention.heads * first.front.max_positions**2
    return int(max(1, _SCORES // scores))


def _sizes(state: State) -> State:
    """Returns the sizes of a state's tensors: rows and tokens are free."""

    def of_cache(cache: Cache) -> Cache:
        return Cache(*(
            Sized((None, x.shape[1], None, x.shape[3]), keras.backend.standardize_dtype(x.dtype))
            for x in cache
        ))  # fmt: skip

    own, memory = (tuple(map(of_cache, caches)) for caches in (state.own, state.memory))
    return State(own, memory, tuple(Sized((None, 1, 1, None), "bool") for _ in state.visible))


def _narrowed(state: State, rows: np.ndarray, examples: np.ndarray) -> tuple[State, np.ndarray]:
    """Returns the state with the memory of those examples alone that rows are left of."""
    if not state.memory:
        return state, rows
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    wanted, counts = rows[starts], np.diff(starts, append=len(rows))
    if len(set(counts)) > 1:  # rows share a memory only if they are equally many for each
        wanted = rows
    if np.array_equal(wanted, examples):
        return state, examples
    place = {int(example): i for i, example in enumerate(examples)}
    return with_memory(state, np.array([place[int(x)] for x in wanted], "int32")), wanted


def options_of(model: Any) -> Generation:
    """Returns a model's own way to generate: as its checkpoint's folder or its config says."""
    if model.source is not None and (model.source / "config.json").is_file():
        return Generation.of_folder(model.source)
    return Generation.of_config(model.config)


def written(
    step: KerasStep,
    inputs: Mapping[str, Any],
    options: Generation,
    *,
    among: Sequence[int] = (),
    **more: Any,
) -> tuple[list[np.ndarray], list[Generated]]:
    """Returns what texts begin with, and what a model writes for a batch of inputs.

    Args:
        step: Runs it.
        inputs: As `TransformerModel.generate` takes them.
        options: How to search.
        among: Tokens of which the likeliest takes the place of -1 in `decoder_input_ids`.
        **more: As `ktlite.generation.generate` takes it: `rules`, `stop`, `decode`, `examples`.
    """
    prompts, about = _asked(step, inputs, options)
    state = step.begin(inputs)
    prompts = _settled(step, state, prompts, among)
    return prompts, generate(step, state, prompts, options, **about, **more)


def streamed(
    step: KerasStep,
    inputs: Mapping[str, Any],
    options: Generation,
    *,
    among: Sequence[int] = (),
    **more: Any,
) -> Iterator[Written]:
    """Yields the tokens that a model writes, as they are chosen; arguments as for `written`."""
    prompts, about = _asked(step, inputs, options)
    state = step.begin(inputs)
    prompts = _settled(step, state, prompts, among)
    return stream(step, state, prompts, options, **about, **more)


def _settled(
    step: KerasStep, state: Reading, prompts: list[np.ndarray], among: Sequence[int]
) -> list[np.ndarray]:
    """Returns prompts with the likeliest of some tokens in the column that is -1."""
    if not any((prompt < 0).any() for prompt in prompts):
        return prompts
    rows = np.stack(prompts)
    (column, *others) = np.flatnonzero((rows < 0).any(axis=0))
    if others or not (rows[:, column] < 0).all() or not len(among) or not column:
        raise ArgumentError(
            "generate: decoder_input_ids are below 0; expected ids of tokens, or with `among` one "
            "column of -1 behind the first, for the likeliest of these tokens."
        )
    scores, _ = step(rows[:, :column], 0, state, None)
    rows[:, column] = np.asarray(among)[scores[:, list(among)].argmax(axis=1)]
    return list(rows)


def _asked(
    step: KerasStep, inputs: Mapping[str, Any], options: Generation
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Returns what texts begin with, and what `ktlite.generation` is told of model and inputs."""
    towers = step.model.towers
    positions = positions_of(step.model)
    prompts = prompts_of(step.model, inputs, options)
    sources: Any = None
    if len(towers) > 1:
        texts = isinstance(towers[0].spec.front, TokensSpec)
        sources = unpadded(inputs) if texts else [np.zeros(0, "int32")] * len(prompts)
    return prompts, {"sources": sources, "positions": positions}


def positions_of(model: Any) -> int | None:
    """Returns the positions of the tower that writes; None if they do not end."""
    front = model.towers[-1].spec.front
    return front.max_positions if front.positions in _ENDING else None


def prompts_of(model: Any, inputs: Mapping[str, Any], options: Generation) -> list[np.ndarray]:
    """Returns what each text begins with: its start, or the prompt."""
    if len(model.towers) == 1:
        pad = options.pad_token_id
        return unpadded(inputs, None if pad in options.eos_token_id else pad)
    count = len(np.asarray(next(iter(inputs.values()))))
    given = inputs.get("decoder_input_ids")
    if given is None:
        return [np.array([options.first_token()], "int32")] * count
    first = options.first_token()
    rows = np.asarray(given, "int32")
    # As transformers has it: before all of them, or none.
    if not (rows[:, 0] == first).all():
        rows = np.concatenate([np.full((count, 1), first, "int32"), rows], axis=1)
    return list(rows)


def drawn_with_labels(model: Any, longest: int) -> list[dict[str, np.ndarray]]:
    """Returns batches of random tokens of several lengths, to be read and written.

    Neither padding nor the end is among them, but at the end of labels.

    Args:
        model: A `TransformerModel` that writes.
        longest: Tokens of the longest.
    """
    random, batches = np.random.default_rng(0), []
    reads, how = len(model.towers) > 1, options_of(model)
    pad = 0 if how.pad_token_id is None else how.pad_token_id
    sizes = [tower.spec.front.vocab_size for tower in model.towers]
    source, target = (
        np.setdiff1d(np.arange(size), [*how.eos_token_id, pad]) for size in (sizes[0], sizes[-1])
    )
    for rows, length in ((1, 3), (2, max(longest // 2, 3)), (3, max(longest, 3))):
        lengths = np.array([length, *random.integers(2, length + 1, rows - 1)])
        there = np.arange(length) < lengths[:, None]
        labels = random.choice(target, (rows, length)).astype("int32")
        ids = random.choice(source, (rows, length)).astype("int32") if reads else labels
        batch = {"input_ids": np.where(there, ids, pad), "attention_mask": there}
        if reads:
            labels[np.arange(rows), lengths - 1] = how.eos_token_id[0]
            start = np.full((rows, 1), how.first_token(), "int32")
            batch["decoder_input_ids"] = np.concatenate([start, labels[:, :-1]], axis=1)
        else:  # the label of a token is the next one
            labels, there = np.roll(labels, -1, axis=1), np.roll(there, -1, axis=1)
            there[:, -1] = False
        batch["labels"] = np.where(there, labels, IGNORE)
        batches.append({name: array.astype("int32") for name, array in batch.items()})
    return batches


def as_ids(
    inputs: Mapping[str, Any],
    prompts: Sequence[np.ndarray],
    texts: Sequence[Generated],
    options: Generation,
    alone: bool,
) -> np.ndarray:
    """Returns texts behind what they began with, int32 [texts, length], as transformers does.

    Args:
        inputs: The model's.
        prompts: What each text began with.
        texts: `num_return_sequences` for each prompt.
        options: How they were written.
        alone: Whether the decoder has no encoder: then texts stand behind the inputs, with their
            padding.
    """
    starts = np.asarray(inputs["input_ids"], "int32") if alone else np.stack(prompts)
    # Beam search takes a pad of 0 for none.
    fill = options.fill
    if options.num_beams > 1 and not options.pad_token_id and options.eos_token_id:
        fill = options.eos_token_id[0]
    longest = max((len(text.ids) for text in texts), default=0)
    found = np.full((len(texts), starts.shape[1] + longest), fill, "int32")
    found[:, : starts.shape[1]] = np.repeat(starts, options.num_return_sequences, axis=0)
    for row, text in zip(found, texts, strict=True):
        row[starts.shape[1] : starts.shape[1] + len(text.ids)] = text.ids
    return found
