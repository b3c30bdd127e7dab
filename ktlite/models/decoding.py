"""Token by token: a model that writes reads what it has written so far only once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ktlite.errors import ArgumentError
from ktlite.models.core.attention import Cache
from ktlite.models.core.stack import State
from ktlite.models.towers import run_towers

if TYPE_CHECKING:
    from ktlite.generation import Generation


# What of a call is `ktlite.generation.generate`'s, and no field of `Generation`.
_MORE = ("rules", "stop", "decode", "examples", "among")


class Decoding:
    """What a `TransformerModel` has to write texts, if its last tower reads from left to right."""

    # What runs it from token to token, from the first `generate` on.
    _stepper: Any = None

    @property
    def writes(self: Any) -> bool:
        """Whether the model scores next tokens, and so can write."""
        return bool(self.towers) and self.towers[-1].spec.causal and self.head is not None

    def begin(self: Any, inputs: Mapping[str, Any]) -> State:
        """Returns the state before the first token: what `step` is given first.

        Towers that do not write run here, once.

        Args:
            inputs: As for a call of the model, without those of the tower that writes. Of a model
                that has no other, `input_ids`, of which only the number of rows counts.

        Raises:
            ArgumentError: If the model does not write, or the inputs are not there.

        Example:
            >>> state = model.begin({"input_ids": ids, "attention_mask": mask})
            >>> scores, state = model.step(np.full((len(ids), 1), start), 0, state)
        """
        self._check_writes()
        *others, last = self.towers
        if not others:
            return last.stack.start(keras.ops.shape(last.read(inputs)["input_ids"])[0])
        memory, mask = run_towers(others, inputs, False, False)
        return last.stack.start(keras.ops.shape(memory)[0], memory, mask)

    def step(
        self: Any, tokens: Any, position: Any, state: State, order: Any = None
    ) -> tuple[Any, State]:
        """Reads tokens, and returns the scores of the next one and the new state.

        It changes nothing, and so may be traced.

        Args:
            tokens: int32 [rows, count], behind those that each row has read.
            position: How many these are, the same for all rows: 0 at first.
            state: What `begin`, or the last step, returned.
            order: int32 [rows]: which of the rows of the last step each goes on from. Rows of one
                example stay side by side. None: each goes on from itself.

        Returns:
            Logits, float32 [rows, vocabulary], and the state behind these tokens.
        """
        tower = self.towers[-1]
        if order is not None:
            state = reordered(state, order)
        x = tower.front({"input_ids": tokens}, None, position=position, training=False)
        hidden, state = tower.stack.step(x, state, position)
        scores = self.head(
            hidden[:, -1:], words=tower.front.word.embeddings, few=True, training=False
        )
        rows, _, vocabulary = keras.ops.shape(scores)
        return keras.ops.reshape(scores, (rows, vocabulary)), state

    def generation(self: Any, **given: Any) -> Generation:
        """Returns how the model searches: as its checkpoint says, with these options in place.

        Args:
            **given: Fields of `ktlite.generation.Generation`.

        Raises:
            ArgumentError: If the model does not write, or an option makes no sense.
            CheckpointError: If the checkpoint asks for a search that ktlite does not have.

        Example:
            >>> model.generation(num_beams=4).max_new_tokens
        """
        from ktlite.models import writing

        self._check_writes()
        return writing.options_of(self).with_(**given)

    def write(self: Any, inputs: Mapping[str, Any], **given: Any) -> list[np.ndarray]:
        """Returns what `generate` writes for each input, int32 [tokens] each.

        Tokens that texts start and end with, and padding, are left out.

        Args:
            inputs: As `generate` takes them.
            **given: Fields of `ktlite.generation.Generation`; and more, as `generate` takes it.
        """
        from ktlite.models import writing

        more = _taken(given)
        options = self.generation(**given)
        _, texts = writing.written(self._ready_stepper(), inputs, options, **more)
        ends = set(options.eos_token_id)
        ids = [np.asarray(text.ids, "int32") for text in texts]
        return [row[:-1] if len(row) and int(row[-1]) in ends else row for row in ids]

    def stream(self: Any, inputs: Mapping[str, Any], **given: Any) -> Iterator[int]:
        """Yields the tokens of a text as they are written: those that `write` returns.

        Each is computed when it is asked for: who stops asking stops the model.

        Args:
            inputs: As `generate` takes them, of one row.
            **given: As for `write`.

        Raises:
            ArgumentError: At once, if there are several rows or texts of one, if beams are asked
                for, or as in `write`.

        Example:
            >>> for token in model.stream({"input_ids": ids[:1]}, max_new_tokens=40):
            ...     show(token)
        """
        from ktlite.models import writing

        more = _taken(given)
        options = self.generation(**given)
        rows = len(np.asarray(next(iter(inputs.values()), ())))
        if rows != 1 or options.num_return_sequences != 1:
            raise ArgumentError(
                f"stream: {rows} inputs, num_return_sequences={options.num_return_sequences}; "
                "expected one text of one input. `generate` writes several."
            )
        found = writing.streamed(self._ready_stepper(), inputs, options, **more)
        return (one.token for one in found if one.token not in options.eos_token_id)

    def _ready_stepper(self: Any) -> Any:
        from ktlite.models import writing

        if self._stepper is None or not self._stepper.is_of(self):
            self._stepper = writing.KerasStep(self)
        return self._stepper

    def generate(
        self: Any, inputs: Mapping[str, Any], *, options: Any = None, **given: Any
    ) -> np.ndarray:
        """Writes a text, or several, for each input.

        What the checkpoint says of generation counts where nothing else is given; names,
        meanings and defaults are those of transformers, and so are the texts.

        Args:
            inputs: Of one batch: `input_ids`, int [batch, length], and perhaps `attention_mask`,
                1 for tokens, wherever the padding stands. Without a mask what has the pad's id is
                padding, if it is a decoder alone; otherwise nothing is. For a decoder with an
                encoder perhaps `decoder_input_ids`, [batch, n], which the texts begin with. Of
                sounds as a call of the model takes them.
            options: A `ktlite.generation.Generation`. Default: as the checkpoint says.
            **given: Fields of it in place of those, such as `max_new_tokens=40`, `num_beams=4`,
                `do_sample=True`; and `rules`, `stop`, `decode` and `examples`, as
                `ktlite.generation.generate` takes them. `among` are tokens of which the likeliest
                takes the place of -1 in `decoder_input_ids`.

        Returns:
            int32 [batch * num_return_sequences, length]: what each text began with, the text
            itself, and the pad (or the first end token) after its end.

        Raises:
            ArgumentError: If the model does not write, or an argument makes no sense.
            CheckpointError: If the checkpoint asks for a search that ktlite does not have.

        Example:
            >>> model = ktlite.load_model("opus-mt-en-de", task="translation")
            >>> model.generate({"input_ids": ids, "attention_mask": mask}, num_beams=4)
        """
        from ktlite.models import writing

        more = _taken(given)
        self._check_writes()
        options = (writing.options_of(self) if options is None else options).with_(**given)
        prompts, texts = writing.written(self._ready_stepper(), inputs, options, **more)
        return writing.as_ids(inputs, prompts, texts, options, len(self.towers) == 1)

    def _check_writes(self: Any) -> None:
        if not self.writes:
            raise ArgumentError(
                f"{self.name} does not write texts: load the checkpoint of a model that does, such "
                "as T5, BART, GPT-2 or Llama, with task='text2text-generation' or "
                "'text-generation'."
            )


def _taken(given: dict[str, Any]) -> dict[str, Any]:
    """Takes from arguments those that are no fields of `Generation`, and returns them."""
    return {name: given.pop(name) for name in _MORE if name in given}


def reordered(state: State, order: Any) -> State:
    """Returns the state whose rows are those of another: what was read; not the memory."""
    own = tuple(Cache(*(keras.ops.take(x, order, axis=0) for x in cache)) for cache in state.own)
    return state._replace(own=own)


def with_memory(state: State, examples: Any) -> State:
    """Returns the state of which some examples are left, int32 [examples], in their order."""
    take = keras.ops.take
    memory = tuple(Cache(*(take(x, examples, axis=0) for x in cache)) for cache in state.memory)
    visible = tuple(take(x, examples, axis=0) for x in state.visible)
    return state._replace(memory=memory, visible=visible)


def check_writes(family: Any, task: str) -> None:
    """Raises ArgumentError if a family has no head for a task whose models write texts."""
    others = {"text-generation": "GPT-2 or Llama", "text2text-generation": "T5 or BART"}
    own = [name for name in others if name in family.heads]
    if task in others and not own:
        raise ArgumentError(
            f"task={task!r}: {family.model_types[0]} models read texts and do not write any; "
            f"choose the checkpoint of a model that does, such as {others[task]}."
        )
