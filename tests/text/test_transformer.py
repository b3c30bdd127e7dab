"""A checkpoint's preprocessor that makes its models: what fits, what is compiled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tokenizers import Tokenizer as RustTokenizer

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.text import Transformer, text_classifier, text_regression_model

TEXTS = ["the film was great", "房间 很 好", "bad, very bad!"]


@pytest.fixture
def copied(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint, to change."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "tiny"))


def fitted(folder: Path, labels: Any, **options: Any) -> tuple[Transformer, Any]:
    t = Transformer(folder, maxlen=20, **options)
    return t, t.preprocess_train(TEXTS, labels, verbose=0)


def train_a_step(model: Any, data: Any) -> float:
    model.run_eagerly = True  # tracing a step takes longer than all of these tests
    logs = model.train_on_batch(data.inputs(np.arange(3)), data.targets, return_dict=True)
    return float(logs["loss"])


@pytest.mark.parametrize("maxlen", [4, 40, np.int64(40)])
def test_length_that_fits_is_taken(tiny_checkpoint: Path, maxlen: int) -> None:
    t = Transformer(tiny_checkpoint, maxlen=maxlen)
    assert t.encode(["very " * 99]).lengths.tolist() == [maxlen]
    assert type(t.maxlen) is int  # it is written as JSON


@pytest.mark.parametrize("maxlen", [41, 512, 3, 0, -1, 20.0, "20", None, True])
def test_length_that_does_not_fit_is_refused(tiny_checkpoint: Path, maxlen: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        Transformer(tiny_checkpoint, maxlen=maxlen)
    assert f"maxlen={maxlen!r}; expected a whole number from 4 to 40" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"class_names": ["bad", "good"]},
        {"classes": ["bad", "good"]},
        {"class_names": np.array(["bad", "good"])},
        {"classes": np.array(["bad", "good"])},
    ],
)
def test_class_names_go_by_ktrains_two_names(tiny_checkpoint: Path, options: Any) -> None:
    t, data = fitted(tiny_checkpoint, [1, 0, 1], **options)
    assert t.get_classes() == ["bad", "good"]
    assert data.targets.tolist() == [1, 0, 1]


def test_tokenizer_of_another_checkpoint_is_found_out(copied: Path) -> None:
    rust = RustTokenizer.from_file(str(copied / "tokenizer.json"))
    rust.add_tokens(["ktlite"])
    rust.save(str(copied / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"ids up to 97, but .*vocab_size is 97.*another"):
        Transformer(copied, 20)


def test_embedding_larger_than_the_tokenizer_is_fine(copied: Path) -> None:
    rust = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    last = max(rust["model"]["vocab"], key=rust["model"]["vocab"].get)
    del rust["model"]["vocab"][last]
    (copied / "tokenizer.json").write_text(json.dumps(rust), encoding="utf-8")
    assert Transformer(copied, 20).tokenizer.vocab_size == 96


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_checkpoint_that_lacks_a_file_is_refused(copied: Path, name: str) -> None:
    for path in copied.glob("vocab.txt" if name == "tokenizer.json" else "-"):
        path.unlink()
    (copied / name).unlink()
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        Transformer(copied, 20)


# Models


def test_classifier_is_compiled_for_the_labels(tiny_checkpoint: Path) -> None:
    t, data = fitted(tiny_checkpoint, ["pos", "pos", "neg"])
    model = t.get_classifier()
    assert model.compiled
    assert isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)
    assert model.predict_on_batch(data.inputs(np.arange(3))).shape == (3, 2)
    assert np.isfinite(train_a_step(model, data))
    assert model.config["id2label"] == {"0": "neg", "1": "pos"}


def test_multilabel_classifier_trains(tiny_checkpoint: Path) -> None:
    t, data = fitted(tiny_checkpoint, [[1, 0], [1, 1], [0, 0]], class_names=["a", "b"])
    model = t.get_classifier(multilabel=True)
    assert isinstance(t.task, MultiLabel)
    assert isinstance(model.loss, keras.losses.BinaryCrossentropy)
    assert np.isfinite(train_a_step(model, data))
    assert model.config["id2label"] == {"0": "a", "1": "b"}


def test_one_hot_labels_are_independent_where_the_task_says_so(tiny_checkpoint: Path) -> None:
    one_hot = [[1, 0], [0, 1], [1, 0]]
    t, data = fitted(tiny_checkpoint, one_hot, task="multilabel")
    assert data.targets.tolist() == one_hot
    assert np.isfinite(train_a_step(t.get_classifier(multilabel=True), data))


@pytest.mark.parametrize(
    ("labels", "multilabel", "message"),
    [
        # The targets of these are class numbers by now, which no sigmoid can be trained on.
        ([[1, 0], [0, 1], [1, 0]], True, "taken for classification; pass task='multilabel'"),
        (["a", "b", "a"], True, "taken for classification"),
        ([[1, 1], [0, 1], [1, 0]], False, "taken for multilabel; pass task='classification'"),
    ],
)
def test_multilabel_that_does_not_fit_the_labels_is_refused(
    tiny_checkpoint: Path, labels: Any, multilabel: bool, message: str
) -> None:
    t, _ = fitted(tiny_checkpoint, labels)
    with pytest.raises(ArgumentError, match=message):
        t.get_classifier(multilabel=multilabel)


def test_multilabel_false_fits_one_label_a_text(tiny_checkpoint: Path) -> None:
    t, _ = fitted(tiny_checkpoint, ["a", "b", "a"])
    assert t.get_classifier(multilabel=False).num_labels == 2
    assert isinstance(t.task, Classification)


def test_regression_model_trains_on_numbers(tiny_checkpoint: Path) -> None:
    t, data = fitted(tiny_checkpoint, [0.5, 1.5, -2.0], task="regression")
    model = t.get_regression_model()
    outputs = model.predict_on_batch(data.inputs(np.arange(3)))
    assert outputs.shape == (3, 1)
    assert isinstance(t.task, Regression)
    # A loss that broadcasts [3, 1] against [3] to [3, 3] would give another number.
    mean, scale = np.mean(data.targets), np.std(data.targets)
    expected = np.mean((outputs[:, 0] - (data.targets - mean) / scale) ** 2)
    logs = model.test_on_batch(data.inputs(np.arange(3)), data.targets, return_dict=True)
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)
    mae = np.abs(outputs[:, 0] * scale + mean - data.targets).mean()
    assert logs["mae"] == pytest.approx(mae, rel=1e-4)


def test_regression_model_for_classes_is_refused(tiny_checkpoint: Path) -> None:
    t, _ = fitted(tiny_checkpoint, ["a", "b", "a"])
    with pytest.raises(ArgumentError, match="taken for classification.*task='regression'"):
        t.get_regression_model()


@pytest.mark.parametrize("make", [Transformer.get_classifier, Transformer.get_regression_model])
def test_model_before_labels_is_refused(tiny_checkpoint: Path, make: Any) -> None:
    with pytest.raises(ArgumentError, match=r"call preprocess_train\(texts, y\) first"):
        make(Transformer(tiny_checkpoint, 20))


def test_metrics_may_be_chosen(tiny_checkpoint: Path) -> None:
    t, data = fitted(tiny_checkpoint, ["a", "b", "a"])
    model = t.get_classifier(metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")])
    logs = model.test_on_batch(data.inputs(np.arange(3)), data.targets, return_dict=True)
    assert logs.keys() == {"loss", "top2"}
    assert logs["top2"] == 1.0
    assert t.get_classifier(metrics=[]).test_on_batch(
        data.inputs(np.arange(3)), data.targets, return_dict=True
    ).keys() == {"loss"}


def test_seed_decides_the_new_head(tiny_checkpoint: Path) -> None:
    t, _ = fitted(tiny_checkpoint, ["a", "b", "a"])
    kernels = [np.asarray(t.get_classifier(seed=seed).head.classifier.kernel) for seed in (1, 1, 2)]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_model_may_start_from_another_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    t, data = fitted(tiny_checkpoint, ["a", "b", "c"])
    tuned = t.get_classifier()
    train_a_step(tuned, data)
    tuned.save_pretrained(tmp_path / "tuned")
    batch = data.inputs(np.arange(3))
    np.testing.assert_allclose(
        t.get_classifier(tmp_path / "tuned").predict_on_batch(batch),
        tuned.predict_on_batch(batch),
        atol=1e-5,
    )


def test_half_precision_computes_in_it_and_answers_in_float32(tiny_checkpoint: Path) -> None:
    t, data = fitted(tiny_checkpoint, ["a", "b", "a"])
    model = t.get_classifier(precision="mixed_bfloat16")
    assert model.compute_dtype == "bfloat16"
    assert model.predict_on_batch(data.inputs(np.arange(3))).dtype == np.float32


# ktrain's functions


def test_text_classifier_is_get_classifier(tiny_checkpoint: Path) -> None:
    t, train = fitted(tiny_checkpoint, ["a", "b", "a"])
    for name in (tiny_checkpoint, str(tiny_checkpoint), f"{tiny_checkpoint}/"):
        assert text_classifier(name, train, preproc=t).compiled
        assert text_classifier(name, train).num_labels == 2


def test_text_regression_model_is_get_regression_model(tiny_checkpoint: Path) -> None:
    _, train = fitted(tiny_checkpoint, [0.5, 1.5, -2.0], task="regression")
    assert text_regression_model(tiny_checkpoint, train).num_labels == 1


def test_text_classifier_of_another_checkpoint_is_refused(tiny_checkpoint: Path) -> None:
    _, train = fitted(tiny_checkpoint, ["a", "b", "a"])
    with pytest.raises(ArgumentError, match="'roberta-base', but the texts were tokenised for"):
        text_classifier("roberta-base", train)
