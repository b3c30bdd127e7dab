"""Whether a figure is better when lower or higher: as the field has it, as Keras says, or asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.training.checkpoints import find_checkpoint
from ktlite.training.directions import direction

HIGHER = [
    *("accuracy", "acc", "val_accuracy", "val_f1_macro", "val_macro_f1", "precision_micro"),
    *("recall_weighted", "mcc", "bleu", "val_sacrebleu", "rougeL", "rouge-1", "exact_match"),
    *("ndcg@10", "recall@5", "mrr", "roc_auc", "roc_auc_ovr_weighted", "auc_2", "r2", "spearman"),
    *("cosine_similarity", "true_positives", "cohen_kappa", "iou", "neg_mean_squared_error"),
    *("masked_lm_accuracy", "precision_at_recall", "balanced_accuracy"),
]
LOWER = [
    *("loss", "val_loss", "my_head_loss", "mae", "rmse", "val_mean_absolute_error", "wer", "cer"),
    *("ter", "perplexity", "hamming_loss", "zero_one_loss", "false_positives", "false_negatives"),
    *("log_cosh", "kl_divergence", "error_rate", "brier_score", "ece", "binary_crossentropy"),
    *("max_error", "huber_1", "hinge"),
]
UNKNOWN = ["val_my_score", "bleurt_gap", "one_minus_auc", "accuracy_gap", "neg_accuracy", "length"]


@pytest.mark.parametrize("name", [*HIGHER, *LOWER, *UNKNOWN])
def test_names_that_the_field_knows(name: str) -> None:
    expected = "max" if name in HIGHER else "min" if name in LOWER else None
    assert direction(name) == expected


def test_keras_own_metrics_say_it_themselves() -> None:
    """Each metric of Keras' that says a direction is known by name too, and the same."""
    arguments: dict[str, Any] = {
        "IoU": (2, [0]), "BinaryIoU": (), "MeanIoU": (2,), "OneHotIoU": (2, [0]),
        "OneHotMeanIoU": (2,), "PrecisionAtRecall": (0.5,), "RecallAtPrecision": (0.5,),
        "SensitivityAtSpecificity": (0.5,), "SpecificityAtSensitivity": (0.5,),
    }  # fmt: skip
    seen = 0
    for name in dir(keras.metrics):
        kind = getattr(keras.metrics, name)
        if not (isinstance(kind, type) and issubclass(kind, keras.metrics.Metric)):
            continue
        try:
            metric = kind(*arguments.get(name, ()))
        except TypeError:  # those that wrap a function
            continue
        said = getattr(metric, "_direction", None)
        if said is not None:
            seen += 1
            assert direction(metric.name) == {"up": "max", "down": "min"}[said], name
    assert seen > 25


def test_what_a_metric_says_goes_before_its_name() -> None:
    given = keras.Input((2,))
    model = keras.Model(given, keras.layers.Dense(1, name="out")(given))
    metrics = [keras.metrics.MeanAbsoluteError(name="my_score"), keras.metrics.AUC(name="loss_of")]
    model.compile("sgd", "mse", metrics=metrics)
    assert direction("val_my_score", model) == "min"
    assert direction("val_loss_of", model) == "max"
    assert direction("val_other", model) is None
    assert direction("out_f1", model) == "max"


def my_score(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(y_pred, axis=-1)


def bleu(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(y_pred, axis=-1)


def test_monitors_of_an_unknown_direction_are_asked_for(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    data = (["a b", "x y"] * 8, ["ham", "spam"] * 8)
    learner = ktlite.get_learner(
        tiny_checkpoint, data, metrics=[my_score, bleu], maxlen=8, batch_size=8, verbose=0
    )
    folder = {"checkpoint_folder": tmp_path / "run", "verbose": 0}
    with pytest.raises(ArgumentError, match=r"val_my_score.*pass mode='min' or mode='max'"):
        learner.fit_onecycle(1e-4, 1, monitor="val_my_score", **folder)
    for arguments in ({"early_stopping": 1}, {"reduce_on_plateau": 1}, folder):
        with pytest.raises(ArgumentError, match="val_my_score.*pass mode="):
            learner.autofit(1e-4, 1, monitor="val_my_score", **{"verbose": 0, **arguments})
    with pytest.raises(ArgumentError, match=r"mode='up' is not known; expected"):
        learner.autofit(1e-4, 1, monitor="val_bleu", mode="up", early_stopping=1)
    with pytest.raises(ArgumentError, match="mode='max' goes with monitor"):
        learner.fit(1e-4, 1, mode="max", **folder)
    with pytest.raises(ArgumentError, match="val_my_score.*pass mode="):
        ktlite.tune(
            tiny_checkpoint, data, monitor="val_my_score", trials=1, metrics=[my_score], maxlen=8
        )
    for monitor, mode, sign in (
        ("val_bleu", None, -1),
        ("val_my_score", "max", -1),
        ("val_my_score", "min", 1),
    ):
        place = tmp_path / f"{monitor}-{mode}"
        learner.autofit(
            1e-6, 2, monitor=monitor, mode=mode, checkpoint_folder=place, verbose=0,
            early_stopping=5, reduce_on_plateau=5,
        )  # fmt: skip
        scores = [sign * value for value in learner.history.history[monitor]]
        assert find_checkpoint(place, "best").state["score"] == pytest.approx(min(scores))
