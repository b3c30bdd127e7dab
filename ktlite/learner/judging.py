"""The methods of a `Learner` that look at what the model has learned."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite._logging import logger
from ktlite.errors import ArgumentError, Problems
from ktlite.evaluation import (
    Outputs,
    calibrate,
    calibration_error,
    confidence_intervals,
    interval_table,
    label_errors,
    level_of,
    run_model,
    shared,
    show_top_losses,
    warn_if_constant,
)
from ktlite.learner.carded import Carded
from ktlite.learner.state import all_targets
from ktlite.predictor import Predictor
from ktlite.training import plots
from ktlite.training.feed import ArrayData
from ktlite.training.reliability_plot import plot_reliability


class Judging(Carded):
    """Validation, the worst examples, predictions, the predictor, and plots of the training."""

    @checked
    def validate(
        self,
        val_data: Any = None,
        print_report: bool = True,
        save_path: str | os.PathLike[str] | None = None,
        class_names: Sequence[str] = (),
        *,
        ci: bool | float = False,
        verbose: int = 0,
    ) -> Any:
        """Compares predictions with the truth.

        Args:
            val_data: What to validate on. Default: the learner's validation data.
            print_report: Show the report.
            save_path: Also write the report to this text file.
            class_names: Names to show in place of the classes.
            ci: Also show confidence intervals of all figures: True for 95 %, or a level such as
                0.99. `metrics(ci=True)` returns them.
            verbose: 1 shows a progress bar.

        Returns:
            For classification the confusion matrix, int [true, predicted]; for
            several labels a text one 2x2 matrix a label; for regression
            [(metric, value), ...]; for entities their F1.

        Raises:
            ArgumentError: If there is nothing to validate on.

        Example:
            >>> learner.validate()
            array([[790, 210],
                   [180, 820]])
        """
        level = level_of("validate", ci)
        outputs = self._outputs("validate", val_data, verbose)
        task = outputs.task
        if len(class_names):
            task = task.renamed(class_names)
        report = task.report(outputs.logits, outputs.known_targets())
        self._keep_figures(val_data, report.metrics)
        text = report.text
        if level is not None:
            intervals = confidence_intervals(outputs, level)
            text += "\n\n" + interval_table(report.metrics, intervals, level)
        if print_report:
            logger.info("validation\n%s", text)
        if save_path is not None:
            Path(save_path).write_text(text + "\n", encoding="utf-8")
        warn_if_constant(outputs)
        return report.result

    evaluate = validate

    def metrics(self, val_data: Any = None, *, ci: bool | float = False) -> dict[str, float]:
        """Returns the task's figures on the validation data, such as `{"accuracy": 0.91, ...}`.

        Args:
            val_data: What to validate on. Default: the learner's validation data.
            ci: Add the ends of their confidence intervals, `"accuracy_low"` and
                `"accuracy_high"`: True for 95 %, or a level such as 0.99.
        """
        level = level_of("metrics", ci)
        outputs = self._outputs("metrics", val_data)
        figures = outputs.task.report(outputs.logits, outputs.known_targets()).metrics
        self._keep_figures(val_data, figures)
        if level is None:
            return figures
        ends = confidence_intervals(outputs, level)
        named = {f"{name}_{end}": value for name, pair in ends.items()
                 for end, value in zip(("low", "high"), pair, strict=True)}  # fmt: skip
        return {**figures, **named}

    def tune_thresholds(self, val_data: Any = None) -> dict[str, float]:
        """Sets what predictions are decided by to what is best on the validation data.

        Of several labels a text, the probability from which on each counts as there: that of
        its highest F1. The learner's predictor takes it over. Figures on the same data are a
        little too good afterwards; validate on other data to report them.

        Args:
            val_data: What to tune on. Default: the learner's validation data.

        Returns:
            The figures of `metrics` on this data, with the new thresholds.

        Raises:
            ArgumentError: If the task decides by no threshold, or there is nothing to tune on.
        """
        if self.task is None:
            raise ArgumentError(
                "tune_thresholds: the learner was given no task to keep them; pass task= to "
                "get_learner, such as task=ktlite.tasks.MultiLabel(classes)."
            )
        outputs = self._outputs("tune_thresholds", val_data)
        targets = outputs.known_targets()
        outputs.task.tune_thresholds(outputs.logits, targets)
        self._figures = {}
        figures = outputs.task.report(outputs.logits, targets).metrics
        self._keep_figures(val_data, figures)
        return figures

    def calibrate(self, val_data: Any = None) -> dict[str, float]:
        """Makes probabilities say how often predictions are right, and sets possible.

        Logits are divided by the temperature that gives the validation data the highest
        likelihood (Guo et al., 2017, arXiv:1706.04599). Predictions stay the same; the
        probabilities of the learner and of its predictor change. The predictor then also gives
        sets: `predict(texts, coverage=0.9)`. Training takes the calibration back.

        The data has to be of the kind that will be predicted, and the model must not have learned
        from it: on its training data it is surer than elsewhere. Data that early stopping looked
        at does nearly as well as fresh one.

        Args:
            val_data: What to calibrate on, better a thousand texts than a hundred. Default: the
                learner's validation data.

        Returns:
            The number of examples and, where there are probabilities, the temperature and the
            figures of `calibration_error` afterwards; on other data they are a little worse.

        Raises:
            ArgumentError: If the data is the training data, or the task has no certainty to
                calibrate.

        Example:
            >>> learner.calibrate()
            {'examples': 1061, 'temperature': 1.31, 'ece': 0.021, 'loss': 0.384}
        """
        if self.task is None:
            raise ArgumentError(
                "calibrate: the learner was given no task to keep it; pass task= to get_learner, "
                "such as task=ktlite.tasks.Classification(classes)."
            )
        data = self._val_feed("calibrate", val_data).data
        same = val_data is not None and val_data is self.train_data
        if same or shared(data, getattr(self._train, "data", None)) > 0.5:
            raise ArgumentError(
                "calibrate: this is the training data, on which the model is surer than on any "
                "other. Calibrate on texts that it has not learned from."
            )
        outputs = self._outputs("calibrate", val_data)
        return calibrate(self.task, outputs)

    def calibration_error(self, val_data: Any = None) -> dict[str, float]:
        """Returns how honest probabilities are.

        Args:
            val_data: What to look at. Default: the learner's validation data.

        Returns:
            `ece`, the expected calibration error: the mean distance between how sure predictions
            are and how often they are right, in 15 bins; and `loss`, the mean negative
            log-likelihood. Both with the temperature of `calibrate`, if there is one.

        Raises:
            ArgumentError: If the task gives no probabilities of being right.
        """
        return calibration_error(self._outputs("calibration_error", val_data))

    def plot_calibration(self, val_data: Any = None, return_fig: bool = False) -> Any:
        """Shows how often predictions are right, by how sure they are: a reliability diagram.

        Args:
            val_data: What to look at. Default: the learner's validation data.
            return_fig: Return the matplotlib `Figure` in place of showing it.

        Raises:
            ArgumentError: If the task gives no probabilities of being right.
        """
        outputs = self._outputs("plot_calibration", val_data)
        reliability = outputs.task.reliability(outputs.logits, outputs.known_targets())
        figure = plot_reliability(reliability)
        return figure if return_fig else plots.show(figure)

    def label_errors(self, val_data: Any = None) -> Any:
        """Returns the validation examples whose labels are probably wrong.

        Args:
            val_data: What to look at. Default: the learner's validation data. Not the training
                data: the model has learned its errors. `cross_validate` covers all data.

        Returns:
            A DataFrame as `CrossValidation.label_errors` has it.

        Raises:
            ArgumentError: If cleanlab is not installed, or the labels are not one class a text.
        """
        return label_errors(self._outputs("label_errors", val_data))

    def top_losses(
        self, n: int = 4, val_data: Any = None, preproc: Any = None
    ) -> list[tuple[int, float, Any, Any]]:
        """Returns the validation examples that the model gets most wrong.

        Args:
            n: How many.
            val_data: What to look at. Default: the learner's validation data.
            preproc: Accepted for ktrain's sake; the data knows its preprocessor.

        Returns:
            [(index, loss, true, predicted), ...], the highest loss first. The index counts
            the texts, or rows of arrays, in the order of the data.

        Raises:
            ArgumentError: If there is nothing to look at.
        """
        return self._top_losses("top_losses", n, val_data)[0]

    def view_top_losses(
        self, n: int = 4, preproc: Any = None, val_data: Any = None, *, explain: bool = False
    ) -> Any:
        """Shows what `top_losses` returns, with the texts.

        Args:
            n: How many.
            preproc: Accepted for ktrain's sake; the data knows its preprocessor.
            val_data: What to look at. Default: the learner's validation data.
            explain: Also show which words moved the predictions.

        Returns:
            With `explain` the `Explanation`s, which a notebook shows in colours; else None.
        """
        losses, outputs = self._top_losses("view_top_losses", n, val_data)
        explanations = None
        if explain:
            texts, known = getattr(outputs.data, "texts", None), preproc or self.preproc
            if texts is None or known is None:
                raise ArgumentError("view_top_losses: explain=True needs texts, not arrays.")
            predictor = self.get_predictor(known)
            explanations = predictor.explain([texts[number] for number, *_ in losses])
        show_top_losses(losses, outputs, explanations)
        return explanations

    def predict(self, val_data: Any = None) -> Any:
        """Predicts the validation data, or raw inputs.

        Args:
            val_data: Texts, as `Predictor.predict` takes them; an array or a dict of arrays,
                as a Keras model takes them; or data, as `validate` takes it. Default: the
                learner's validation data.

        Returns:
            For texts, what `Predictor.predict` returns. For data, the probabilities of classes,
            [rows, classes] ([words, classes] for each text where words have labels); where there
            are none, the predictions themselves: numbers, or answers, [rows].
        """
        if _is_texts(val_data):
            return self._own_predictor().predict(val_data)
        if isinstance(val_data, (np.ndarray, dict)):
            val_data = ArrayData(val_data)
        outputs = self._outputs("predict", val_data)
        if not outputs.task.predicts_classes:
            return np.array(outputs.task.decode(outputs.logits))
        return outputs.task.probabilities(outputs.logits)

    def _own_predictor(self) -> Predictor:
        """Returns a predictor that is kept, because it traces the model once; as calibrated now."""
        self._predictor = self._predictor or self.get_predictor()
        if self.preproc is not None:
            self._predictor.preproc = self.preproc
        return self._predictor

    def get_predictor(self, preproc: Any = None, batch_size: int | None = None) -> Predictor:
        """Returns a predictor with the model, as it is calibrated now.

        Args:
            preproc: The preprocessor. Default: the training data's.
            batch_size: Texts a batch. Default: `eval_batch_size`.

        Raises:
            ArgumentError: If there is no preprocessor.
        """
        chosen = preproc or self.preproc
        if chosen is None:
            raise ArgumentError(
                "get_predictor: the learner has no preprocessor; its training data is not text "
                "that ktlite has preprocessed. Pass preproc=."
            )
        if not hasattr(chosen, "encode"):
            raise ArgumentError(
                "get_predictor: this learner pretrains, and there are no labels to predict yet. "
                "Call save_model(folder), then fine-tune: ktlite.get_learner(folder, ...)."
            )
        predictor = Predictor(self.model, chosen, batch_size or self.eval_batch_size)
        predictor.card = self.card
        return predictor

    def ground_truth(self, val_data: Any = None) -> np.ndarray:
        """Returns the targets of the validation data, as the loss sees them.

        Raises:
            ArgumentError: If there is no validation data, or it has no labels.
        """
        return all_targets(self._val_feed("ground_truth", val_data))

    def plot(self, plot_type: str = "loss", return_fig: bool = False) -> Any:
        """Shows how the last training went.

        Args:
            plot_type: `"loss"`, `"lr"`, `"momentum"`, or any key of the history.
            return_fig: Return the matplotlib `Figure` in place of showing it.

        Raises:
            ArgumentError: If there was no training, or it has no such key.
        """
        if self.history is None:
            raise ArgumentError("plot: there was no training yet; call fit_onecycle(...) first.")
        figure = plots.plot_history(self.history.history, plot_type)
        return figure if return_fig else plots.show(figure)

    def _outputs(self, where: str, val_data: Any = None, verbose: int = 0) -> Outputs:
        feed = self._val_feed(where, val_data)
        size = self.eval_batch_size
        return run_model(self._forward, feed, self.task, batch_size=size, verbose=verbose)

    def _top_losses(self, where: str, n: int, val_data: Any) -> tuple[list[Any], Outputs]:
        problems = Problems(where)
        at_least_one(problems, n=n)
        problems.raise_if_any()
        outputs = self._outputs(where, val_data)
        return outputs.top_losses(n), outputs


def _is_texts(data: Any) -> bool:
    """Says whether `data` is raw: a string, or a list of strings, pairs or lists of words."""
    if isinstance(data, str):
        return True
    if getattr(data, "ndim", None) == 1:  # an array or a Series
        data = list(data)
    if not isinstance(data, (list, tuple)) or not data:
        return False
    first = data[0]
    return isinstance(first, str) or (
        isinstance(first, (tuple, list)) and all(isinstance(part, str) for part in first)
    )
