"""The methods of a `Predictor` that compare its predictions with the truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlite._arguments import checked
from ktlite._logging import results
from ktlite.cards import fingerprint
from ktlite.cards.run_card import calibrated
from ktlite.data.reading import read_for
from ktlite.inference.answers import data_answers
from ktlite.predictor.predicting import Predicting

if TYPE_CHECKING:
    from ktlite.evaluation import Outputs

_PARTS = {"train_data": "training data", "val_data": "validation data"}


class Evaluating(Predicting):
    """Labelled data to figures."""

    @checked
    def evaluate(
        self,
        data: Any,
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
        """Compares predictions with the truth, as `Learner.validate` does.

        Args:
            data: Labelled, whatever `get_learner` takes as data for the task: a file or several, a
                folder, a DataFrame, a `datasets.Dataset`, (texts, labels), ...
            print_report: Show the report.
            save_path: Also write the report to this text file.
            class_names: Names to show in place of the classes.
            text_column: Of a file or a table: name of the text column, or names. Default: as the
                training data was read, where that is known.
            label_columns: Likewise, of the labels.
            ci: Also show confidence intervals of all figures: True for 95 %, or a level.
            sep: Column separator of CSV files. Default: as the training data was read.
            encoding: Of the files. Default: likewise.
            names: Column names of CSV files without a header row. Default: likewise.
            missing: `"drop"` leaves out rows without text or label; `"error"` refuses them.
            na_values: Cells that stand for a missing value, as for `get_learner`.
            batch_size: Texts a batch. Default: the predictor's.
            verbose: 1 shows a progress bar.

        Returns:
            What `Learner.validate` returns: for classification the confusion matrix, int [true,
            predicted]; for several labels a text one 2x2 matrix a label; for regression
            [(metric, value), ...]; for entities their F1.

        Raises:
            ArgumentError: If columns are not known, or arguments cannot work.
            DataError: If the data cannot be read, or has labels that the predictor does not know.

        Example:
            >>> predictor.evaluate("test.csv", text_column="text", label_columns="label")
            array([[790, 210],
                   [180, 820]])
        """
        from ktlite.evaluation import level_of, report_of

        level = level_of("evaluate", ci)
        outputs = self.outputs(
            data, "evaluate", batch_size, verbose, text_column=text_column,
            label_columns=label_columns, sep=sep, encoding=encoding, names=names, missing=missing,
            na_values=na_values,
        )  # fmt: skip
        report = report_of(outputs, class_names, level, self.calibration_note())
        if print_report:
            results.info("%s", report.text)
        if save_path is not None:
            Path(save_path).write_text(report.text + "\n", encoding="utf-8")
        return report.result

    @checked
    def metrics(
        self,
        data: Any,
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
        """Returns the task's figures on labelled data, such as `{"accuracy": 0.91, ...}`.

        Args:
            data: As for `evaluate`, and so are the other arguments.
            text_column: Name of the text column, or names.
            label_columns: Name of the label column, or names.
            ci: Add the ends of confidence intervals, `"accuracy_low"` and `"accuracy_high"`: True
                for 95 %, or a level such as 0.99.
            sep: Column separator of CSV files.
            encoding: Of the files.
            names: Column names of CSV files without a header row.
            missing: `"drop"` or `"error"`.
            na_values: Cells that stand for a missing value.
            batch_size: Texts a batch.
            verbose: 1 shows a progress bar.

        Example:
            >>> predictor.metrics("test.csv")["accuracy"]
            0.805
        """
        from ktlite.evaluation import figures_of, level_of, with_intervals

        level = level_of("metrics", ci)
        outputs = self.outputs(
            data, "metrics", batch_size, verbose, text_column=text_column,
            label_columns=label_columns, sep=sep, encoding=encoding, names=names, missing=missing,
            na_values=na_values,
        )  # fmt: skip
        return with_intervals(figures_of(outputs), outputs, level)

    def outputs(
        self,
        data: Any,
        where: str = "outputs",
        batch_size: int | None = None,
        verbose: int = 0,
        **reading: Any,
    ) -> Outputs:
        """Returns logits and targets of labelled data, which figures are made of.

        Args:
            data: As for `evaluate`.
            where: What was called, for messages.
            batch_size: Texts a batch.
            verbose: 1 shows a progress bar.
            **reading: Of `evaluate`: `text_column`, `label_columns`, `sep`, `encoding`, `names`,
                `missing`.
        """
        from ktlite.evaluation import Outputs
        from ktlite.evaluation.measured import called, on

        read = read_for(self.preproc, data, where=where, verbose=verbose, **reading)
        task, size = self.preproc.task, batch_size or self.batch_size
        logits, _ = data_answers(self._forward, read, task, batch_size=size, verbose=verbose)
        described = on(len(logits), self._part(read), called(data))
        return Outputs(task, logits, read.targets, read, on=described)

    def calibration_note(self) -> str:
        """Says in a line how probabilities were calibrated; nothing where they were not."""
        temperature = self.preproc.task.calibration.temperature
        if temperature == 1:
            return ""
        known = {} if self.card is None else self.card.calibration
        where = calibrated(known) if known else f"temperature {temperature:.3g}"
        return f"probabilities are calibrated: {where}"

    def _part(self, data: Any) -> str:
        """Says what data is to the model, as far as its card knows."""
        known = {} if self.card is None else self.card.data
        digest = fingerprint(data).get("sha256")
        for name, part in _PARTS.items():
            if digest is not None and known.get(name, {}).get("sha256") == digest:
                return part
        return "new data"
