"""Writes what transformers' `generate` makes of a table: `generation.json`.

`texts` are what it writes, `scores` what its processors of logits make of random ones.

It needs torch and transformers (5.24 wrote the file). To write the file again:

    python tests/golden/make_generation.py
"""

from __future__ import annotations

import json
import logging
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput, Seq2SeqLMOutput

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.generation.table import Table

VOCABULARY = 23
ENDS = [2, 5]


class TableConfig(PretrainedConfig):
    """What `generate` asks of a config."""

    model_type = "table"


class Reference(PreTrainedModel, GenerationMixin):
    """A table as one of transformers' models, with an encoder that does nothing, or without."""

    config_class = TableConfig
    main_input_name = "input_ids"

    def __init__(self, table: Table, encoder: bool) -> None:
        config = TableConfig(is_encoder_decoder=encoder, vocab_size=table.scores.shape[1])
        super().__init__(config)
        self.table = table
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def get_encoder(self, modality: str | None = None) -> Any:
        """Returns a module whose output is the ids that it got."""

        class Encoder(torch.nn.Module):
            def forward(self, input_ids: torch.Tensor, **_: Any) -> BaseModelOutput:
                return BaseModelOutput(last_hidden_state=input_ids[:, :, None].double())

        return Encoder()

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, **given: Any) -> Any:
        """Passes the whole text each time: a table needs no cache."""
        if self.config.is_encoder_decoder:
            return {"decoder_input_ids": input_ids, "encoder_outputs": given["encoder_outputs"]}
        return {"input_ids": input_ids}

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        encoder_outputs: Any = None,
        **_: Any,
    ) -> Any:
        """Looks the scores of the last position up."""
        if self.config.is_encoder_decoder:
            sources = encoder_outputs.last_hidden_state[:, :, 0].long().tolist()
            texts = decoder_input_ids.tolist()
        else:
            texts = input_ids.tolist()
            sources = [[]] * len(texts)
        rows = [self.table.of_text(t, s) for t, s in zip(texts, sources, strict=True)]
        logits = torch.tensor(np.array(rows))[:, None]
        kind = Seq2SeqLMOutput if self.config.is_encoder_decoder else CausalLMOutput
        return kind(logits=logits)


def reference(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the texts of a case: ids without prompt and filling, and scores of beams.

    A prompt at a time, as theirs of unequal length would have to be padded on the left.
    """
    table = Table(case["seed"], VOCABULARY, ENDS, case["push"])
    model = Reference(table, encoder=bool(case["sources"]))
    options = {"pad_token_id": 0, "use_cache": False, **case["options"]}
    found = []
    for place, prompt in enumerate(case["prompts"]):
        given = {"input_ids": torch.tensor([case["sources"][place] if case["sources"] else prompt])}
        if case["sources"]:
            given["decoder_input_ids"] = torch.tensor([prompt])
            options["decoder_start_token_id"] = prompt[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = model.generate(
                **given, **options, output_scores=True, return_dict_in_generate=True
            )
        scores = getattr(out, "sequences_scores", None)
        for row, sequence in enumerate(out.sequences.tolist()):
            ids = sequence[len(prompt) :]
            ends = [i for i, token in enumerate(ids) if token in options.get("eos_token_id", [])]
            ids = ids[: ends[0] + 1] if ends else ids
            found.append({"ids": ids, "score": None if scores is None else float(scores[row])})
    return found


def a_case(seed: int) -> dict[str, Any]:
    """Returns a case drawn by a seed: options that act on one another, prompts, sources."""
    draw = random.Random(seed)

    def maybe(share: float, **given: Any) -> dict[str, Any]:
        return given if draw.random() < share else {}

    def tokens(least: int, most: int) -> list[int]:
        return [draw.randrange(6, VOCABULARY) for _ in range(draw.randint(least, most))]

    encoder = draw.random() < 0.5
    beams = draw.choice([1, 1, 2, 3, 4])
    options: dict[str, Any] = {
        "num_beams": beams,
        "eos_token_id": draw.choice([ENDS, ENDS[:1]]),
        **draw.choice([{"max_new_tokens": draw.randint(1, 12)}, {"max_length": 14}, {}]),
        **maybe(0.2, min_new_tokens=draw.randint(1, 6)),
        **maybe(0.2, min_length=draw.randint(1, 8)),
        **maybe(0.3, repetition_penalty=draw.choice([0.7, 1.3, 2.0])),
        **maybe(0.3, no_repeat_ngram_size=draw.randint(1, 3)),
        **maybe(0.2, encoder_no_repeat_ngram_size=draw.randint(1, 3)),
        **maybe(0.3, bad_words_ids=[[7], [2], [8, 9], [10, 11, 12], [13, 14], [15, 16]]),
        **maybe(0.2, suppress_tokens=[17, 18, 40]),
        **maybe(0.2, forced_bos_token_id=22),
        **maybe(0.2, renormalize_logits=True),
        # With beams a single one: torch leaves open which of equal scores comes first. Nor can
        # a token be forced and suppressed.
        **draw.choice(
            [{}, {}, {"begin_suppress_tokens": [2, 19, 20, 21]},
             {"forced_eos_token_id": draw.choice([2, [2, 5]]) if beams == 1 else 2}]
        ),
    }  # fmt: skip
    if beams > 1:
        options["num_return_sequences"] = draw.randint(1, beams)
        options["early_stopping"] = draw.choice([False, True, "never"])
        options["length_penalty"] = draw.choice([1.0, 0.6, 2.0, 0.0, -0.5])
    count = draw.randint(1, 4)
    start = [0] if encoder else []
    prompts = [start + tokens(0 if encoder else 1, 5) for _ in range(count)]
    if encoder and draw.random() < 0.7:
        prompts = [[0]] * count
    if "max_length" not in options and draw.random() < 0.3:
        prompts[0] = start + tokens(15, 20)
    return {
        "seed": seed % 5,
        "push": draw.choice([-1.0, 0.0, 2.0, 3.5]),
        "options": options,
        "prompts": prompts,
        "sources": [tokens(2, 9) for _ in range(count)] if encoder else None,
    }


def some_scores(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Returns scores, float32 [3, VOCABULARY], and what stands before, int64 [3, length]."""
    state = np.random.RandomState(case["seed"])
    scores = state.normal(size=(3, VOCABULARY)).astype(np.float32) * 2
    return scores, state.randint(6, 12, size=(3, case["length"]))


def a_scoring(seed: int) -> dict[str, Any]:
    """Returns a case for the processors, those for draws too."""
    draw = random.Random(seed)
    case = a_case(seed)
    options = {k: v for k, v in case["options"].items() if not k.startswith("max_")}
    options["do_sample"] = draw.random() < 0.8
    for name, values in {
        "temperature": [0.5, 1.7],
        "top_k": [1, 3, 10, 0, 100],
        "top_p": [0.1, 0.5, 0.9],
        "min_p": [0.05, 0.3, 1.0],
        "typical_p": [0.2, 0.7, 0.95],
    }.items():
        if draw.random() < 0.4:
            options[name] = draw.choice(values)
    length = draw.randint(1, 12)
    return {"seed": seed, "length": length, "prompt": draw.randint(1, length), "options": options,
            "limit": length + draw.randint(1, 3), "source": [6, 7, 8, 9, 7, 6, 6]}  # fmt: skip


def reference_scores(case: dict[str, Any]) -> list[list[float | None]]:
    """Returns the scores after all processors, None for what can't come."""
    options = {"top_k": 50, **case["options"], "max_length": case["limit"]}
    for name in ("eos_token_id", "forced_eos_token_id"):
        if isinstance(options.get(name), int):
            options[name] = [options[name]]
    if "min_new_tokens" in options:  # as `generate` prepares it
        options["min_length"] = options["min_new_tokens"] + case["prompt"]
    config = GenerationConfig(**options)
    config._eos_token_tensor = torch.tensor(options["eos_token_id"])
    model = Reference(Table(0, VOCABULARY), encoder=False)
    processors = model._get_logits_processor(
        config,
        input_ids_seq_length=case["prompt"],
        encoder_input_ids=torch.tensor([case["source"]] * 3),
        device="cpu",
    )
    scores, before = some_scores(case)
    after = processors(torch.tensor(before), torch.tensor(scores))
    return [[None if v == -np.inf else v for v in row] for row in after.tolist()]


def main() -> None:
    """Writes drawn cases, and what transformers makes of them."""
    logging.disable(logging.WARNING)
    texts = [a_case(seed) for seed in range(160)]
    scores = [a_scoring(seed) for seed in range(80)]
    found = {
        "texts": [{**case, "expected": reference(case)} for case in texts],
        "scores": [{**case, "expected": rounded(reference_scores(case))} for case in scores],
    }
    parts = [f'"{n}": [\n' + ",\n".join(map(json.dumps, c)) + "\n]" for n, c in found.items()]
    path = Path(__file__).parent / "generation.json"
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def rounded(rows: list[list[float | None]]) -> list[list[float | None]]:
    """Returns six digits: more would be rounding."""
    return [[None if v is None else float(f"{v:.6g}") for v in row] for row in rows]


if __name__ == "__main__":
    main()
