"""What models write: the ids of PyTorch transformers' `generate`, with the golden folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError
from ktlite.generation import Generation
from ktlite.models import from_config, from_pretrained, writing
from ktlite.models.adapters import add_adapters

PAIRS = [
    *("bart", "bart-scaled", "m2m_100", "marian", "marian-apart", "mbart", "mt5", "pegasus"),
    *("t5", "t5-gated", "umt5"),
]
ALONE = [
    *("gemma3_text", "gpt2", "gpt_neox", "gpt_neox-serial", "llama", "llama-biased", "mistral"),
    *("opt", "opt-post", "qwen2", "qwen3"),
]
NEW = {"max_new_tokens": 12}
# As in make_sequences.py.
GENERATIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 3, "length_penalty": 0.7, "num_return_sequences": 2},
    "beams-early": {"num_beams": 4, "early_stopping": True, "no_repeat_ngram_size": 2},
}
Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def load(golden: Path) -> Callable[[str], tuple[Any, Tensors]]:
    """Loads a golden folder: the model, and what is expected of it."""
    known: dict[str, tuple[Any, Tensors]] = {}

    def model_of(name: str) -> tuple[Any, Tensors]:
        if name not in known:
            task = "translation" if name in PAIRS else "text-generation"
            expected = load_file(golden / name / "expected.safetensors")
            known[name] = from_pretrained(golden / name, task), expected
        return known[name]

    return model_of


def padded(expected: Tensors) -> Tensors:
    return {name: expected[name] for name in ("input_ids", "attention_mask")}


def on_the_left(inputs: Tensors) -> Tensors:
    """Returns inputs whose padding stands before the texts."""
    lengths = inputs["attention_mask"].sum(axis=1)
    shifted = {
        name: np.stack([np.roll(row, -n) for row, n in zip(value, lengths, strict=True)])
        for name, value in inputs.items()
    }
    assert shifted["attention_mask"][:, -1].all()
    return shifted


@pytest.mark.parametrize("how", GENERATIONS)
@pytest.mark.parametrize("name", PAIRS)
def test_texts_are_those_of_pytorch(load: Any, name: str, how: str) -> None:
    model, expected = load(name)
    found = model.generate(padded(expected), **NEW, **GENERATIONS[how])
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected[f"generated.{how}"])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("how", GENERATIONS)
@pytest.mark.parametrize("name", ALONE)
def test_texts_behind_prompts_are_those_of_pytorch(
    load: Any, name: str, how: str, side: str
) -> None:
    """Its prompts were by themselves; here they are a batch, wherever the padding stands."""
    model, expected = load(name)
    inputs = padded(expected) if side == "right" else on_the_left(padded(expected))
    found = model.generate(inputs, **NEW, **GENERATIONS[how])
    copies = GENERATIONS[how].get("num_return_sequences", 1)
    length = inputs["input_ids"].shape[1]
    np.testing.assert_array_equal(found[::copies, :length], inputs["input_ids"])
    for row, prompt in enumerate(inputs["attention_mask"].sum(axis=1)):
        alone = expected[f"generated.{how}.{row}"][:, prompt:]
        together = found[row * copies : (row + 1) * copies, length:]
        np.testing.assert_array_equal(together[:, : alone.shape[1]], alone)
        ends = model.config["eos_token_id"]
        fills = {model.config["pad_token_id"], *(ends if isinstance(ends, list) else [ends])}
        assert set(together[:, alone.shape[1] :].ravel().tolist()) <= fills


def test_a_model_is_traced_once_for_all_batches_and_searches(
    load: Any, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected = load("t5")
    model = from_pretrained(golden / "t5", "translation")
    traces = []
    step = model.step

    def counted(*args: Any) -> Any:
        traces.append(args)
        return step(*args)

    monkeypatch.setattr(model, "step", counted)
    inputs = padded(expected)
    for options in GENERATIONS.values():
        model.generate(inputs, **NEW, **options)
        model.generate({name: value[:1, :9] for name, value in inputs.items()}, **NEW, **options)
    model.generate(inputs, **NEW, do_sample=True, num_return_sequences=3)
    assert len(traces) == 1


def test_weights_are_those_at_the_time_of_the_call(load: Any, golden: Path) -> None:
    _, expected = load("gpt2")
    model = from_pretrained(golden / "gpt2", "text-generation")
    inputs = {"input_ids": expected["unpadded.input_ids"]}
    before = model.generate(inputs, **NEW)
    add_adapters(model, 2)
    np.testing.assert_array_equal(model.generate(inputs, **NEW), before)
    random = np.random.default_rng(0)
    for block in model.decoder.blocks:
        layer = block.feed_forward.down
        layer.lora_kernel_b.assign(5 * random.normal(size=layer.lora_kernel_b.shape))
    after = model.generate(inputs, **NEW)
    assert (after != before).any()
    whole = np.asarray(model({"input_ids": after[:, :-1]}))
    written = after[:, inputs["input_ids"].shape[1] :]
    np.testing.assert_array_equal(whole.argmax(-1)[:, -written.shape[1] :], written)


def test_draws_depend_on_the_seed_and_the_row_alone(load: Any) -> None:
    for name in ("bart", "llama"):
        model, expected = load(name)
        inputs = padded(expected)
        options = {**NEW, "do_sample": True, "num_return_sequences": 3, "min_new_tokens": 12}
        one, again = (model.generate(inputs, **options) for _ in range(2))
        np.testing.assert_array_equal(one, again)
        assert (model.generate(inputs, **options, seed=1) != one).any()
        first = {key: value[:1] for key, value in inputs.items()}
        length = one.shape[1]
        np.testing.assert_array_equal(model.generate(first, **options)[:, :length], one[:3])


def test_rows_that_end_at_different_times_keep_their_own_source(load: Any) -> None:
    """Draws of one example end one by one: the others still read the source that is theirs."""
    model, expected = load("bart")
    inputs = padded(expected)
    ends = {**NEW, "do_sample": True, "num_return_sequences": 4, "temperature": 3.0}
    together = model.generate(inputs, **ends, eos_token_id=[2, *range(60, 97)])
    lengths = (together != model.config["pad_token_id"]).sum(axis=1)
    assert len(set(lengths)) > 2
    options = Generation.of_folder(model.source).with_(**ends, eos_token_id=[2, *range(60, 97)])
    step = writing.KerasStep(model)
    for row in range(3):
        alone = {name: value[row : row + 1] for name, value in inputs.items()}
        _, texts = writing.written(step, alone, options, examples=[row])
        for place, text in enumerate(texts):
            found = together[4 * row + place, 1 : 1 + len(text.ids)]
            np.testing.assert_array_equal(found, text.ids)


def test_memory_is_shared_by_neighbours_or_each_row_s_own(load: Any) -> None:
    model, expected = load("t5")
    inputs = {"input_ids": expected["unpadded.input_ids"]}
    tokens = expected["unpadded.decoder_input_ids"]
    whole = np.asarray(model({**inputs, "decoder_input_ids": tokens}))
    step = writing.KerasStep(model)
    _, read = step(tokens[:, :1], 0, step.begin(inputs), None)
    for order in ([0, 0, 1, 1, 2, 2], [0, 1, 1], [2], [0, 2], [1, 1]):
        scores, after = step(tokens[order, 1:2], 1, read, np.array(order))
        np.testing.assert_allclose(scores, whole[order, 1], atol=5e-6)
        # And from there on.
        scores, _ = step(tokens[order, 2:3], 2, after, None)
        np.testing.assert_allclose(scores, whole[order, 2], atol=5e-6)
        last = [len(order) - 1]
        scores, _ = step(tokens[[order[-1]], 2:3], 2, after, np.array(last))
        np.testing.assert_allclose(scores, whole[[order[-1]], 2], atol=5e-6)


# What the texts begin with


def test_what_the_decoder_has_already_is_gone_on_from(load: Any) -> None:
    model, expected = load("bart")
    inputs = padded(expected)
    whole = expected["generated.greedy"]
    for given in (whole[:, :4], whole[:, 1:4]):  # with the start, and without
        found = model.generate({**inputs, "decoder_input_ids": given}, max_new_tokens=9)
        np.testing.assert_array_equal(found, whole)


def test_padding_without_a_mask(load: Any) -> None:
    """The pad of a decoder alone is padding unless it ends texts; an encoder reads it."""
    model, expected = load("llama")
    inputs = padded(expected)
    found = model.generate({"input_ids": inputs["input_ids"]}, **NEW)
    np.testing.assert_array_equal(found, model.generate(inputs, **NEW))
    read = model.generate({"input_ids": inputs["input_ids"]}, **NEW, eos_token_id=[0, 2])
    masked = model.generate(inputs, **NEW, eos_token_id=[0, 2])
    assert read.shape != masked.shape or (read != masked).any()


def test_a_table_of_positions_ends_texts(load: Any) -> None:
    model, expected = load("gpt2")
    inputs = {"input_ids": expected["unpadded.input_ids"]}
    found = model.generate(inputs, max_new_tokens=500, eos_token_id=96, min_length=60)
    assert found.shape[1] == model.config["n_positions"]


# How they are written


def test_the_checkpoint_says_how(
    golden: Path, tmp_path: Path, write_checkpoint: Callable[..., Path]
) -> None:
    config = json.loads((golden / "bart" / "config.json").read_text())
    tensors = load_file(golden / "bart" / "model.safetensors")
    expected = load_file(golden / "bart" / "expected.safetensors")
    folder = write_checkpoint({**config, "num_beams": 4}, tensors)
    options = {"early_stopping": True, "no_repeat_ngram_size": 2, **NEW}
    model = from_pretrained(folder, "translation")
    found = model.generate(padded(expected), **options)
    np.testing.assert_array_equal(found, expected["generated.beams-early"])
    # A file of its own counts alone.
    (folder / "generation_config.json").write_text(json.dumps({
        "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1,
        "forced_eos_token_id": 2, "max_new_tokens": 12,
    }))  # fmt: skip
    found = from_pretrained(folder, "translation").generate(padded(expected))
    np.testing.assert_array_equal(found, expected["generated.greedy"])
    # And goes with the model.
    model.save_pretrained(tmp_path / "saved")
    copies = [(f / "generation_config.json").read_text() for f in (folder, tmp_path / "saved")]
    assert copies[0] == copies[1]


def test_a_model_of_a_config_reads_it(golden: Path) -> None:
    config = json.loads((golden / "marian" / "config.json").read_text())
    model = from_config(config, "translation")
    found = model.generate({"input_ids": np.full((2, 3), 7)}, **NEW)
    assert (found[:, 0] == config["decoder_start_token_id"]).all()


def test_a_saved_model_that_only_reads_has_no_file_of_generation(
    golden: Path, tmp_path: Path
) -> None:
    from_pretrained(golden / "bart").save_pretrained(tmp_path)
    assert not (tmp_path / "generation_config.json").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_beam": 4}, "num_beam"),
        ({"num_beams": 0, "temperature": -1.0}, "2 problems"),
        ({"max_length": 1}, "raise max_length"),
    ],
)
def test_options_that_make_no_sense(load: Any, options: dict[str, Any], said: str) -> None:
    model, expected = load("bart")
    with pytest.raises(ArgumentError, match=said):
        model.generate(padded(expected), **options)


def test_a_model_that_reads_does_not_write(golden: Path) -> None:
    for model in (
        from_pretrained(golden / "t5"),
        from_pretrained(golden / "bert-mlm", "masked-lm"),
    ):
        with pytest.raises(ArgumentError, match="does not write texts"):
            model.generate({"input_ids": np.ones((1, 3), "int32")})


def test_inputs_are_asked_for(load: Any) -> None:
    for name in ("bart", "gpt2"):
        model, _ = load(name)
        with pytest.raises(ArgumentError, match="input_ids"):
            model.generate({"attention_mask": np.ones((1, 3), "int32")})


@pytest.mark.torch
@pytest.mark.parametrize("name", ["bart", "mt5", "gpt2", "llama-biased"])
@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0, "min_length": 5},
        {"repetition_penalty": 1.5, "suppress_tokens": [7, 9]},
        {"num_beams": 2, "num_return_sequences": 2, "bad_words_ids": [[58], [14, 14]]},
    ],
)
def test_other_options_give_the_texts_of_pytorch(
    load: Any, golden: Path, name: str, options: dict[str, Any]
) -> None:
    import torch
    import transformers

    model, _ = load(name)
    opener = getattr(transformers, model.hf_config()["architectures"][0])
    theirs = opener.from_pretrained(golden / name).eval()
    ids = np.random.default_rng(3).integers(5, 89, (4, 10), dtype=np.int32)
    with torch.no_grad():
        given = torch.tensor(ids).long()
        expected = theirs.generate(
            given, attention_mask=torch.ones_like(given), max_new_tokens=15, do_sample=False,
            **options,
        )  # fmt: skip
    found = model.generate({"input_ids": ids}, max_new_tokens=15, do_sample=False, **options)
    np.testing.assert_array_equal(found, expected.numpy())
