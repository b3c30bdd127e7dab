"""Smaller models give what the whole one gives without the parts that are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.models import from_config, from_pretrained
from ktlite.models.mapping import variable_at
from ktlite.models.pruning import Kept, pruned

READERS = {
    "albert": "text-classification",
    "bert-gelu": "text-classification",
    "bert-mlm": "masked-lm",
    "deberta-conv": "text-classification",
    "deberta-mlm": "masked-lm",
    "distilbert-token": "token-classification",
    "electra": "text-classification",
    "modernbert": "text-classification",
    "modernbert-mlm": "masked-lm",
    "mpnet-span": "question-answering",
    "roberta": "text-classification",
    "roberta-mlm": "masked-lm",
}
OTHERS = {"vit": "image-classification", "hubert": "audio-classification"}
WRITERS = ("gemma3_text", "llama", "mistral", "qwen3")
CAUSAL = ("gpt2", "gpt_neox", "opt")
WORDS = np.array([0, 1, 2, 3, 4, *range(7, 95, 3)])


def drawn(model: Any, words: np.ndarray | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns inputs with old ids, and the same with new ones."""
    old = model.drawn(np.array([9, 6]), np.random.default_rng(0))
    if words is None:
        return old, old
    new = np.random.default_rng(1).integers(2, len(words), old["input_ids"].shape)
    return old | {"input_ids": words[new].astype("int32")}, old | {"input_ids": new.astype("int32")}


def outputs(model: Any, inputs: dict[str, Any]) -> np.ndarray:
    return np.asarray(model(inputs, training=False))


def without_rows(model: Any, path: str, rows: dict[int, np.ndarray]) -> None:
    """Sets rows of a kernel of each block to zero."""
    for block, gone in rows.items():
        (tower,) = model.spec.towers
        kernel = variable_at(model, f"{tower}.blocks.{block}.{path}.kernel")
        value = np.array(kernel)
        value[gone] = 0
        kernel.assign(value)


def chosen(count: int, of: int, blocks: int, seed: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [np.sort(random.permutation(of)[:count]) for _ in range(blocks)]


def others(kept: list[np.ndarray], of: int) -> dict[int, np.ndarray]:
    return {block: np.setdiff1d(np.arange(of), part) for block, part in enumerate(kept)}


@pytest.mark.parametrize("name", [*READERS, *OTHERS, *WRITERS, *CAUSAL])
def test_units_that_are_gone_count_as_zero(golden: Path, name: str) -> None:
    model = from_pretrained(golden / name, {**READERS, **OTHERS}.get(name, "text-generation"))
    stack = model.spec.first.stack
    width = stack.feed_forward.width
    units = chosen(width // 4, width, stack.blocks)
    small = pruned(model, Kept(units=units))
    assert small.spec.first.stack.feed_forward.width == width // 4
    assert small.count_params() < model.count_params()
    without_rows(model, "feed_forward.down", others(units, width))
    inputs, _ = drawn(model)
    np.testing.assert_allclose(outputs(small, inputs), outputs(model, inputs), atol=2e-5)


@pytest.mark.parametrize("name", READERS)
def test_words_have_new_numbers_and_the_same_vectors(golden: Path, name: str) -> None:
    model = from_pretrained(golden / name, READERS[name])
    small = pruned(model, Kept(words=WORDS))
    assert small.spec.tokens.vocab_size == len(WORDS) == small.config["vocab_size"]
    old, new = drawn(model, WORDS)
    expected = outputs(model, old)
    if READERS[name] == "masked-lm":
        expected = expected[..., WORDS]
    np.testing.assert_allclose(outputs(small, new), expected, atol=1e-5)
    assert small.source is None  # whose tokenizer is another one


def test_ids_in_the_config_follow_their_tokens(golden: Path) -> None:
    model = from_pretrained(golden / "bert-gelu", "text-classification")
    ids = {"pad_token_id": 4, "eos_token_id": [7, 8], "bos_token_id": 8}
    model = from_config({**model.config, **ids}, "text-classification")
    small = pruned(model, Kept(words=WORDS))
    assert (small.config["pad_token_id"], small.spec.tokens.pad_id) == (4, 4)
    assert small.config["eos_token_id"] == [5]
    assert small.config["bos_token_id"] is None


@pytest.mark.parametrize("name", WRITERS)
def test_heads_that_are_gone_count_as_zero(golden: Path, name: str) -> None:
    model = from_pretrained(golden / name, "text-generation")
    stack = model.spec.first.stack
    attention = stack.attention
    of_keys = attention.kv_heads or attention.heads
    share = attention.heads // of_keys * attention.head_width
    heads = chosen(max(1, of_keys // 2), of_keys, stack.blocks)
    small = pruned(model, Kept(heads=heads))
    assert small.spec.first.stack.attention.head_width == attention.head_width
    rows = {
        block: (gone[:, None] * share + np.arange(share)).ravel()
        for block, gone in others(heads, of_keys).items()
    }
    without_rows(model, "attention.out", rows)
    inputs, _ = drawn(model)
    np.testing.assert_allclose(outputs(small, inputs), outputs(model, inputs), atol=2e-5)


@pytest.mark.parametrize("name", ["bert-gelu", "distilbert", "roberta", "modernbert", "vit"])
def test_families_that_cannot_say_fewer_heads_say_so(golden: Path, name: str) -> None:
    model = from_pretrained(golden / name, {**READERS, **OTHERS}.get(name, "text-classification"))
    stack = model.spec.first.stack
    kept = Kept(heads=chosen(1, stack.attention.heads, stack.blocks))
    with pytest.raises(ArgumentError, match=f"heads: the config of '{model.config['model_type']}'"):
        pruned(model, kept)


def test_all_at_once_is_one_after_the_other(golden: Path) -> None:
    model = from_pretrained(golden / "modernbert", "text-classification")
    width = model.spec.first.stack.feed_forward.width
    units = chosen(width // 2, width, model.spec.first.stack.blocks)
    whole = pruned(model, Kept((0, 1), units, words=WORDS))
    steps = pruned(pruned(pruned(model, Kept(units=units)), Kept(words=WORDS)), Kept((0, 1)))
    _, new = drawn(model, WORDS)
    np.testing.assert_array_equal(outputs(whole, new), outputs(steps, new))
    assert whole.config == steps.config


@pytest.mark.torch
@pytest.mark.parametrize("name", [*READERS, *WRITERS])
def test_pytorch_gives_the_same_logits(golden: Path, tmp_path: Path, name: str) -> None:
    import torch
    import transformers

    task = READERS.get(name, "text-generation")
    model = from_pretrained(golden / name, task)
    stack = model.spec.first.stack
    width, of_keys = stack.feed_forward.width, stack.attention.kv_heads or stack.attention.heads
    heads = None if name in READERS else chosen(max(1, of_keys // 2), of_keys, stack.blocks)
    words = WORDS if name in READERS else None
    blocks = None if stack.groups else (0,)
    small = pruned(model, Kept(blocks, chosen(width // 2, width, stack.blocks), heads, words))
    small.save_pretrained(tmp_path)
    theirs, told = getattr(transformers, small.hf_config()["architectures"][0]).from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    _, inputs = drawn(model, words)
    read = [field.name for field in small.fields]
    given = {n: torch.tensor(x).long() for n, x in inputs.items() if n in read}
    with torch.no_grad():
        found = theirs.eval()(**given)
    logits = (
        np.stack([found.start_logits, found.end_logits], -1)
        if "start_logits" in found
        else found.logits.numpy()
    )
    inside = given["attention_mask"].numpy() > 0
    ours = outputs(small, inputs)
    inside = inside if ours.shape[:2] == inside.shape else slice(None)
    np.testing.assert_allclose(ours[inside], logits[inside], atol=1e-5)
