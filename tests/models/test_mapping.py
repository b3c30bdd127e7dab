"""Tensor names and layouts: theirs to ours and back, losing nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    ModelSpec,
    NormSpec,
    StackSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.mapping import (
    CONCAT,
    CONCAT_TRANSPOSE,
    SAME,
    TRANSPOSE,
    Op,
    Rule,
    dense,
    embedding,
    expand,
    fused_dense,
    head_by_head,
    matches,
    norm,
    variable_at,
)

# Small enough to see: a dense layer from 3 to 2 is [2, 3] in PyTorch, [3, 2] in Keras.
A = np.array([[1, 2, 3], [4, 5, 6]])
B = -A
OPS = [
    pytest.param(SAME, [A], [[1, 2, 3], [4, 5, 6]], id="same"),
    pytest.param(TRANSPOSE, [A], [[1, 4], [2, 5], [3, 6]], id="transpose"),
    pytest.param(
        CONCAT_TRANSPOSE,
        [A, B],
        [[1, 4, -1, -4], [2, 5, -2, -5], [3, 6, -3, -6]],
        id="concat_transpose",
    ),
    pytest.param(CONCAT, [A[0], B[0]], [1, 2, 3, -1, -2, -3], id="concat"),
    # Two heads of width 1 with three parts each: q k v of the first, q k v of the second.
    pytest.param(head_by_head(2, 3), [np.arange(6)], [0, 3, 1, 4, 2, 5], id="head_by_head"),
    pytest.param(
        head_by_head(2, 2),  # from 3 to 4: q k of the first, q k of the second
        [np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]])],
        [[1, 7, 4, 10], [2, 8, 5, 11], [3, 9, 6, 12]],
        id="head_by_head kernel",
    ),
]


@pytest.mark.parametrize(("op", "theirs", "ours"), OPS)
def test_op_joins_theirs_to_ours(op: Op, theirs: list[np.ndarray], ours: list[object]) -> None:
    np.testing.assert_array_equal(op.join(theirs), ours)


@pytest.mark.parametrize(("op", "theirs", "ours"), OPS)
def test_op_splits_ours_back(op: Op, theirs: list[np.ndarray], ours: list[object]) -> None:
    parts = op.split(np.array(ours), len(theirs))
    assert len(parts) == len(theirs)
    for part, expected in zip(parts, theirs, strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize(("op", "theirs", "ours"), OPS)
def test_op_says_the_shapes_that_theirs_must_have(
    op: Op, theirs: list[np.ndarray], ours: list[object]
) -> None:
    assert op.shapes(np.shape(ours), len(theirs)) == [tensor.shape for tensor in theirs]


def spec_of(blocks: dict[str, int], **options: Any) -> ModelSpec:
    """Returns a model of towers with so many blocks."""
    front = TokensSpec(vocab_size=9, width=4, max_positions=8)
    attention, feed_forward = AttentionSpec(2, 2), FeedForwardSpec(8, "gelu")
    towers = {
        name: TowerSpec(front, StackSpec(count, 4, attention, feed_forward, NormSpec(1e-5)))
        for name, count in blocks.items()
    }
    return ModelSpec(towers, heads={}, **options)


@pytest.mark.parametrize(
    ("theirs", "prefix", "names"),
    [
        (".embeddings.LayerNorm.bias", "bert.", ("bert.embeddings.LayerNorm.bias",)),
        (".embeddings.LayerNorm.bias", "", ("embeddings.LayerNorm.bias",)),
        ("classifier.bias", "bert.", ("classifier.bias",)),
        ((".q.weight", ".k.weight"), "model.", ("model.q.weight", "model.k.weight")),
    ],
)
def test_leading_dot_stands_for_the_prefix(
    theirs: str | tuple[str, ...], prefix: str, names: tuple[str, ...]
) -> None:
    assert Rule("x", theirs).names(prefix) == names


def test_block_number_is_put_into_both_names() -> None:
    rule = Rule("blocks.{i}.up.kernel", (".layer.{i}.a", ".layer.{i}.b"), CONCAT).at(7)
    assert rule == Rule("blocks.7.up.kernel", (".layer.7.a", ".layer.7.b"), CONCAT)


def test_expand_repeats_block_rules_and_only_those() -> None:
    rules = [Rule("word", ".word"), Rule("encoder.blocks.{i}.up", ".layer.{i}.up")]
    assert [rule.ours for rule in expand(rules, spec_of({"encoder": 3}))] == [
        "word",
        "encoder.blocks.0.up",
        "encoder.blocks.1.up",
        "encoder.blocks.2.up",
    ]


def test_expand_counts_over_the_tower_that_a_path_begins_with() -> None:
    rules = [Rule(f"{name}.blocks.{{i}}.up", f".{name}.{{i}}") for name in ("encoder", "decoder")]
    assert [rule.ours for rule in expand(rules, spec_of({"encoder": 1, "decoder": 2}))] == [
        "encoder.blocks.0.up",
        "decoder.blocks.0.up",
        "decoder.blocks.1.up",
    ]


def test_expand_leaves_out_what_is_tied_to_something_else() -> None:
    rules = [Rule(f"{name}.embeddings", name) for name in ("embeddings.word", "decoder.word")]
    spec = spec_of({"encoder": 1}, tied={"decoder.word": "embeddings.word"})
    assert [rule.ours for rule in expand(rules, spec)] == ["embeddings.word.embeddings"]


def test_rules_of_layers_name_kernel_and_bias() -> None:
    assert dense("head.pooler", ".pooler.dense") == (
        Rule("head.pooler.kernel", ".pooler.dense.weight", TRANSPOSE),
        Rule("head.pooler.bias", ".pooler.dense.bias", SAME),
    )
    assert norm("norm", ".LayerNorm") == (
        Rule("norm.gamma", ".LayerNorm.weight", SAME),
        Rule("norm.beta", ".LayerNorm.bias", SAME),
    )
    assert embedding("word", ".word") == Rule("word.embeddings", ".word.weight", SAME)
    assert fused_dense("qkv", [".q", ".k"]) == (
        Rule("qkv.kernel", (".q.weight", ".k.weight"), CONCAT_TRANSPOSE),
        Rule("qkv.bias", (".q.bias", ".k.bias"), CONCAT),
    )


def test_variable_is_found_through_attributes_and_numbers() -> None:
    blocks = [SimpleNamespace(kernel="first"), SimpleNamespace(kernel="second")]
    model = SimpleNamespace(encoder=SimpleNamespace(blocks=blocks))
    assert variable_at(model, "encoder.blocks.1.kernel") == "second"


def test_variable_that_the_model_lacks_is_none() -> None:
    model = SimpleNamespace(encoder=SimpleNamespace(norm=None))
    assert variable_at(model, "encoder.norm.gamma") is None
    assert variable_at(model, "head.decoder.bias") is None


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("cls.predictions.bias", ["cls.*"], True),
        ("bert.cls.predictions.bias", ["cls.*"], False),
        ("clsx", ["cls.*"], False),  # the dot is a dot
        ("bert.embeddings.position_ids", ["*position_ids"], True),
        ("bert.embeddings.position_ids.weight", ["*position_ids"], False),
        ("layer.12.rotary.inv_freq", ["layer.{i}.rotary.inv_freq"], True),
        ("layer.x.rotary.inv_freq", ["layer.{i}.rotary.inv_freq"], False),
        ("qa_outputs.bias", ["cls.*", "qa_outputs.*"], True),
        ("qa_outputs.bias", [], False),
    ],
)
def test_patterns_match_whole_names(name: str, patterns: list[str], expected: bool) -> None:
    assert matches(name, patterns) is expected
