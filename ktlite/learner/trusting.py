"""The methods of a `Learner` that say how far its figures and probabilities can be trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ktlite._arguments import checked
from ktlite.cards.run_card import calibrated
from ktlite.encodings.indexed import noun_of
from ktlite.errors import ArgumentError
from ktlite.evaluation import (
    Outputs,
    calibrate,
    calibration_error,
    figures_of,
    label_errors,
    run_model,
    shared,
)
from ktlite.learner.carded import Carded
from ktlite.training import plots
from ktlite.training.reliability_plot import plot_reliability

_SOME = 0.1  # of texts, short ones of which may be in other data too


class Trusting(Carded):
    """Thresholds, calibration, and labels that are probably wrong."""

    @checked
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
        figures = figures_of(outputs)
        self._keep_figures(val_data, figures, outputs.on)
        return figures

    @checked
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
            val_data: What to calibrate on, better a thousand examples than a hundred. Default: the
                learner's validation data.

        Returns:
            The number of examples and, where there are probabilities, the temperature and the
            figures of `calibration_error` afterwards. These are in-sample: the temperature was
            fitted to the same examples, and on others they are a little worse.

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
                f"other. Calibrate on {noun_of(data)}s that it has not learned from."
            )
        outputs = self._outputs("calibrate", val_data)
        found = calibrate(self.task, outputs)
        facts = {name: value for name, value in found.items() if name not in ("ece", "loss")}
        self._calibrated, self._calibrated_on = {**facts, "data": outputs.on}, outputs.data
        if self._figures:  # the loss is that of the probabilities, which have changed
            own = outputs if val_data is None else self._outputs("calibrate")
            self._keep_figures(None, figures_of(own), own.on)
        return found

    @checked
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

    @checked
    def plot_calibration(self, val_data: Any = None, return_fig: bool = False) -> Any:
        """Shows how often predictions are right, by how sure they are: a reliability diagram.

        Args:
            val_data: What to look at. Default: the learner's validation data.
            return_fig: Return the matplotlib `Figure` in place of showing it.

        Raises:
            ArgumentError: If the task gives no probabilities of being right.
        """
        figure = self._reliability_plot(self._outputs("plot_calibration", val_data))
        return figure if return_fig else plots.show(figure)

    def _reliability_plot(self, outputs: Outputs) -> Any:
        """Returns the reliability diagram of some outputs."""
        reliability = outputs.task.reliability(outputs.logits, outputs.known_targets())
        return plot_reliability(reliability, outputs.on, in_sample=self._in_sample(outputs))

    def _in_sample(self, outputs: Outputs) -> bool:
        """Says whether the probabilities were calibrated on some of these examples."""
        known = self._calibrated_on
        return known is not None and shared(outputs.data, known) > _SOME

    def _calibration_note(self, outputs: Outputs) -> str:
        """Says in a line how probabilities were calibrated; nothing where they were not."""
        if self._calibrated.get("temperature", 1.0) == 1.0:
            return ""
        note = f"probabilities are calibrated: {calibrated(self._calibrated)}"
        if self._in_sample(outputs):
            note += " (in-sample: these examples; on others they are a little less honest)"
        return note

    def _outputs(
        self,
        where: str,
        val_data: Any = None,
        verbose: int = 0,
        batch_size: int | None = None,
        **reading: Any,
    ) -> Outputs:
        feed = self._val_feed(where, val_data, **reading)
        size = self.eval_batch_size if batch_size is None else batch_size
        outputs = run_model(self._forward, feed, self.task, batch_size=size, verbose=verbose)
        return replace(outputs, on=self._described(val_data, len(outputs.logits)))

    @checked
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
