"""A student learns what a teacher says: the loss by hand, and the whole way with every kind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Classification, MultiLabel, Regression, TokenClassification
from ktlite.tasks.teaching import packed, taught_loss, taught_metric
from ktlite.tasks.token_classification import IGNORE

TEXTS = ["good film", "bad film", "the film was good", "the film was bad"] * 6
LABELS = ["good", "bad"] * 12
QUIET: dict[str, Any] = {"verbose": 0, "check": False, "maxlen": 12, "batch_size": 8}

random = np.random.default_rng(0)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_loss_of_classes_is_hintons() -> None:
    task = Classification(["a", "b", "c"])
    targets, known = np.array([0, 2, 1, 1]), np.array([True, True, False, True])
    taught, own = random.normal(size=(2, 4, 3)).astype("float32")
    weights = np.array([1.0, 2.0, 0.5, 1.0], "float32")
    p, q = softmax(taught / 3), softmax(own / 3)
    soft = 9 * (p * np.log(p / q)).sum(axis=-1)
    hard = -np.log(softmax(own)[np.arange(4), targets])
    wanted = (weights * (0.7 * soft + 0.3 * known * hard)).mean()
    loss = taught_loss(task.loss(), task.soft_loss(3.0), 0.7, False)
    found = loss(packed(targets, known, taught, False), own, weights[:, None])
    np.testing.assert_allclose(float(found), wanted, rtol=1e-5)
    # Validation has plain targets, whose loss is the task's.
    np.testing.assert_allclose(float(loss(targets, own)), hard.mean(), rtol=1e-5)


def test_loss_of_several_labels_is_that_of_each() -> None:
    task = MultiLabel(["a", "b"])
    targets, known = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([True, False])
    taught, own = random.normal(size=(2, 2, 2)).astype("float32")
    p, q = 1 / (1 + np.exp(-taught / 2)), 1 / (1 + np.exp(-own / 2))
    soft = 4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(axis=-1)
    yes = 1 / (1 + np.exp(-own))
    hard = -(targets * np.log(yes) + (1 - targets) * np.log(1 - yes)).mean(axis=-1)
    loss = taught_loss(task.loss(), task.soft_loss(2.0), 0.5, False)
    found = float(loss(packed(targets, known, taught, False), own))
    np.testing.assert_allclose(found, (0.5 * soft + 0.5 * known * hard).mean(), rtol=1e-5)


def test_loss_of_numbers_is_the_squared_difference() -> None:
    task = Regression(mean=[3.0], scale=[2.0])
    targets = np.array([1.0, IGNORE], "float32")  # a number like any other
    taught, own = random.normal(size=(2, 2, 1)).astype("float32")
    wanted = 0.5 * (taught - own) ** 2 + 0.5 * ((targets[:, None] - 3) / 2 - own) ** 2
    loss = taught_loss(task.loss(), task.soft_loss(1.0), 0.5, False)
    found = float(loss(packed(targets, np.array([True, True]), taught, False), own))
    np.testing.assert_allclose(found, wanted.mean(), rtol=1e-5)


def test_loss_of_words_is_a_mean_over_those_that_count() -> None:
    task = TokenClassification(["O", "X"])
    targets = np.array([[0, IGNORE, 1], [1, IGNORE, IGNORE]])
    taught, own = random.normal(size=(2, 2, 3, 2)).astype("float32")
    array = packed(targets, np.array([True, True]), taught, True)
    assert (array == IGNORE).all(axis=-1).sum() == 3
    p, q = softmax(taught), softmax(own)
    soft = (p * np.log(p / q)).sum(axis=-1)
    hard = -np.log(np.take_along_axis(q, np.maximum(targets, 0)[..., None], -1)[..., 0])
    counts = targets != IGNORE
    wanted = ((0.4 * soft + 0.6 * hard) * counts).sum() / 3
    loss = taught_loss(task.loss(), task.soft_loss(1.0), 0.4, True)
    np.testing.assert_allclose(float(loss(array, own)), wanted, rtol=1e-5)


def test_metric_counts_what_is_known() -> None:
    metric = taught_metric(Classification(["a", "b"]).metrics()[0])
    own = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], "float32")
    array = packed(np.array([0, 1, 1]), np.array([True, True, False]), own, False)
    metric.update_state(array, own)
    assert float(metric.result()) == 0.5
    metric.reset_state()
    metric.update_state(np.array([0, 0, 1]), own)
    assert float(metric.result()) == pytest.approx(2 / 3)


@pytest.fixture(scope="module")
def teacher(tiny_checkpoint: Path) -> ktlite.Predictor:
    learner = ktlite.get_learner(tiny_checkpoint, (TEXTS, LABELS), (TEXTS, LABELS), **QUIET)
    learner.fit_onecycle(1e-2, 4, verbose=0)
    return learner.get_predictor()


def test_unlabelled_texts_teach(
    teacher: ktlite.Predictor, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Labels that are all wrong but for the teacher's share; more texts; kept and asked once."""
    data = (TEXTS[:4], LABELS[:4])
    student = ktlite.distil(
        teacher, tiny_checkpoint, data, (TEXTS, LABELS),
        unlabelled=TEXTS[4:], alpha=0.9, **QUIET,
    )  # fmt: skip
    assert student.train_data.labelled.sum() == 4 and len(student.train_data.items) == 24
    history = student.fit_onecycle(1e-2, 8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    predictor = student.get_predictor()
    assert predictor.predict(TEXTS[:4]) == teacher.predict(TEXTS[:4])
    predictor.save(tmp_path / "student")
    again = ktlite.load_predictor(tmp_path / "student")
    assert again.predict(TEXTS[:4]) == predictor.predict(TEXTS[:4])


def test_a_table_of_unlabelled_texts(teacher: ktlite.Predictor, tiny_checkpoint: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"text": TEXTS[:8], "label": LABELS[:8]})
    more = pd.DataFrame({"text": [*TEXTS[8:12], None]})
    student = ktlite.distil(
        teacher, tiny_checkpoint, frame, frame, unlabelled=more,
        text_column="text", label_columns="label", **QUIET,
    )  # fmt: skip
    assert student.train_data.labelled.tolist() == [True] * 8 + [False] * 4


def test_what_was_said_is_kept(
    teacher: ktlite.Predictor,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pandas as pd

    frame = pd.DataFrame({"text": TEXTS, "label": LABELS})
    asked: list[int] = []
    say = teacher.fresh_logits

    def fresh(items: Any, *rest: Any) -> np.ndarray:
        asked.append(len(items))
        return say(items, *rest)

    monkeypatch.setattr(teacher, "fresh_logits", fresh)
    options = {"text_column": "text", "label_columns": "label", "cache_folder": tmp_path, **QUIET}
    first = ktlite.distil(teacher, tiny_checkpoint, frame, frame, **options)
    assert asked == [16, 24]
    second = ktlite.distil(teacher, tiny_checkpoint, frame, frame, **options)
    assert asked == [16, 24, 16]
    np.testing.assert_array_equal(first.train_data.taught, second.train_data.taught)


def test_several_teachers_and_a_killed_run(
    teacher: ktlite.Predictor, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    def made() -> ktlite.Learner:
        return ktlite.distil(
            [teacher, teacher], tiny_checkpoint, (TEXTS, LABELS), (TEXTS, LABELS), **QUIET
        )

    student = made()
    own = teacher.logits(TEXTS)
    np.testing.assert_allclose(softmax(student.train_data.taught), softmax(own), atol=1e-6)
    whole = made()
    whole.fit_onecycle(1e-2, 2, verbose=0)
    student.fit_onecycle(1e-2, 2, verbose=0, checkpoint_folder=tmp_path, steps_per_epoch=None)
    again = made()
    again.fit_onecycle(1e-2, 2, verbose=0, checkpoint_folder=tmp_path, resume=True)
    for one, other in zip(whole.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_pieces_have_the_gradient_of_the_whole(
    teacher: ktlite.Predictor, tiny_checkpoint: Path
) -> None:
    def trained(tokens: int | None) -> list[np.ndarray]:
        data = (TEXTS, LABELS)
        student = ktlite.distil(
            teacher, tiny_checkpoint, data, data, micro_tokens=tokens, alpha=0.7, **QUIET
        )
        for layer in student.model._flatten_layers():  # one draw of dropout for all pieces
            if type(layer).__name__ == "Dropout":
                layer.rate = 0
        student.fit(1e-3, 1, verbose=0, steps_per_epoch=2)
        return [np.asarray(weight) for weight in student.model.trainable_weights]

    for whole, pieces in zip(trained(None), trained(16), strict=True):
        np.testing.assert_allclose(whole, pieces, atol=2e-4)


def test_numbers_and_several_labels(tiny_checkpoint: Path) -> None:
    for labels, task in (
        ([1.5, -0.5] * 12, "regression"),
        ([[1, 0], [1, 1]] * 12, "multilabel"),
    ):
        data = (TEXTS, labels)
        learner = ktlite.get_learner(tiny_checkpoint, data, data, task=task, **QUIET)
        predictor = learner.get_predictor()
        student = ktlite.distil(
            predictor, tiny_checkpoint, data, data, unlabelled=["a film"], **QUIET
        )
        student.fit(1e-3, 1, verbose=0)
        assert np.isfinite(student.history.history["loss"]).all()
        assert student.task.get_config() == learner.task.get_config()


def test_words_whatever_the_tokenizer(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The student cuts words otherwise than the teacher does: both speak of words."""
    cut, corpus = tmp_path / "cut", tmp_path / "corpus.txt"
    shutil.copytree(tiny_checkpoint, cut, ignore=shutil.ignore_patterns("*token*", "vocab*"))
    corpus.write_text("\n".join(TEXTS), encoding="utf-8")
    made = ktlite.text.train_tokenizer(corpus, tmp_path / "tokenizer", kind="character", verbose=0)
    shutil.copytree(made, cut, dirs_exist_ok=True)
    data = ([text.split() for text in TEXTS], [["O"] * (len(t.split()) - 1) + ["X"] for t in TEXTS])
    task = {"task": "token-classification"}
    learner = ktlite.get_learner(tiny_checkpoint, data, data, **task, **QUIET)
    predictor = learner.get_predictor()
    student = ktlite.distil(predictor, cut, data, data, **QUIET)
    inputs, targets = student.train_data.training_examples(np.arange(2), (0,))
    first = targets[0][targets[0, :, 1] == 1]
    np.testing.assert_allclose(first[:, 2:], predictor.logits([data[0][0]])[0], atol=1e-5)
    student.fit(1e-3, 1, verbose=0)
    assert np.isfinite(student.history.history["loss"]).all()


def test_images(image_predictor: ktlite.Predictor, tiny_vit: Path, class_folders: Path) -> None:
    more = sorted((class_folders / "valid").rglob("*.png"))
    student = ktlite.distil(
        image_predictor, tiny_vit, class_folders / "train", class_folders / "valid",
        unlabelled=more, batch_size=8, verbose=0, check=False,
    )  # fmt: skip
    student.fit(1e-3, 1, verbose=0)
    assert np.isfinite(student.history.history["loss"]).all()


def test_with_all_that_changes_a_step(teacher: ktlite.Predictor, tiny_checkpoint: Path) -> None:
    import keras

    def margin(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.abs(y_pred[:, 0] - y_pred[:, 1])

    data = (TEXTS, LABELS)
    student = ktlite.distil(
        teacher, tiny_checkpoint, data, data, unlabelled=["a film"], augment=["swap"], mixup=0.2,
        r_drop=1.0, adversarial=True, accumulate=2, lora=2, ema=0.9, metrics=["f1_macro", margin],
        **QUIET,
    )  # fmt: skip
    history = student.fit(1e-3, 1, verbose=0, class_weight="balanced").history
    assert np.isfinite(history["loss"]).all() and 0 <= history["f1_macro"][0] <= 1
    assert history["margin"][0] > 0


@pytest.mark.parametrize("window", [None, 4])
def test_what_was_said_goes_with_its_augmented_example(
    teacher: ktlite.Predictor, tiny_checkpoint: Path, window: int | None
) -> None:
    student = ktlite.distil(
        teacher, tiny_checkpoint, (TEXTS, LABELS), (TEXTS, LABELS), unlabelled=["a film"],
        augment=["swap"], window=window, **QUIET,
    )  # fmt: skip
    data = student.train_data
    rows = np.array([len(data) - 1, 7, 2])
    _, plain = data.examples(rows, (0,))
    _, changed = data.training_examples(rows, (0,))
    np.testing.assert_array_equal(changed, plain)
    assert changed[:, 1].tolist() == [0, 1, 1]


def test_refusals(teacher: ktlite.Predictor, tiny_checkpoint: Path, golden: Path) -> None:
    data = (TEXTS, LABELS)
    with pytest.raises(ArgumentError) as caught:
        ktlite.distil("folder", tiny_checkpoint, data, alpha=0, temperature=-1, task="regression")
    for said in ("teacher is of type str", "alpha=0", "temperature=-1", "task is the teacher's"):
        assert said in str(caught.value)
    with pytest.raises(DataError, match="not among the classes"):
        ktlite.distil(teacher, tiny_checkpoint, (TEXTS, ["good", "ugly"] * 12), **QUIET)
    with pytest.raises(ArgumentError, match="unknown argument 'epochs'"):
        ktlite.distil(teacher, tiny_checkpoint, data, epochs=3)
    words = ([t.split() for t in TEXTS], [["O"] * len(t.split()) for t in TEXTS[:-1]] + [["X"] * 4])
    tags = ktlite.get_learner(
        tiny_checkpoint, words, words, task="token-classification", **QUIET
    ).get_predictor()
    with pytest.raises(ArgumentError, match="one a word"):
        ktlite.distil(tags, tiny_checkpoint, words, unlabelled=["a"], **QUIET)
    with pytest.raises(ArgumentError, match="of another task"):
        ktlite.distil([teacher, tags], tiny_checkpoint, data, **QUIET)
