"""The methods of a `Learner` that look at what the model has learned."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite._logging import results
from ktlite.data.preprocessor import Preprocessor
from ktlite.encodings.indexed import items_of
from ktlite.errors import ArgumentError, Problems
from ktlite.evaluation import (
    Outputs,
    figures_of,
    level_of,
    report_of,
    show_top_losses,
    warn_if_constant,
    with_intervals,
)
from ktlite.learner.state import all_targets
from ktlite.learner.trusting import Trusting
from ktlite.predictor import Predictor
from ktlite.training import plots
from ktlite.training.feed import ArrayData


class Judging(Trusting):
    """Validation, the worst examples, predictions, the predictor, and plots of the training."""

    @checked
    def validate(
        self,
        val_data: Any = None,
        print_report: bool = True,
        save_path: str | os.PathLike[str] | None = None,
        class_names: Sequence[str] = (),
        *,
        text_column: Any = None,
        label_columns: Any = None,
        ci: bool | float = False,
        sep: str | None = None,
        encoding: str | None = None,
        names: Sequence[Any] | None = None,
        missing: str = "drop",
        na_values: Any = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> Any:
        """Compares predictions with the truth, as `Predictor.evaluate` does.

        Args:
            val_data: What to validate on: whatever `get_learner` takes as data for the task (a
                file, a folder, a DataFrame, a `datasets.Dataset`, (texts, labels), ...), or what
                `preprocess_test` returns. Default: the learner's validation data.
            print_report: Show the report.
            save_path: Also write the report to this text file.
            class_names: Names to show in place of the classes.
            text_column: Of a file or a table: name of the text column, or names. Default: as the
                training data was read.
            label_columns: Likewise, of the labels.
            ci: Also show confidence intervals of all figures: True for 95 %, or a level such as
                0.99. `metrics(ci=True)` returns them.
            sep: Column separator of CSV files. Default: as the training data was read.
            encoding: Of the files. Default: likewise.
            names: Column names of CSV files without a header row. Default: likewise.
            missing: `"drop"` leaves out rows without text or label; `"error"` refuses them.
            na_values: Cells that stand for a missing value, as for `get_learner`.
            batch_size: Rows a batch. Default: `eval_batch_size`.
            verbose: 1 shows a progress bar.

        Returns:
            For classification the confusion matrix, int [true, predicted]; for
            several labels a text one 2x2 matrix a label; for regression
            [(metric, value), ...]; for entities their F1.

        Raises:
            ArgumentError: If there is nothing to validate on.

        Example:
            >>> learner.validate("test.csv")
            array([[790, 210],
                   [180, 820]])
        """
        level = level_of("validate", ci)
        outputs = self._outputs(
            "validate", val_data, verbose, batch_size, text_column=text_column,
            label_columns=label_columns, sep=sep, encoding=encoding, names=names, missing=missing,
            na_values=na_values,
        )  # fmt: skip
        report = report_of(outputs, class_names, level, self._calibration_note(outputs))
        self._keep_figures(val_data, report.metrics, outputs.on)
        if print_report:
            results.info("%s", report.text)
        if save_path is not None:
            Path(save_path).write_text(report.text + "\n", encoding="utf-8")
        warn_if_constant(outputs)
        return report.result

    evaluate = validate

    @checked
    def metrics(
        self,
        val_data: Any = None,
        *,
        text_column: Any = None,
        label_columns: Any = None,
        ci: bool | float = False,
        sep: str | None = None,
        encoding: str | None = None,
        names: Sequence[Any] | None = None,
        missing: str = "drop",
        na_values: Any = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Returns the task's figures on the validation data, such as `{"accuracy": 0.91, ...}`.

        Args:
            val_data: What to validate on, as for `validate`, and so are the other arguments.
                Default: the learner's validation data.
            text_column: Name of the text column, or names.
            label_columns: Name of the label column, or names.
            ci: Add the ends of their confidence intervals, `"accuracy_low"` and
                `"accuracy_high"`: True for 95 %, or a level such as 0.99.
            sep: Column separator of CSV files.
            encoding: Of the files.
            names: Column names of CSV files without a header row.
            missing: `"drop"` or `"error"`.
            na_values: Cells that stand for a missing value.
            batch_size: Rows a batch.
            verbose: 1 shows a progress bar.
        """
        level = level_of("metrics", ci)
        outputs = self._outputs(
            "metrics", val_data, verbose, batch_size, text_column=text_column,
            label_columns=label_columns, sep=sep, encoding=encoding, names=names, missing=missing,
            na_values=na_values,
        )  # fmt: skip
        figures = figures_of(outputs)
        self._keep_figures(val_data, figures, outputs.on)
        return with_intervals(figures, outputs, level)

    @checked
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

    @checked
    def view_top_losses(
        self, n: int = 4, preproc: Any = None, val_data: Any = None, *, explain: bool = False
    ) -> Any:
        """Shows what `top_losses` returns, with the examples.

        Args:
            n: How many.
            preproc: Accepted for ktrain's sake; the data knows its preprocessor.
            val_data: What to look at. Default: the learner's validation data.
            explain: Also show which words, or patches of images, moved the predictions.

        Returns:
            With `explain` the `Explanation`s, which a notebook shows in colours; else None.
        """
        losses, outputs = self._top_losses("view_top_losses", n, val_data)
        explanations = None
        if explain:
            texts, known = items_of(outputs.data), preproc or self.preproc
            if texts is None or known is None:
                raise ArgumentError(
                    "view_top_losses: explain=True needs texts, images or the like, not arrays."
                )
            predictor = self.get_predictor(known)
            explanations = predictor.explain([texts[number] for number, *_ in losses])
        show_top_losses(losses, outputs, explanations)
        return explanations

    @checked
    def predict(self, val_data: Any = None) -> Any:
        """Predicts the validation data, or raw inputs.

        Args:
            val_data: Texts, images or the like, as `Predictor.predict` takes them; an array or a
                dict of arrays, as a Keras model takes them; or data, as `validate` takes it (of a
                model of texts, a file as a `Path`: a string is a text). Default: the learner's
                validation data.

        Returns:
            For texts and images, what `Predictor.predict` returns. For data, the probabilities of
            classes, [rows, classes] ([words, classes] for each text where words have labels,
            [rows, 1] of a Keras model with a single sigmoid); where there are none, the
            predictions themselves: numbers, or answers, [rows].
        """
        if self._is_raw(val_data) and not self._is_labelled(val_data):
            return self._own_predictor().predict(val_data)
        if isinstance(val_data, (np.ndarray, dict)):
            val_data = ArrayData(val_data)
        outputs = self._outputs("predict", val_data)
        if not outputs.task.predicts_classes:
            return np.array(outputs.task.decode(outputs.logits))
        probabilities = outputs.task.probabilities(outputs.logits)
        # As Keras gives it: of a single sigmoid, that of the second class.
        single = self.task is None and self._reading(self._val_feed("predict", val_data)).single
        return probabilities[:, 1:] if single else probabilities

    def _is_raw(self, data: Any) -> bool:
        """Says whether data is an example, or several, as a predictor takes them."""
        known = None if self.preproc is None else self.preproc.input
        if known is None or known.has_pairs:
            return _is_texts(data)
        if isinstance(data, (str, os.PathLike)):
            return known.is_file(Path(data))
        if known.is_one(data):
            return True
        several = isinstance(data, (list, tuple)) or getattr(data, "ndim", 0) > 0
        return several and len(data) > 0 and all(known.accepts(item) for item in data)

    def _is_labelled(self, data: Any) -> bool:
        """Says whether data is (texts, labels), and no pair of texts."""
        pair = isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], list)
        return pair and self.task is not None and self.task.reads != "tagged"

    def _own_predictor(self) -> Predictor:
        """Returns a predictor that is kept, because it traces the model once; as calibrated now."""
        self._predictor = self._predictor or self.get_predictor()
        if self.preproc is not None:
            self._predictor.preproc = self.preproc
        return self._predictor

    @checked
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
        if not isinstance(chosen, Preprocessor):
            raise ArgumentError(
                "get_predictor: this learner pretrains, and there are no labels to predict yet. "
                "Call save_model(folder), then fine-tune: ktlite.get_learner(folder, ...)."
            )
        predictor = Predictor(self._forward, chosen, batch_size or self.eval_batch_size)
        predictor.card = self.card
        return predictor

    @checked
    def ground_truth(self, val_data: Any = None) -> np.ndarray:
        """Returns the targets of the validation data, as the loss sees them.

        Raises:
            ArgumentError: If there is no validation data, or it has no labels.
        """
        return all_targets(self._val_feed("ground_truth", val_data))

    @checked
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
