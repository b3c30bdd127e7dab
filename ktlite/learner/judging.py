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
from ktlite.evaluation import Outputs, run_model, show_top_losses
from ktlite.learner.state import State, all_targets
from ktlite.predictor import Predictor
from ktlite.training import plots
from ktlite.training.feed import ArrayData


class Judging(State):
    """Validation, the worst examples, predictions, the predictor, and plots of the training."""

    @checked
    def validate(
        self,
        val_data: Any = None,
        print_report: bool = True,
        save_path: str | os.PathLike[str] | None = None,
        class_names: Sequence[str] = (),
        *,
        verbose: int = 0,
    ) -> Any:
        """Compares predictions with the truth.

        Args:
            val_data: What to validate on. Default: the learner's validation data.
            print_report: Show the report.
            save_path: Also write the report to this text file.
            class_names: Names to show in place of the classes.
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
        outputs = self._outputs("validate", val_data, verbose)
        task = outputs.task
        if len(class_names):
            task = task.renamed(class_names)
        report = task.report(outputs.logits, outputs.known_targets())
        if print_report:
            logger.info("validation\n%s", report.text)
        if save_path is not None:
            Path(save_path).write_text(report.text + "\n", encoding="utf-8")
        return report.result

    evaluate = validate

    def metrics(self, val_data: Any = None) -> dict[str, float]:
        """Returns the task's figures on the validation data, such as `{"accuracy": 0.91, ...}`."""
        outputs = self._outputs("metrics", val_data)
        return outputs.task.report(outputs.logits, outputs.known_targets()).metrics

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
        return outputs.task.report(outputs.logits, targets).metrics

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

    def view_top_losses(self, n: int = 4, preproc: Any = None, val_data: Any = None) -> None:
        """Shows what `top_losses` returns, with the texts."""
        show_top_losses(*self._top_losses("view_top_losses", n, val_data))

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
            self._predictor = self._predictor or self.get_predictor()
            return self._predictor.predict(val_data)
        if isinstance(val_data, (np.ndarray, dict)):
            val_data = ArrayData(val_data)
        outputs = self._outputs("predict", val_data)
        if not outputs.task.predicts_classes:
            return np.array(outputs.task.decode(outputs.logits))
        return outputs.task.probabilities(outputs.logits)

    def get_predictor(self, preproc: Any = None, batch_size: int | None = None) -> Predictor:
        """Returns a predictor with the model as it is now.

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
        return Predictor(self.model, chosen, batch_size or self.eval_batch_size)

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
