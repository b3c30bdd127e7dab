"""Run cards, model cards and the comparison of two runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import ktlite
from ktlite.cards import RunCard, described, fingerprint
from ktlite.errors import ArgumentError


@pytest.fixture(scope="module")
def trained(still_checkpoint: Path, texts: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A learner with one training, its checkpoints' folder and its saved predictor's."""
    folder = tmp_path_factory.mktemp("trained")
    learner = ktlite.get_learner(
        still_checkpoint, texts, maxlen=24, batch_size=8, val_pct=0.3, verbose=0, check=False
    )
    learner.fit_onecycle(1e-4, 1, checkpoint_folder=folder / "run", verbose=0)
    learner.metrics()
    learner.get_predictor().save(folder / "predictor")
    return learner, folder


def test_card_says_what_was_done(trained: Any, texts: Any) -> None:
    learner, folder = trained
    card = RunCard.read(folder / "predictor")
    assert card.arguments["maxlen"] == 24
    assert card.arguments["seed"] == 42
    assert card.data["train_data"]["rows"] + card.data["val_data"]["rows"] == len(texts[0])
    assert card.metrics["accuracy"] == pytest.approx(learner.metrics()["accuracy"])
    (fit,) = card.fits
    assert fit["schedule"].startswith("OneCycle(max_lr=0.0001")
    assert fit["history"]["loss"] == pytest.approx(learner.history.history["loss"])
    assert "lr" not in fit["history"]
    assert fit["seconds"] > 0
    assert card.environment["keras"]
    assert card.model["parameters"] == learner.model.count_params()


def test_checkpoints_and_loaded_predictors_have_the_card(trained: Any) -> None:
    _, folder = trained
    saved = RunCard.read(folder / "predictor")
    assert RunCard.read(folder / "run").fits == saved.fits
    assert ktlite.load_predictor(folder / "predictor").card == saved


def test_a_saved_model_has_the_card(trained: Any, tmp_path: Path) -> None:
    learner, _ = trained
    for _ in range(2):  # the second replaces the first
        learner.save_model(tmp_path / "model")
    assert RunCard.read(tmp_path / "model").fits == learner.card.fits


def test_card_has_neither_texts_nor_paths(trained: Any, texts: Any) -> None:
    _, folder = trained
    content = (folder / "predictor" / "run.json").read_text()
    assert str(folder.parent) not in content
    assert not any(text in content for text in texts[0] if len(text) > 3)


def test_figures_of_earlier_weights_are_dropped(small_learner: Callable[..., Any]) -> None:
    learner = small_learner()
    learner.metrics()
    assert learner.card.metrics
    learner.fit(1e-3, 1, verbose=0)
    assert not learner.card.metrics
    learner.metrics(val_data=learner.train_data)  # of other data
    assert not learner.card.metrics
    assert len(learner.card.fits) == 1
    learner.reset_weights()
    assert not learner.card.fits


def test_a_fit_that_never_began_is_not_recorded(small_learner: Callable[..., Any]) -> None:
    learner = small_learner()
    with pytest.raises(ArgumentError):
        learner.fit(1e-3, 1, class_weight={"nobody": 1.0}, verbose=0)
    assert not learner.card.fits


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("train_data", (["secret text"], ["a"]), "tuple"),
        ("train_data", pd.DataFrame({"text": ["secret"]}), "DataFrame"),
        ("sample_weight", [1.0, 2.0], "list"),
        ("model", "org/some-model", "org/some-model"),
        ("class_names", ("no", "yes"), ["no", "yes"]),
        ("batch_size", np.int64(8), 8),
        ("metrics", [len], "list"),
        ("loss", len, "len"),
    ],
)
def test_arguments_on_a_card(name: str, value: Any, expected: Any) -> None:
    assert described({name: value, "verbose": 1}) == {name: expected}


def test_of_a_path_only_the_name_is_kept(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("")
    assert described({"train_data": str(tmp_path / "reviews.csv")}) == {"train_data": "reviews.csv"}


def test_fingerprint_is_of_content_alone(texts: Any, still_checkpoint: Path) -> None:
    def of(words: list[str], labels: list[str], maxlen: int) -> dict[str, Any]:
        preproc = ktlite.text.Transformer(still_checkpoint, maxlen)
        return fingerprint(preproc.preprocess_train(words, labels, verbose=0))

    same = of(texts[0], texts[1], 24)
    assert of(texts[0], texts[1], 16) == same
    assert of([*texts[0][:-1], "other"], texts[1], 24) != same
    assert of(texts[0], texts[1][::-1], 24) != same


def test_model_card_is_what_the_hub_reads(trained: Any) -> None:
    learner, folder = trained
    text = (folder / "predictor" / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    facts = yaml.safe_load(head)
    assert facts["pipeline_tag"] == "text-classification"
    metrics = facts["model-index"][0]["results"][0]["metrics"]
    accuracy = {m["type"]: m["value"] for m in metrics}["accuracy"]
    assert accuracy == pytest.approx(learner.metrics()["accuracy"], abs=1e-4)
    assert "`ham`, `spam`, `toast`" in body
    assert "| accuracy |" in body


def test_a_training_that_nobody_validated_has_the_figures_of_its_last_epoch(
    small_learner: Callable[..., Any], still_checkpoint: Path, texts: Any, tmp_path: Path
) -> None:
    learner = ktlite.get_learner(
        still_checkpoint, texts, maxlen=24, batch_size=8, val_pct=0.3, verbose=0, check=False
    )
    learner.fit_onecycle(1e-3, 2, verbose=0)
    last = {name: values[-1] for name, values in learner.history.history.items()}
    card = learner.card
    assert card.after_epoch["epoch"] == 2
    assert card.after_epoch["val_accuracy"] == last["val_accuracy"]
    learner.get_predictor().save(tmp_path / "predictor")
    text = (tmp_path / "predictor" / "README.md").read_text()
    assert f"| val_accuracy | {last['val_accuracy']:.4g} |" in text
    assert "On 12 examples of validation data, after epoch 2:" in text
    accuracy = yaml.safe_load(text.split("---\n", 2)[1])["model-index"][0]["results"][0]["metrics"]
    assert {m["type"]: m["value"] for m in accuracy}["accuracy"] == pytest.approx(
        last["val_accuracy"], abs=1e-4
    )
    learner.save_model(tmp_path / "model")
    learner.load_model(tmp_path / "model")  # which may be other weights
    assert learner.card.after_epoch == {}
    without = small_learner(val=False)
    without.fit(1e-3, 1, verbose=0)
    assert without.card.after_epoch == {}
    assert "not measured" in str(without)


def test_figures_are_of_the_epoch_that_early_stopping_went_back_to(
    small_learner: Callable[..., Any],
) -> None:
    learner = small_learner()
    learner.autofit(0.5, 6, early_stopping=2, verbose=0)
    losses = learner.history.history["val_loss"]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    assert learner.card.after_epoch["epoch"] == best + 1
    assert learner.card.after_epoch["val_loss"] == losses[best]
    assert learner.metrics()["loss"] == pytest.approx(losses[best], rel=1e-4)


def test_card_says_how_to_have_calibrated_probabilities_in_pytorch(
    trained: Any, tmp_path: Path
) -> None:
    learner, _ = trained
    learner.metrics()
    learner.calibrate()
    temperature = learner.task.calibration.temperature
    learner.get_predictor().save(tmp_path / "predictor")
    text = (tmp_path / "predictor" / "README.md").read_text()
    assert f"temperature {temperature:.4g}" in text
    assert f"logits / {temperature!r}" in text
    size = len(learner.val_data.texts)
    assert f"learned from {size} examples of validation data" in text
    config = json.loads((tmp_path / "predictor" / "config.json").read_text())
    assert config["calibration_temperature"] == temperature
    assert RunCard.read(tmp_path / "predictor").calibration["temperature"] == temperature
    # The loss on the card is that of these probabilities, too.
    loss = learner.calibration_error()["loss"]
    assert learner.card.metrics["loss"] == pytest.approx(loss)
    again = ktlite.get_learner(
        tmp_path / "predictor",
        (["a b", "m n", "x y"] * 4, ["ham", "spam", "toast"] * 4),
        maxlen=24, verbose=0, check=False,
    )  # fmt: skip
    again.save_model(tmp_path / "model")  # whose own probabilities are not calibrated
    assert "calibration_temperature" not in (tmp_path / "model" / "config.json").read_text()
    learner.task.forget_calibration()


@pytest.mark.torch
@pytest.mark.parametrize("several", [False, True])
def test_code_on_the_card_gives_our_probabilities_in_pytorch(
    several: bool, still_checkpoint: Path, texts: Any, tmp_path: Path
) -> None:
    labels: Any = texts[1]
    if several:
        labels = np.array([["a" in text, "m" in text] for text in texts[0]], int)
    learner = ktlite.get_learner(
        still_checkpoint, (texts[0], labels), maxlen=24, batch_size=8, val_pct=0.3, verbose=0,
        check=False, class_names=["a", "m"] if several else (),
    )  # fmt: skip
    learner.fit(1e-2, 3, verbose=0)
    learner.calibrate()
    predictor = learner.get_predictor()
    predictor.save(tmp_path / "predictor")
    card = (tmp_path / "predictor" / "README.md").read_text()
    blocks = [block.partition("```")[0] for block in card.split("```python\n")[1:]]
    code = "\n".join(blocks[1:]).replace("this-folder", str(tmp_path / "predictor"))
    names: dict[str, Any] = {}
    exec(code, names)
    found = names["probabilities"].detach().numpy()[0]
    np.testing.assert_allclose(found, predictor.predict_proba("A text."), atol=1e-4)
    assert abs(found - names["model"].model.config.calibration_temperature).max() > 0


def test_model_card_of_words_names_no_checkpoint(texts: Any, tmp_path: Path) -> None:
    train, _, preproc = ktlite.text.texts_from_array(
        *texts, preprocess_mode="standard", maxlen=24, verbose=0
    )
    model = ktlite.text.text_classifier("fasttext", train, verbose=0)
    learner = ktlite.get_learner(model, train, check=False)
    learner.get_predictor().save(tmp_path / "words")
    text = (tmp_path / "words" / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n", 2)[1])["library_name"] == "keras"
    assert "base_model" not in text
    assert "PyTorch" not in text
    assert "# FastText, trained for classification" in text
    assert RunCard.read(tmp_path / "words").model["hub_name"] is None


def test_card_lists_only_what_the_learner_was_given(texts: Any, still_checkpoint: Path) -> None:
    transformer = ktlite.text.Transformer(still_checkpoint, 24)
    train = transformer.preprocess_train(*texts, verbose=0)
    learner = ktlite.get_learner(transformer.get_classifier(), train, batch_size=4, check=False)
    arguments = learner.card.arguments
    assert (arguments["maxlen"], arguments["batch_size"]) == (24, 4)
    assert not {"val_pct", "missing", "xla", "accumulate", "precision"} & set(arguments)


def test_model_card_may_be_edited(trained: Any) -> None:
    _, folder = trained
    (folder / "predictor" / "README.md").write_text("mine")
    ktlite.load_predictor(folder / "predictor")


def test_predictor_of_unknown_origin_has_no_card(trained: Any, tmp_path: Path) -> None:
    learner, _ = trained
    predictor = ktlite.get_predictor(learner.model, learner.preproc)
    predictor.save(tmp_path / "plain")
    assert not (tmp_path / "plain" / "README.md").exists()
    assert ktlite.load_predictor(tmp_path / "plain").card is None


def test_comparison_shows_what_differs(small_learner: Callable[..., Any]) -> None:
    runs = []
    for lr in (1e-3, 1e-2):
        learner = small_learner()
        learner.fit(lr, 1, verbose=0)
        learner.metrics()
        runs.append(learner)
    found = ktlite.compare(*runs)
    assert list(found.differences.index) == ["fit 1 schedule"]
    assert found.differences.loc["fit 1 schedule"].tolist() == [
        "Constant(lr=0.001)",
        "Constant(lr=0.01)",
    ]
    losses = [run.card.metrics["loss"] for run in runs]
    assert found.metrics.loc["loss", "difference"] == pytest.approx(losses[1] - losses[0])
    assert "Constant(lr=0.01)" in repr(found)
    assert "<table" in found._repr_html_()


def test_comparison_sets_only_like_beside_like(
    small_learner: Callable[..., Any], arrays: Any
) -> None:
    validated, plain = small_learner(), small_learner(val=False)
    for learner in (validated, plain):
        learner.fit(1e-3, 2, verbose=0)
    validated.metrics()
    found = ktlite.compare(validated, plain).metrics
    # One was measured on validation data, the other never: nothing to set beside it.
    assert np.isnan(found.loc["accuracy", "run 2"])
    assert np.isnan(found.loc["accuracy", "difference"])
    assert found.loc["accuracy", "on"] == "10 examples of validation data"
    assert found.loc["accuracy in training", "difference"] == 0
    assert found.loc["accuracy in training", "on"].startswith("training data")
    again = small_learner()
    again.fit(1e-3, 2, verbose=0)
    found = ktlite.compare(validated, again).metrics
    assert np.isnan(found.loc["accuracy", "difference"])
    assert found.loc["val_accuracy", "difference"] == 0  # both were measured after their epochs
    other = ktlite.get_learner(
        again.model, (arrays.x, arrays.y), (arrays.x_val[:5], arrays.y_val[:5]), batch_size=8
    )
    other.metrics()
    rows = ktlite.compare(validated, other).metrics.loc["accuracy"]
    assert rows["on"].tolist() == [f"{n} examples of validation data" for n in (10, 5)]
    assert rows["difference"].isna().all()


def test_comparison_says_that_one_is_calibrated() -> None:
    content: dict[str, Any] = {"model": {}, "arguments": {}, "data": {}, "fits": []}
    plain = RunCard(**content, metrics={"loss": 0.5}, environment={})
    learned = {"temperature": 0.5, "examples": 40, "data": "40 examples of validation data"}
    other = RunCard(**content, metrics={}, environment={}, calibration=learned)
    found = ktlite.compare(plain, other)
    assert found.differences.loc["calibration"].tolist() == [
        None,
        "temperature 0.5, learned from 40 examples of validation data",
    ]
    assert "NaN" not in repr(found)
    assert "NaN" not in found._repr_html_()


def test_comparison_of_a_run_with_itself(trained: Any) -> None:
    _, folder = trained
    found = ktlite.compare(folder / "predictor", folder / "run")
    assert found.differences.empty
    assert list(found.metrics)[:2] == ["predictor", "run"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model": {}}'])
def test_comparison_says_what_is_missing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ArgumentError, match=r"no run\.json|is damaged"):
        ktlite.compare(tmp_path, tmp_path)
    with pytest.raises(ArgumentError, match="no run card"):
        ktlite.compare(1, 2)


def test_card_is_json_whatever_is_measured(tmp_path: Path) -> None:
    card = RunCard(metrics={"auc": float("nan"), "n": np.int64(3), "x": np.float32(0.5)})
    card.write(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["metrics"] == {
        "auc": None,
        "n": 3,
        "x": 0.5,
    }
