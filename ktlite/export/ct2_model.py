"""CTranslate2 (https://opennmt.net/CTranslate2): models that write, fast on processors."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._extras import needs_extra
from ktlite._logging import logger
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.targets import IGNORE
from ktlite.encodings.unpadded import unpadded
from ktlite.errors import ArgumentError, ExportError, listing
from ktlite.export.exported import ExportedModel
from ktlite.generation import Generation

_CONFIG, _GENERATION = "config.json", "generation_config.json"
_DRAWS = threading.Lock()
#: Options that CTranslate2 has no counterpart of, and their values that ask for nothing.
_UNKNOWN: dict[str, Any] = {
    "min_p": None, "typical_p": 1.0, "encoder_no_repeat_ngram_size": 0,
    "begin_suppress_tokens": (), "renormalize_logits": False,
}  # fmt: skip


def write_ctranslate2(
    model: Any,
    folder: Path,
    quantize: str | None = None,
    *,
    tokens: Sequence[Sequence[str | None]] = (),
) -> None:
    """Writes `model.bin`, its vocabulary and configs.

    Args:
        model: A model of ktlite.models that writes.
        folder: Where to write.
        quantize: `"int8"` stores the weights as 8-bit integers, which the runtime computes with;
            `"float16"` stores them so.
        tokens: For each tower the entries of its vocabulary by id; None: its number.

    Raises:
        ExportError: If the model does not write, or CTranslate2 cannot express it.
    """
    from ktlite.export.ct2_layers import describe
    from ktlite.models.saving import write_config
    from ktlite.models.writing import options_of

    if not getattr(model, "writes", False):
        raise ExportError(
            f"CTranslate2 runs models that write texts; this one is for {model.task_name}. Export "
            "it as 'onnx'."
        )
    spec, how = describe(model), options_of(model)
    vocabularies = [
        _distinct(tower.spec.front.vocab_size, tokens[i] if tokens else ())
        for i, tower in enumerate(model.towers)
    ]
    last = vocabularies[-1]
    if len(vocabularies) > 1:
        spec.register_source_vocabulary(vocabularies[0])
        spec.register_target_vocabulary(last)
        spec.config.decoder_start_token = last[how.first_token()]
    else:
        spec.register_vocabulary(last)
    ends = how.eos_token_id
    spec.config.eos_token = last[ends[0]] if ends else ""
    start = how.bos_token_id
    spec.config.bos_token = spec.config.eos_token if start is None else last[start]
    # What is not in the vocabulary: the runtime is given nothing of the kind.
    spec.config.unk_token = spec.config.eos_token or last[0]
    _say_what_differs(how)
    spec.validate()
    spec.optimize(quantization=quantize)
    spec.save(str(folder))
    own = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    # One file for both: the runtime passes over the fields that it does not know.
    write_config(folder, {**model.hf_config(), **own})
    (folder / _GENERATION).write_text(json.dumps(how.to_config(), indent=1), encoding="utf-8")


def _distinct(size: int, names: Sequence[str | None]) -> list[str]:
    """Returns so many different names: those given, a number where one is missing or twice."""
    given = list(names)[:size]
    found = [str(i) if name is None else name for i, name in enumerate(given)]
    found += [f"<{i}>" for i in range(len(found), size)]
    seen: set[str] = set()
    for i, name in enumerate(found):
        if name in seen:
            found[i] = f"<{i}>"
        seen.add(found[i])
    return found


def _say_what_differs(how: Generation) -> None:
    if how.num_beams > 1 and how.early_stopping is not True:
        logger.warning(
            "export: CTranslate2 ends a beam search as early_stopping=True does; this model has "
            "early_stopping=%r. Texts of beams may be others; of one beam they are the same.",
            how.early_stopping,
        )


class CTranslate2Model(ExportedModel):
    """Runs what `write_ctranslate2` wrote, without TensorFlow or Keras.

    It writes texts, and says how likely given ones are; not which tokens would have been likelier.

    Args:
        folder: Of the export.
        facts: Of its manifest.

    Raises:
        ExportError: If the runtime is not installed, or cannot open the model.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        super().__init__(facts)
        with needs_extra("ctranslate2", "a model in CTranslate2's format", ExportError):
            import ctranslate2  # noqa: F401 - whether it is there
        self.fields = ()
        self._folder = folder
        self._how = Generation.of_folder(folder)
        names = [n for n in ("source_vocabulary", "shared_vocabulary") if self._has(n)]
        self._reads = bool(names)
        self._positions: int | None = facts.get("positions")
        targets = "shared_vocabulary" if names == ["shared_vocabulary"] else "target_vocabulary"
        self._names = self._vocabulary(targets if self._reads else "vocabulary")
        self._sources = self._vocabulary(names[0]) if self._reads else self._names
        self._ids = {name: i for i, name in enumerate(self._names)}
        self._lock = threading.Lock()
        self._opened: tuple[int, Any] | None = None
        self._engine()

    def _has(self, name: str) -> bool:
        return (self._folder / f"{name}.json").is_file()

    def _vocabulary(self, name: str) -> list[str]:
        try:
            found: list[str] = json.loads((self._folder / f"{name}.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ExportError(f"{self._folder} has no {name}.json that can be read.") from error
        return found

    def _engine(self) -> Any:
        """Returns the runtime's model, opened in this process: threads do not outlive a fork."""
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = os.getpid(), self._open()
            return self._opened[1]

    def _open(self) -> Any:
        import ctranslate2

        kind = ctranslate2.Translator if self._reads else ctranslate2.Generator
        try:
            return kind(str(self._folder), device="cpu")
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"CTranslate2 cannot open {self._folder}: {error}") from error

    @contextlib.contextmanager
    def _engine_for(self, how: Generation) -> Iterator[Any]:
        """Gives what writes: of draws a new one, alone, up to the first that it draws.

        A seed is for threads that have drawn nothing yet (CTranslate2 4.8.5): with the same one,
        what is opened already would draw other texts in each call.
        """
        if not how.do_sample:
            yield self._engine()
            return
        import ctranslate2

        with _DRAWS:
            ctranslate2.set_random_seed(how.seed)
            yield self._open()

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"": self(inputs)}

    def __call__(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the cross-entropy of each token of `labels`, and NaN: float32 [rows, length, 2].

        0 where the label is -100. As `ktlite.models` has it, but for whether it was the likeliest.
        """
        if "labels" not in inputs:
            raise ExportError(
                "CTranslate2 gives texts, and the likelihood of given ones ('labels'): no logits."
            )
        labels = np.asarray(inputs["labels"])
        found = np.zeros((*labels.shape, 2), np.float32)
        found[..., 1] = np.where(labels == IGNORE, 0, np.nan)
        sources, engine = unpadded(inputs), self._engine()
        if self._reads:
            rows = [row[row != IGNORE] for row in labels]
            # The runtime puts the end behind a text by itself, and scores it.
            end = self._how.eos_token_id[0]
            cut = [row[:-1] if len(row) and row[-1] == end else row for row in rows]
            scored = engine.score_batch(
                self._named(sources, self._sources), self._named(cut, self._names),
                max_input_length=0,
            )  # fmt: skip
            for i, (one, row) in enumerate(zip(scored, rows, strict=True)):
                found[i, : len(row), 0] = -np.asarray(one.log_probs, np.float32)[: len(row)]
        else:
            scored = engine.score_batch(self._named(sources, self._names), max_input_length=0)
            for i, one in enumerate(scored):
                losses = -np.asarray(one.log_probs, np.float32)
                found[i, : len(losses), 0] = losses
            found[..., 0] = np.where(labels == IGNORE, 0, found[..., 0])
        return found

    def generate(self, inputs: dict[str, np.ndarray], **options: Any) -> list[np.ndarray]:
        for name in ("decode", "examples"):  # where a text ends, and draws, are the runtime's own
            options.pop(name, None)
        how = self._checked(self.generation(**options))
        rows = unpadded(inputs)
        groups: dict[tuple[int, int], list[int]] = {}
        for i, (start, limit) in enumerate(self._lengths(rows, how)):
            groups.setdefault((start, limit), []).append(i)
        texts: list[np.ndarray] = [np.zeros(0, "int32")] * len(rows)
        for (start, limit), places in groups.items():
            given = [rows[i] for i in places]
            asked = self._arguments(how, start, limit)
            for i, ids in zip(places, self._written(given, how, asked), strict=True):
                texts[i] = ids
        return texts

    def stream(self, inputs: dict[str, np.ndarray], **options: Any) -> Iterator[int]:
        for name in ("decode", "examples"):
            options.pop(name, None)
        how = self._checked(self.generation(**options))
        if how.num_beams > 1:
            raise ArgumentError(
                f"stream: num_beams={how.num_beams}; tokens of beams are not settled before the "
                "end. Set num_beams=1, or call predict."
            )
        rows = unpadded(inputs)
        start, limit = next(self._lengths(rows, how))
        asked = self._arguments(how, start, limit)
        given = self._named(rows, self._sources)
        for one in ("beam_size", "num_hypotheses", "length_penalty"):
            asked.pop(one)
        if self._reads:
            first = self._first(how, 1)
            asked |= {"target_prefix": first and first[0], "max_input_length": 0}
        else:
            asked.pop("include_prompt_in_result")

        def written() -> Iterator[Any]:
            with self._engine_for(how) as engine:
                steps = engine.generate_tokens(given[0], **asked)
                first = next(steps, None)
            if first is not None:
                yield first
                yield from steps

        ends = set(how.eos_token_id)
        return (int(step.token_id) for step in written() if step.token_id not in ends)

    def generation(self, **options: Any) -> Generation:
        return self._how.with_(**options)

    def _written(
        self, rows: Sequence[np.ndarray], how: Generation, asked: dict[str, Any]
    ) -> list[np.ndarray]:
        given = self._named(rows, self._sources)
        with self._engine_for(how) as engine:
            if self._reads:
                found = engine.translate_batch(
                    given, self._first(how, len(rows)), max_input_length=0, **asked
                )
                texts = [one.hypotheses[0] for one in found]
            else:
                texts = [one.sequences[0] for one in engine.generate_batch(given, **asked)]
        ids = [np.array([self._ids[name] for name in text], "int32") for text in texts]
        ends = set(how.eos_token_id)
        return [row[:-1] if len(row) and int(row[-1]) in ends else row for row in ids]

    def _arguments(self, how: Generation, start: int, limit: int) -> dict[str, Any]:
        """Returns how to search in the runtime's words.

        Args:
            how: The options.
            start: Tokens that a text begins with.
            limit: Tokens that it may have with these.
        """
        least = how.min_new_tokens
        least = max(how.min_length - start, 0) if least is None else least
        longest, shortest = (
            ("max_decoding_length", "min_decoding_length")
            if self._reads
            else ("max_length", "min_length")
        )
        # What ends a text where it may not be longer is no part of it.
        room = limit - start - bool(how.forced_eos_token_id)
        never = [[self._names[i] for i in word] for word in how.bad_words_ids]
        never += [[self._names[i]] for i in how.suppress_tokens]
        asked: dict[str, Any] = {
            "beam_size": how.num_beams,
            "num_hypotheses": 1,
            "length_penalty": how.length_penalty,
            "repetition_penalty": how.repetition_penalty,
            "no_repeat_ngram_size": how.no_repeat_ngram_size,
            "suppress_sequences": never or None,
            "end_token": list(how.eos_token_id) or None,
            longest: room,
            shortest: min(least, room),
        }
        if how.do_sample:
            asked |= {
                "sampling_topk": how.top_k or 0,
                "sampling_topp": how.top_p,
                "sampling_temperature": how.temperature,
            }
        if not self._reads:
            asked["include_prompt_in_result"] = False
        return asked

    def _checked(self, how: Generation) -> Generation:
        """Returns options that the runtime has.

        Raises:
            ArgumentError: If it lacks one.
        """
        unknown = [f"{n}={getattr(how, n)!r}" for n, off in _UNKNOWN.items()
                   if getattr(how, n) != off]  # fmt: skip
        # They would count the prompt there, which the runtime does not.
        repeats = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
        if not self._reads:
            unknown += [f"{n}={getattr(how, n)!r}" for n, off in repeats.items()
                        if getattr(how, n) != off]  # fmt: skip
        if unknown:
            raise ArgumentError(
                f"CTranslate2 has no counterpart of {listing(unknown)}; leave it out, or use the "
                "predictor that this one was exported from."
            )
        return how

    def _lengths(self, rows: Sequence[np.ndarray], how: Generation) -> Iterator[tuple[int, int]]:
        """Yields the tokens that each text begins with, and how many it may have with these."""
        starts = np.array([1 if self._reads else len(row) for row in rows], np.intp)
        limits = how.limits(starts, self._positions)
        yield from zip(starts.tolist(), np.asarray(limits).tolist(), strict=True)

    def _first(self, how: Generation, count: int) -> list[list[str]] | None:
        forced = how.forced_bos_token_id
        return None if forced is None else [[self._names[forced]]] * count

    @staticmethod
    def _named(rows: Sequence[np.ndarray], names: Sequence[str]) -> list[list[str]]:
        return [[names[int(i)] for i in row] for row in rows]


def batches_to_compare(
    model: Any, texts: Encodings | None, longest: int
) -> list[dict[str, np.ndarray]]:
    """Returns batches to compare an export with its model on: random tokens, with labels.

    Args:
        model: A model that writes.
        texts: Not looked at: what is to be written for them is not known.
        longest: Tokens of the longest.
    """
    from ktlite.models.writing import drawn_with_labels

    return drawn_with_labels(model, longest)


def losses(outputs: Any) -> np.ndarray:
    """Returns of what a model says of labels what the runtime says, too: float [rows, length]."""
    return np.asarray(outputs)[..., 0]
