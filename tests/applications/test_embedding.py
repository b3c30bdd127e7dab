"""`get_embedder` and `Predictor.embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.models import from_pretrained

TEXTS = ["good film", "a", "房间很干净", "bad film " * 8, ""]


@pytest.fixture(scope="module")
def embedder(tiny_checkpoint: Path) -> Any:
    return ktlite.get_embedder(tiny_checkpoint)


def test_vectors_do_not_depend_on_the_batch(embedder: Any) -> None:
    together = embedder.embed(TEXTS)
    assert together.dtype == np.float32
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(embedder.embed(text), vector, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(TEXTS, batch_size=2), together, atol=1e-5)


def test_one_text_gives_one_vector_and_none_give_none(embedder: Any) -> None:
    assert embedder.embed("good film").shape == (32,)
    assert embedder.embed([]).shape == (0, 32)
    assert embedder.embed(np.array(["good film", "a"])).shape == (2, 32)


def test_mean_is_over_the_tokens_of_the_encoder(embedder: Any, tiny_checkpoint: Path) -> None:
    encoder = from_pretrained(tiny_checkpoint)
    row = embedder.preproc.tokenizer.encode(["good film"]).batch(np.array([0]))
    hidden = np.asarray(encoder(row))[0]
    inside = row["attention_mask"][0].astype(bool)
    np.testing.assert_allclose(embedder.embed("good film"), hidden[inside].mean(0), atol=1e-5)


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_any_model_embeds(task: str, embedder: Any, tiny_checkpoint: Path) -> None:
    tasks = {
        "text-classification": ktlite.tasks.Classification(["a", "b", "c"]),
        "token-classification": ktlite.tasks.TokenClassification(["O", "B-X", "I-X"]),
    }
    transformer = ktlite.text.Transformer(tiny_checkpoint, 40, task=tasks[task])
    predictor = ktlite.get_predictor(from_pretrained(tiny_checkpoint, task), transformer)
    np.testing.assert_allclose(predictor.embed(TEXTS), embedder.embed(TEXTS), atol=1e-5)


def test_options_change_how_vectors_are_made(embedder: Any) -> None:
    plain, scaled = embedder.embed(TEXTS), embedder.embed(TEXTS, normalize=True)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(scaled, plain / lengths, atol=1e-5)
    others = [embedder.embed(TEXTS, pooling=pooling) for pooling in ("first", "max")]
    assert all(np.abs(other - plain).max() > 0.01 for other in others)


def test_cosine_of_a_pair(embedder: Any) -> None:
    a, b = embedder.embed(["good film", "bad film"], normalize=True)
    assert embedder.predict(("good film", "bad film")) == pytest.approx(float(a @ b), abs=1e-5)
    assert embedder.predict(("good film", "good film")) == pytest.approx(1, abs=1e-5)
    assert len(embedder.predict([("good film", "a"), ("a", "bad film")])) == 2
    assert embedder.predict([]) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [([1], "got 1 of int"), ([("a", "b")], "of tuple"), ([None], "got None of NoneType")],
)
def test_what_is_no_text_is_refused(texts: Any, message: str, embedder: Any) -> None:
    with pytest.raises(DataError, match=message):
        embedder.embed(texts)


@pytest.mark.parametrize("examples", ["good film", ["good film", "a"], [("a", "b"), ("a",)]])
def test_what_is_no_pair_is_refused(examples: Any, embedder: Any) -> None:
    with pytest.raises(DataError, match="expected a tuple of 2 strings"):
        embedder.predict(examples)


def test_arguments_are_checked(tiny_checkpoint: Path, embedder: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="pooling='men' is not known.*'mean'"):
        embedder.embed("a", pooling="men")
    with pytest.raises(ArgumentError, match="precision='half' is not known"):
        ktlite.get_embedder(tiny_checkpoint, precision="half")
    with pytest.raises(ArgumentError, match="maxlen=41"):
        ktlite.get_embedder(tiny_checkpoint, 41)
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        ktlite.get_embedder(tmp_path / "nothing")


def test_keras_model_of_ones_own_has_no_encoder(embedder: Any) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    predictor = ktlite.get_predictor(model, embedder.preproc)
    with pytest.raises(ArgumentError, match="Sequential has no encoder"):
        predictor.embed("a")


def test_saved_predictor_makes_the_same_vectors(embedder: Any, tmp_path: Path) -> None:
    embedder.save(tmp_path / "embedder")
    again = ktlite.load_predictor(tmp_path / "embedder")
    np.testing.assert_allclose(again.embed(TEXTS), embedder.embed(TEXTS), atol=1e-6)
    assert ktlite.get_embedder(tmp_path / "embedder").preproc.maxlen == embedder.preproc.maxlen


@pytest.mark.checkpoint
def test_minilm_puts_like_meanings_near_each_other(minilm: Path) -> None:
    embedder = ktlite.get_embedder(minilm)
    assert embedder.preproc.maxlen == 256
    vectors = embedder.embed(["A warm, funny film.", "An amusing movie.", "Interest rates fell."])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.6 > 0.2 > cosines[0, 2]


@pytest.mark.checkpoint
@pytest.mark.torch
def test_minilm_vectors_are_those_of_pytorch(minilm: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = ["A warm, funny, engaging film.", "房间很干净", "Dull.", "a line, and then more " * 80]
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    batch = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(minilm)(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(mean).numpy()
    np.testing.assert_allclose(ktlite.get_embedder(minilm).embed(texts), expected, atol=1e-5)
