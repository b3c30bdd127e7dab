"""The method of a `Learner` that writes a report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite._logging import logger
from ktlite._places import writable_file
from ktlite.encodings.indexed import items_of, source_rows_of
from ktlite.errors import ArgumentError, Problems, plural
from ktlite.evaluation import Outputs, confidence_intervals
from ktlite.learner.rate_finding import RateFinding
from ktlite.learner.recording import Recording
from ktlite.report import (
    Html,
    Section,
    bars,
    checks_table,
    confusion_table,
    facts,
    page,
    preformatted,
    svg,
    table,
    tiles,
    worst_examples,
)
from ktlite.training import plots
from ktlite.training.feed import Feed
from ktlite.training.workers import first_writes

_TILES = 4  # figures at the top
_WORDS = 200  # of an example; the rest is left out


class Reporting(Recording, RateFinding):
    """A report of data, training and figures."""

    @checked
    def report(
        self, path: str | os.PathLike[str], n_worst: int = 8, *, explain: bool = True
    ) -> Path:
        """Writes all that is known of data, training and model into one HTML file.

        Checks and summary of the data, the learning-rate finder's plot, the curves of the last
        training, figures with 95 % confidence intervals, the confusion matrix, calibration, the
        worst examples with the words, or the patches of images, that misled the model, and the run
        card. What there was none of is left out. The file needs nothing else, and no network; it
        holds the worst examples themselves.

        Args:
            path: The file. One that is there is replaced.
            n_worst: Validation examples to show, those with the highest losses first.
            explain: Show which words or patches of these moved the prediction; it takes a second or
                so for each on a CPU.

        Returns:
            The path.

        Raises:
            ArgumentError: If `path` is a folder, or in one that is not there.

        Example:
            >>> learner.report("report.html")
        """
        problems = Problems("report")
        at_least_one(problems, n_worst=n_worst)
        writable_file(problems, "path", path, "report.html")
        problems.raise_if_any()
        outputs = None
        if self._val is not None:
            outputs = self._outputs("report", None)
            outputs = None if outputs.targets is None else outputs
        sections = [*self._figure_sections(outputs), *self._training_sections()]
        if isinstance(self._train, Feed):
            sections += self._data_sections(self._train)
        if outputs is not None:
            sections += self._example_sections(outputs, n_worst, explain)
        card = self.card
        sections.append(Section("Run", [_run_table(card)]))
        name = card.model["name"] if card.model["task"] is None else (
            f"{card.model['name']}: {card.model['task']}"
        )  # fmt: skip
        made = card.environment
        document = page(
            name,
            f"{plural(card.model['parameters'] or 0, 'parameter')}, {self._sizes()}",
            sections,
            f"Written by ktlite {made['ktlite']} at {made['time']}.",
        )
        with first_writes(self.model, path) as first:
            if first:
                new = Path(f"{os.fspath(path)}.tmp")
                new.write_text(document, encoding="utf-8")
                new.replace(path)
        logger.info("report: %s", path)
        return Path(path)

    def _sizes(self) -> str:
        rows = [
            f"{plural(known['rows'], 'row')} {what}"
            for name, what in (("train_data", "to train on"), ("val_data", "to validate on"))
            if "rows" in (known := self._fingerprints().get(name, {}))
        ]
        return ", ".join(rows)

    def _figure_sections(self, outputs: Outputs | None) -> list[Section]:
        if outputs is None:
            return []
        task, targets = outputs.task, outputs.known_targets()
        report = task.report(outputs.logits, targets)
        self._keep_figures(None, report.metrics, outputs.on)
        intervals = confidence_intervals(outputs)
        # Of figures of one kind (f1_macro, f1_micro, ...) the first.
        kinds = {name.split("_")[0]: name for name in reversed(report.metrics) if name != "loss"}
        shown = [name for name in report.metrics if name in kinds.values()][:_TILES]
        top = tiles([
            (name.replace("_", " "), _figure(report.metrics[name]), _between(intervals[name]))
            for name in shown
        ])  # fmt: skip
        rows = [(name, value, *intervals[name]) for name, value in report.metrics.items()]
        note = (
            f'<p class="note">On {escape(outputs.on)}. 95 % confidence intervals by bootstrap: '
            "how far other examples of the same kind could move a figure.</p>"
        )
        about = self._calibration_note(outputs)
        note += f'<p class="note">{escape(about)}.</p>' if about else ""
        parts = [top, "<h3>All figures</h3>", table(("figure", "value", "from", "to"), rows), note]
        sections = [Section("Figures", [*parts, "<h3>In detail</h3>", preformatted(report.text)])]
        counts, classes = report.result, task.classes
        if isinstance(counts, np.ndarray) and counts.shape == (len(classes), len(classes)):
            sections.append(Section("Confusions", [confusion_table(counts, classes)]))
        try:
            picture = svg(self._reliability_plot(outputs), "Calibration")
        except ArgumentError:  # it gives no probabilities of being right
            return sections
        return [*sections, Section("Calibration", [picture])]

    def _training_sections(self) -> list[Section]:
        sections = []
        if self.lr_finder is not None:
            picture = svg(self.lr_finder.plot(), "Loss by learning rate")
            sections.append(Section("Learning rate", [picture]))
        if self.history is None:
            return sections
        history = self.history.history
        by_epoch = [name for name in history if name not in (*plots.PER_STEP, "iterations")]
        curves = [name for name in by_epoch if not name.startswith("val_")]
        curves = [name for name in curves if name in ("loss", *_first_metric(curves))]
        curves += [name for name in ("lr",) if name in history]
        pictures = [svg(plots.plot_history(history, name), f"Training: {name}") for name in curves]
        rows = [
            (epoch, *(history[name][epoch - 1] for name in by_epoch))
            for epoch in range(1, 1 + min(len(history[name]) for name in by_epoch))
        ]
        numbers = table(("epoch", *by_epoch), rows)
        details = f"<details><summary>Figures of each epoch</summary>{numbers}</details>"
        return [*sections, Section("Training", [*pictures, details])]

    def _data_sections(self, feed: Feed) -> list[Section]:
        reading = self._known_reading(feed)
        splits = {"training": feed, "validation": self._val}
        datas = {name: part.data for name, part in splits.items() if isinstance(part, Feed)}
        parts = []
        lengths = {name: data.lengths for name, data in datas.items() if data.lengths.any()}
        if lengths:
            rows = [
                (name, len(values), *(int(np.quantile(values, q)) for q in (0.5, 0.95, 1)))
                for name, values in lengths.items()
            ]
            unit = f"{feed.data.preproc.input.unit}s" if items_of(feed.data) else "lengths"
            parts.append(table((unit, "rows", "median", "95 % have at most", "longest"), rows))
        counts: dict[str, Any] = {}
        if reading is not None:
            for name, data in datas.items():
                if data.targets is not None:
                    counts[name] = reading.task.class_counts(reading.targets(data.targets))
        counts = {name: count for name, count in counts.items() if count is not None}
        if counts and reading is not None:
            parts += ["<h3>Classes</h3>", bars(reading.task.classes, counts)]
        sections = [Section("Data", parts)] if parts else []
        checks = self.check()
        return [*sections, Section("Checks", [checks_table(checks)])] if len(checks) else sections

    def _example_sections(self, outputs: Outputs, n: int, explain: bool) -> list[Section]:
        data = outputs.data
        texts, rows = items_of(data), source_rows_of(data)
        examples = []
        for number, loss, true, predicted in outputs.top_losses(n):
            known = {"true": true, "predicted": _readable(predicted), "loss": float(loss)}
            known["row"] = str(number if rows is None else rows[number])
            content = ""
            if texts is not None:
                example = texts[number]
                shown = _shown(data.preproc.input, example)
                content = self._explained(example, shown) if explain else shown
            examples.append((known, content))
        note = (
            '<p class="note">The validation examples with the highest losses: hard ones, and '
            "those whose label may be wrong. Rows count from 0 in the source.</p>"
        )
        return [Section("Worst examples", [note, worst_examples(examples)])]

    def _explained(self, example: Any, shown: str) -> Any:
        """Returns an explanation of the prediction; where there can be none, the example."""
        try:
            return self._own_predictor().explain(example, truncate_len=_WORDS)
        except ArgumentError:
            return shown


def _first_metric(curves: list[str]) -> list[str]:
    return [name for name in curves if name != "loss"][:1]


def _figure(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"


def _between(interval: tuple[float, float]) -> str:
    return f"{_figure(interval[0])} to {_figure(interval[1])}"


def _readable(predicted: Any) -> Any:
    """Returns a prediction in few characters: of (label, probability), the likely ones."""
    if isinstance(predicted, list) and predicted and isinstance(predicted[0], tuple):
        return [f"{name} {share:.2f}" for name, share in predicted if share >= 0.1]
    return predicted


def _shown(input: Any, example: Any) -> str:
    """Returns an example for a page: as text, or as HTML where it is no text."""
    picture = input.shown_as_html(example)
    if picture is not None:
        return Html(picture)
    example = input.shown(example)
    if isinstance(example, tuple):
        return "\n".join(map(str, example))
    return str(example)


def _run_table(card: Any) -> str:
    """Returns the run card, section by section."""
    parts = []
    content: Mapping[str, Any] = {
        "Model": card.model,
        "Arguments": card.arguments,
        "Data": card.data,
        "Environment": card.environment,
    }
    for name, values in content.items():
        if values:
            parts.append(f"<details><summary>{name}</summary>{facts(values)}</details>")
    if card.fits:
        rows = [(fit["schedule"], fit["epochs"], fit["seconds"]) for fit in card.fits]
        parts.insert(0, table(("schedule", "epochs", "seconds"), rows))
    return "\n".join(parts)
