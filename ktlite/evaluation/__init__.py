"""A model's answers to a data set, beside what is true: figures, intervals, comparisons."""

from ktlite.evaluation.bootstrap import LEVEL, confidence_intervals, interval_table, level_of
from ktlite.evaluation.label_errors import label_errors
from ktlite.evaluation.outputs import Outputs, run_model, show_top_losses
from ktlite.evaluation.reporting import figures_of, report_of, with_intervals
from ktlite.evaluation.trust import calibrate, calibration_error, shared, warn_if_constant

__all__ = [
    "LEVEL",
    "Outputs",
    "calibrate",
    "calibration_error",
    "confidence_intervals",
    "figures_of",
    "interval_table",
    "label_errors",
    "level_of",
    "report_of",
    "run_model",
    "shared",
    "show_top_losses",
    "warn_if_constant",
    "with_intervals",
]
