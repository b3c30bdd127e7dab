"""Cross-validation: every text is predicted once, by a model that has not learned from it."""

from __future__ import annotations

import logging
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

import ktlite
from ktlite import cross_validation
from ktlite.cross_validation import CrossValidation, cross_validate
from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.images import Images
from ktlite.inputs.input import Input
from ktlite.inputs.texts import Texts
from ktlite.learner import Learner
from ktlite.tasks import Regression

pytestmark = pytest.mark.usefixtures("eagerly")

LETTERS = {"ham": "abc", "spam": "mno", "toast": "xyz"}
OPTIONS: dict[str, Any] = {"lr": 1e-3, "epochs": 1, "maxlen": 24, "batch_size": 8, "folds": 3,
                           "verbose": 0}  # fmt: skip


def texts(count: int = 30) -> tuple[list[str], list[str]]:
    rng = random.Random(0)
    labels = [list(LETTERS)[i % 3] for i in range(count)]
    return [" ".join(rng.choices(LETTERS[c], k=rng.randint(5, 12))) for c in labels], labels


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """30 texts, of which one has no label."""
    words, labels = texts()
    labels[4] = None  # type: ignore[call-overload]
    return pd.DataFrame({"text": words, "label": labels, "author": np.arange(30) // 5})


@pytest.fixture(scope="module")
def result(tiny_checkpoint: Path, frame: pd.DataFrame) -> CrossValidation:
    return cross_validate(
        tiny_checkpoint, frame, text_column="text", label_columns="label", **OPTIONS
    )


class Trained:
    """What each fold was given, in place of training: models that know what they learned from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type[Input] = Texts) -> None:
        self.folds: list[tuple[list[Any], list[Any], dict[str, Any]]] = []
        monkeypatch.setattr(cross_validation, "_fold", self.fold)
        monkeypatch.setattr(cross_validation, "input_of", lambda *given: kind)

    def fold(
        self,
        checkpoint: Any,
        train: Any,
        test: Any,
        lr: float,
        epochs: int,
        class_weight: Any,
        options: Any,
    ) -> np.ndarray:
        self.folds.append((train.rows.tolist(), test.rows.tolist(), dict(options)))
        logits = np.zeros((len(test), options["task"].outputs))
        logits[:, 0], logits[:, 1] = test.rows, len(self.folds)
        return logits


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    return Trained(monkeypatch)


def run(data: Any, **options: Any) -> CrossValidation:
    columns = {"text_column": "text", "label_columns": "label"} if hasattr(data, "columns") else {}
    return cross_validate("a name", data, **{**columns, **OPTIONS, **options})


# ------------------------------------------------------------------------------------- the folds


def test_each_text_is_predicted_once_by_the_others(trained: Trained, frame: pd.DataFrame) -> None:
    result = run(frame)
    kept = [row for row in range(30) if row != 4]
    assert sorted(row for _, test, _ in trained.folds for row in test) == kept
    for train, test, _ in trained.folds:
        assert sorted(train + test) == kept
        counts = frame.label[test].value_counts()
        assert counts.max() - counts.min() <= 1  # the same mix
    # In the order of the data.
    assert result.logits[:, 0].tolist() == result.data.rows.tolist() == kept
    assert (result.logits[:, 1] - 1).tolist() == result.fold_of.tolist()


def test_groups_stay_together(trained: Trained, frame: pd.DataFrame) -> None:
    for groups in ("author", frame.author, frame.author.map("writer {}".format).tolist()):
        result = run(frame, groups=groups)
        for author in range(6):
            of_author = (frame.author == author).to_numpy()[result.data.rows]
            assert len(set(result.fold_of[of_author])) == 1
        assert sorted(set(result.fold_of)) == [0, 1, 2]


def test_the_seed_deals_the_folds(trained: Trained, frame: pd.DataFrame) -> None:
    same, again, other = (run(frame, seed=seed).fold_of for seed in (1, 1, 2))
    assert same.tolist() == again.tolist() != other.tolist()
    assert [options["seed"] for _, _, options in trained.folds] == [1] * 6 + [2] * 3


def test_weights_of_rows_go_with_them(trained: Trained, frame: pd.DataFrame) -> None:
    run(frame, sample_weight=np.arange(30.0))
    for train, _, options in trained.folds:
        assert options["sample_weight"].tolist() == train


def test_rare_classes_are_dealt_out_without_warning(trained: Trained) -> None:
    words, labels = texts()
    labels[0] = labels[7] = "rare"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run((words, labels))
    assert np.bincount(result.fold_of).tolist() == [10, 10, 10]


def test_equal_texts_in_several_folds_are_told(
    trained: Trained, frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    run(frame)
    assert "in other folds" not in caplog.text
    words, labels = texts(12)
    run((words * 5, labels * 5))
    assert "60 of 60 texts are in other folds, too, exactly the same" in caplog.text
    caplog.clear()
    run((words * 5, labels * 5), groups=np.tile(np.arange(12), 5))
    assert "in other folds" not in caplog.text


# -------------------------------------------------------------------------------------- results


def test_figures_are_of_the_folds_and_of_all(result: CrossValidation) -> None:
    truth, guess = result.known_targets(), result.logits.argmax(axis=1)
    folds = [
        sk.accuracy_score(truth[result.fold_of == i], guess[result.fold_of == i]) for i in range(3)
    ]
    assert [fold["accuracy"] for fold in result.fold_metrics] == pytest.approx(folds)
    assert result.metrics["accuracy"] == pytest.approx(np.mean(folds))
    assert result.deviations["accuracy"] == pytest.approx(np.std(folds, ddof=1))
    pooled = result.report.metrics["accuracy"]
    assert pooled == pytest.approx(sk.accuracy_score(truth, guess))
    low, high = result.intervals()["accuracy"]
    assert low < pooled < high
    summary = result.summary()
    assert f"accuracy {np.mean(folds):9.4f} +- {np.std(folds, ddof=1):.4f}" in summary
    assert f"[{low:.4f}, {high:.4f}]" in summary


def test_predictions_read_as_a_predictors(result: CrossValidation, frame: pd.DataFrame) -> None:
    classes = ["ham", "spam", "toast"]
    assert result.predictions == [classes[i] for i in result.logits.argmax(axis=1)]
    assert result.probabilities.shape == (29, 3)
    table = result.frame
    assert table.columns.tolist() == ["row", "fold", "text", "label", "predicted", "loss"]
    assert table.text.tolist() == frame.text[table.row].tolist()
    assert table.label.tolist() == frame.label[table.row].tolist()
    np.testing.assert_allclose(np.exp(-table.loss), result.probabilities[
        np.arange(29), result.known_targets()], rtol=1e-4)  # fmt: skip


def test_a_fold_is_what_get_learner_makes_of_the_others(
    result: CrossValidation, tiny_checkpoint: Path, frame: pd.DataFrame
) -> None:
    train = frame.iloc[result.data.rows[result.fold_of != 0]]
    test = frame.iloc[result.data.rows[result.fold_of == 0]]
    learner = ktlite.get_learner(
        tiny_checkpoint, train, test, text_column="text", label_columns="label", maxlen=24,
        batch_size=8, verbose=0,
    )  # fmt: skip
    learner.fit_onecycle(1e-3, 1, verbose=0)
    np.testing.assert_allclose(
        result.probabilities[result.fold_of == 0], learner.predict(), atol=1e-5
    )


def test_progress_is_told_after_each_fold(
    trained: Trained, frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ktlite"):
        result = run(frame, verbose=1)
    told = [r.getMessage() for r in caplog.records if r.getMessage().startswith("fold")]
    accuracies = [f"accuracy {fold['accuracy']:.4f}" for fold in result.fold_metrics]
    assert len(told) == 3
    assert all(accuracy in line for accuracy, line in zip(accuracies, told, strict=True))


@pytest.mark.parametrize("kind", ["pairs", "regression", "tags", "several labels"])
def test_tasks_of_all_kinds(tiny_checkpoint: Path, kind: str) -> None:
    words, labels = texts(18)
    data: Any
    if kind == "pairs":
        data, options = ([(text, text[::-1]) for text in words], labels), {}
    elif kind == "regression":
        data, options = (words, [len(text) / 3 for text in words]), {"task": "regression"}
    elif kind == "several labels":
        data, options = (words, [["a" in text, "m" in text] for text in words]), {}
        data = (words, np.array(data[1], int))
    else:
        tags = [["B-" + label] * len(text.split()) for text, label in zip(*texts(18), strict=True)]
        data, options = ([text.split() for text in words], tags), {"task": "token-classification"}
    result = cross_validate(tiny_checkpoint, data, **{**OPTIONS, **options, "folds": 2})
    assert len(result.predictions) == len(result.frame) == 18
    assert result.report.metrics.keys() == result.fold_metrics[0].keys()
    if kind == "tags":
        assert [len(row) for row in result.predictions] == [len(text.split()) for text in words]
    if kind == "regression":
        assert isinstance(result.task, Regression)
        truth = [len(text) / 3 for text in words]
        mae = sk.mean_absolute_error(truth, result.predictions)
        assert result.report.metrics["mae"] == pytest.approx(mae, rel=1e-4)


def test_wrong_labels_are_found(trained: Trained, frame: pd.DataFrame) -> None:
    pytest.importorskip("cleanlab")
    result = run(frame)
    sure = 6 * np.eye(3)[result.known_targets()]
    sure[5] = sure[5][[1, 2, 0]]
    doubtful = CrossValidation(
        result.task, sure, result.targets, result.data, result.fold_of, result.fold_metrics
    )
    found = doubtful.label_errors()
    row = int(result.data.rows[5])
    assert found["row"].tolist() == [row]
    assert found.text[0] == frame.text[row]
    assert found.label[0] == frame.label[row] != found.suggested[0]
    assert found.score[0] == pytest.approx(1 / (np.exp(6) + 2))


def test_class_weights_reach_the_fits(
    tiny_checkpoint: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def noted(self: Learner, *args: Any, class_weight: Any, **options: Any) -> None:
        given.append(class_weight)

    monkeypatch.setattr(Learner, "fit_onecycle", noted)
    columns = {"text_column": "text", "label_columns": "label"}
    options = {**OPTIONS, "folds": 2, "class_weight": "balanced"}
    cross_validate(tiny_checkpoint, frame, **columns, **options)
    assert given == ["balanced"] * 2


# ------------------------------------------------------------------------------ what is refused


def test_all_that_is_wrong_is_named_at_once(frame: pd.DataFrame) -> None:
    with pytest.raises(ArgumentError) as error:
        run(frame, lr=0, epochs=0, folds=1, groups="writer", maxlan=3, val_pct=0.1,
            cache_folder="tokens")  # fmt: skip
    for part in ("lr=0", "epochs=0", "folds=1", "'writer' is no column", "author",
                 "unknown argument 'maxlan'. Did you mean 'maxlen'?", "'val_pct'",
                 "'cache_folder'"):  # fmt: skip
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"folds": 31}, DataError, "31 folds take at least 31 rows; there are 29"),
        ({"groups": np.arange(30) % 2}, DataError, "3 folds take at least 3 groups; there are 2"),
        (
            {"groups": [1, 2]},
            ArgumentError,
            "groups has shape .2.; expected a value for each of 30",
        ),
        ({"task": "sentence-similarity"}, ArgumentError, "compared with each other"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(
    trained: Trained,
    frame: pd.DataFrame,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        run(frame, **options)


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_images(tiny_vit: Path, class_folders: Path, tmp_path: Path, kind: str) -> None:
    data: Any = class_folders / "train"
    files = sorted(data.rglob("*.*"))
    columns = {}
    if kind == "csv":
        frame = pd.DataFrame({"file": map(str, files), "label": [f.parent.name for f in files]})
        frame.to_csv(tmp_path / "pictures.csv", index=False)
        data = tmp_path / "pictures.csv"
        columns = {"text_column": "file", "label_columns": "label"}
    result = cross_validate(
        tiny_vit, data, lr=3e-3, epochs=4, folds=2, batch_size=8, verbose=0, **columns
    )
    assert result.metrics["accuracy"] == 1.0
    assert repr(result).startswith("CrossValidation: 24 images, ")
    assert "all images together" in result.summary()
    assert result.frame["image"].tolist() == [str(file) for file in files]
    assert ktlite.compare_predictors(result, result).a == 1.0


def test_wrong_labels_of_images_are_found(
    tiny_vit: Path, class_folders: Path, tmp_path: Path
) -> None:
    pytest.importorskip("cleanlab")
    files = sorted((class_folders / "train").rglob("*.*"))
    labels = [file.parent.name for file in files]
    labels[3] = "red"  # it is blue
    result = cross_validate(
        tiny_vit, (list(map(str, files)), labels), lr=3e-3, epochs=6, folds=2, batch_size=8,
        verbose=0,
    )  # fmt: skip
    found = result.label_errors()
    assert (found.image[0], found.label[0], found.suggested[0]) == (str(files[3]), "red", "blue")


def test_equal_images_of_two_names_are_told(
    tiny_vit: Path, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    Trained(monkeypatch, Images)
    files = sorted((class_folders / "train" / "red").iterdir())
    others = sorted((class_folders / "train" / "blue").iterdir())
    copied = tmp_path / "again.jpg"
    copied.write_bytes(files[0].read_bytes())
    pictures = [*map(str, files), str(copied), *map(str, others)]
    labels = ["red"] * (len(files) + 1) + ["blue"] * len(others)
    for seed in range(8):  # until they fall into two folds
        cross_validate(
            tiny_vit, (pictures, labels), lr=1e-3, epochs=1, folds=5, seed=seed, verbose=0
        )
    assert "2 of 17 images are in other folds, too, exactly the same" in caplog.text
