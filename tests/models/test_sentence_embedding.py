"""Vectors of texts: pooling, the files of sentence-transformers, and their numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import TransformerModel, from_config, from_pretrained
from ktlite.models.pooling import POOLINGS, pool, unit
from ktlite.models.sentence_files import SentenceFiles, read_sentence_files

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "embeddings.json").read_text("utf-8"))
NAMES = [f"{case['pooling']}-{case['normalize']}" for case in GOLDEN["cases"]]


def write_files(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def checkpoint(two_blocks: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_blocks, tmp_path / "sentences"))


@pytest.fixture(params=GOLDEN["cases"], ids=NAMES)
def case(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_golden_cases_are_all_poolings() -> None:
    assert {case["pooling"] for case in GOLDEN["cases"]} == set(POOLINGS)


def test_vectors_are_those_of_sentence_transformers(case: Any, checkpoint: Path) -> None:
    write_files(checkpoint, case["files"])
    embedder = ktlite.get_embedder(checkpoint)
    assert embedder.preproc.maxlen == 12
    np.testing.assert_allclose(embedder.embed(GOLDEN["texts"]), case["vectors"], atol=1e-5)


def test_files_that_are_written_say_what_those_read_said(case: Any, checkpoint: Path) -> None:
    write_files(checkpoint, case["files"])
    model = from_pretrained(checkpoint, "sentence-embedding")
    saved = checkpoint / "saved"
    model.save_pretrained(saved)
    # The longest text is that of the tokenizer beside them.
    expected = SentenceFiles(case["pooling"], case["normalize"], max_length=40)
    assert read_sentence_files(saved) == expected
    assert json.loads((saved / "config.json").read_text())["architectures"] == ["BertModel"]
    model.save_pretrained(saved)  # again, over what is there
    again = from_pretrained(saved, "sentence-embedding")
    ids = np.array([[2, 5, 6, 3]], "int32")
    np.testing.assert_array_equal(again({"input_ids": ids}), model({"input_ids": ids}))


@pytest.mark.parametrize(
    ("flags", "pooling"),
    [
        ({"pooling_mode_cls_token": True}, "first"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
    ],
)
def test_older_files_name_the_pooling_by_flags(
    flags: dict[str, bool], pooling: str, checkpoint: Path
) -> None:
    files = {**GOLDEN["cases"][0]["files"], "1_Pooling/config.json": flags}
    write_files(checkpoint, files)
    assert read_sentence_files(checkpoint).pooling == pooling


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "pooling is lasttoken; .*cls"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "max"]}, "pooling is cls, max"),
        ("1_Pooling/config.json", {}, "pooling is not named"),
        ("1_Pooling/config.json", [], "holds list, expected dict"),
        ("modules.json", [{"type": "x.Dense", "path": "2_Dense"}], "found Dense in '2_Dense'"),
        (
            "modules.json",
            [{"type": "x.Transformer", "path": "0_T"}, {"type": "x.Pooling", "path": "1_Pooling"}],
            "Transformer in the folder itself",
        ),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task"),
    ],
)
def test_what_would_change_the_vectors_is_refused(
    file: str, content: Any, message: str, checkpoint: Path
) -> None:
    write_files(checkpoint, {**GOLDEN["cases"][0]["files"], file: content})
    with pytest.raises(CheckpointError, match=message):
        from_pretrained(checkpoint, "sentence-embedding")


def test_prompt_before_all_texts_is_a_matter_of_the_user(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    files = GOLDEN["cases"][0]["files"]
    write_files(checkpoint, {**files, "config_sentence_transformers.json": prompts})
    assert read_sentence_files(checkpoint).max_length == 12
    assert "puts the prompt 'query: ' before each text" in caplog.text


def test_longest_text_is_where_each_version_keeps_it(checkpoint: Path) -> None:
    write_files(checkpoint, GOLDEN["cases"][0]["files"])
    # Version 5.4: https://sbert.net/docs/sentence_transformer/usage/custom_models.html
    length = {"transformer_task": "feature-extraction", "modality_config": {}}
    settings = json.loads((checkpoint / "tokenizer_config.json").read_text())
    for name in ("model_max_length", "max_len"):
        settings = {key: v for key, v in settings.items() if key not in ("model_max_length",)}
        write_files(
            checkpoint,
            {"sentence_bert_config.json": length, "tokenizer_config.json": {**settings, name: 9}},
        )
        assert ktlite.get_embedder(checkpoint).preproc.maxlen == 9
    no_limit = {**settings, "model_max_length": 10**30}
    write_files(checkpoint, {"tokenizer_config.json": no_limit})
    assert ktlite.get_embedder(checkpoint).preproc.maxlen == 40  # its positions
    (checkpoint / "sentence_bert_config.json").unlink()
    write_files(checkpoint, {"sentence_distilbert_config.json": {"max_seq_length": 7}})
    assert ktlite.get_embedder(checkpoint).preproc.maxlen == 7


def test_lower_case_of_its_files_is_that_of_the_texts(checkpoint: Path, tmp_path: Path) -> None:
    """sentence-transformers puts `Lowercase` before the tokenizer's own normalizer."""
    files = GOLDEN["cases"][0]["files"]
    settings = {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}
    write_files(checkpoint, {**files, "tokenizer_config.json": settings})
    assert ktlite.get_embedder(checkpoint).preproc.tokenizer.encode(["THE Film"]).ids.tolist() != (
        ktlite.get_embedder(checkpoint).preproc.tokenizer.encode(["the film"]).ids.tolist()
    )
    length = {"max_seq_length": 12, "do_lower_case": True}
    write_files(checkpoint, {"sentence_bert_config.json": length})
    embedder = ktlite.get_embedder(checkpoint)
    np.testing.assert_array_equal(*embedder.embed(["THE Film", "the film"]))
    embedder.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    np.testing.assert_array_equal(*loaded.embed(["THE Film", "the film"]))


def test_damaged_file_is_named(checkpoint: Path) -> None:
    (checkpoint / "modules.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"modules\.json cannot be read"):
        ktlite.get_embedder(checkpoint)


def test_other_checkpoints_have_the_mean(checkpoint: Path) -> None:
    assert read_sentence_files(checkpoint) == SentenceFiles("mean", False, 40)
    assert ktlite.get_embedder(checkpoint).preproc.maxlen == 40  # its positions


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_does_not_count(pooling: str) -> None:
    hidden = np.random.default_rng(0).normal(size=(1, 5, 3)).astype("float32")
    mask = np.array([[1, 1, 1, 0, 0]])
    short = pool(hidden[:, :3], mask[:, :3], pooling)
    np.testing.assert_allclose(pool(hidden, mask, pooling), short, rtol=1e-6)


def test_poolings_are_what_their_names_say() -> None:
    hidden = np.array([[[1.0, -3.0], [3.0, 1.0], [5.0, -1.0], [9.0, 9.0]]], "float32")
    mask = np.array([[1, 1, 1, 0]])
    expected = {
        "mean": [3, -1],
        "first": [1, -3],
        "max": [5, 1],
        "mean_sqrt": [9 / 3**0.5, -3 / 3**0.5],
    }
    for pooling, vector in expected.items():
        np.testing.assert_allclose(pool(hidden, mask, pooling)[0], vector, rtol=1e-6)
    scaled = pool(hidden, mask, "mean", True)[0]
    np.testing.assert_allclose(scaled, [0.9486833, -0.3162278], rtol=1e-5)


def test_vector_of_length_0_stays_and_has_a_gradient() -> None:
    import tensorflow as tf

    vectors = tf.Variable(np.zeros((1, 3), "float32"))
    with tf.GradientTape() as tape:
        result = unit(vectors)
    assert np.asarray(result).tolist() == [[0, 0, 0]]
    assert np.isfinite(tape.gradient(result, vectors)).all()


CONFIG = {
    "model_type": "bert",
    "vocab_size": 50,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}


def test_texts_of_a_group_are_embedded_as_they_are_alone() -> None:
    model = from_config(CONFIG, "sentence-embedding")
    ids = np.random.default_rng(0).integers(0, 50, (2, 3, 7)).astype("int32")
    mask = np.ones_like(ids)
    mask[1, 2, 4:] = 0
    grouped = model({"input_ids": ids, "attention_mask": mask})
    alone = model({"input_ids": ids.reshape(6, 7), "attention_mask": mask.reshape(6, 7)})
    assert grouped.shape == (2, 3, 8)
    np.testing.assert_allclose(grouped, np.reshape(alone, (2, 3, 8)), atol=1e-6)


def test_shape_of_something_else_is_refused() -> None:
    model = from_config(CONFIG, "sentence-embedding")
    with pytest.raises(ArgumentError, match=r"expected \[batch, texts, length\]"):
        model({"input_ids": np.zeros((1, 1, 1, 1), "int32")})
    with pytest.raises(ArgumentError, match="pooling='men' is not known.*'mean'"):
        TransformerModel(CONFIG, pooling="men")


def test_keras_config_keeps_the_pooling() -> None:
    model = TransformerModel(CONFIG, "sentence-embedding", pooling="max", normalize=True)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert again.spec.heads["sentence-embedding"].pooling == "max"
    assert again.spec.heads["sentence-embedding"].normalize


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_vectors_are_float32_in_every_precision(dtype: str) -> None:
    half = from_config(CONFIG, "sentence-embedding", dtype=dtype)
    whole = from_config(CONFIG, "sentence-embedding")
    ids = {"input_ids": np.arange(12, dtype="int32").reshape(2, 6)}
    assert half(ids).dtype == "float32"
    np.testing.assert_allclose(half(ids), whole(ids), atol=0.05)
