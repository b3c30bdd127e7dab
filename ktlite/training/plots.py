"""Pictures of a learning-rate sweep and of a training.

Each function returns a matplotlib `Figure` of its own: no global settings, and pyplot only to
open a window.
A notebook shows the figure that a cell ends with, with or without `%matplotlib inline`.
"""

from __future__ import annotations

import functools
import io
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._logging import logger
from ktlite.errors import ArgumentError, did_you_mean, listing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ktlite.training.lr_curve import LRFinderResult

# Okabe and Ito's colours, which colour-blind people can tell apart.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#AA4499"
INK, FAINT_INK, GRID = "#222222", "#666666", "#E3E3E3"

SUGGESTION_STYLES = {
    "min_over_10": ("min / 10", PURPLE, "s"),
    "valley": ("valley", GREEN, "o"),
    "steepest": ("steepest", VERMILION, "^"),
}
PER_STEP = {"lr": "Learning rate", "momentum": "Momentum"}


def plot_lr_finder(
    result: LRFinderResult,
    n_skip_beginning: int = 10,
    n_skip_end: int = 5,
    suggest: bool = True,
) -> Figure:
    """Draws the loss of a sweep against the learning rate, on a logarithmic axis.

    Faint dots are the losses of single batches, the line is their moving average. The
    loss axis shows the fall; a divergence leaves it at the top.

    Args:
        result: What `find_lr` returned.
        n_skip_beginning: Batches to leave out at the start, but none from the lowest
            marked rate on. Of a short curve, at least half is shown.
        n_skip_end: Batches to leave out at the end.
        suggest: Whether to mark the suggested rates.

    Example:
        >>> plot_lr_finder(result).savefig("lr.png")
    """
    figure, axes = new_figure("Learning rate", "Loss")
    marks = {n: rate for n, rate in result.suggestions.items() if suggest and rate is not None}
    shown = _shown(len(result.lrs), n_skip_beginning, n_skip_end)
    if marks:  # the curve is shown wherever something on it is marked
        first = int(np.searchsorted(result.lrs, min(marks.values())))
        shown = slice(min(shown.start, max(0, first - 1)), shown.stop)
    lrs, losses, smoothed = result.lrs[shown], result.losses[shown], result.smoothed[shown]
    axes.set_xscale("log")
    dots: dict[str, Any] = (
        {"alpha": 0.45, "markersize": 7} if len(lrs) < 300 else {"alpha": 0.28, "markersize": 5}
    )
    axes.plot(lrs, losses, ".", color=BLUE, markeredgewidth=0, **dots)
    axes.plot(lrs, smoothed, color=BLUE, linewidth=2.4, solid_capstyle="round")
    if len(lrs):
        _limits(axes, lrs, losses, smoothed, list(marks.values()))
    _log_ticks(axes)
    if marks:
        _mark(axes, marks, np.log(lrs), smoothed)
    if result.problem:
        note = f"no suggestion: {result.problem.split('. ')[0].rstrip('.')}"
        axes.annotate(note, (0, 1.02), xycoords="axes fraction", color=FAINT_INK, fontsize=9.5)
    pad = 44 if marks else 24 if result.problem else 14
    axes.set_title("Learning-rate finder", loc="left", pad=pad, **title_font())
    legend = "dots: single batches    line: their moving average"
    axes.set_title(legend, loc="right", pad=pad, fontsize=9.5, color=FAINT_INK)
    return figure


def plot_history(history: Mapping[str, Sequence[float]], what: str = "loss") -> Figure:
    """Draws how a training went.

    A value of each epoch is drawn with its counterpart on the validation data, a value of
    each step (`lr`, `momentum`) as a line.

    Args:
        history: What `model.fit(...).history` holds; with `ScheduleCallback` also `lr`,
            `momentum` and `iterations` of each step.
        what: A key of it. For `loss` the epoch with the lowest validation loss is marked.

    Raises:
        ArgumentError: If `history` has no such key.

    Example:
        >>> plot_history(model.fit(x, y, epochs=3).history).savefig("loss.png")
    """
    what = what.removeprefix("val_") if what.removeprefix("val_") in history else what
    if not len(history.get(what, ())):
        known = [key for key in history if key != "iterations"]
        raise ArgumentError(
            f"plot: the history has no {what!r}; it has {listing(known) or 'nothing'}."
            f"{did_you_mean(what, known)}"
        )
    if what in PER_STEP:
        return _plot_steps(history["iterations"], history[what], PER_STEP[what])
    return _plot_epochs(history[what], history.get(f"val_{what}", ()), what)


def plot_trials(trials: pd.DataFrame, monitor: str, mode: str) -> Figure:
    """Draws what each trial of a search reached, and the best so far.

    Args:
        trials: With the columns number, state and value.
        monitor: What the values are.
        mode: Whether the `"min"` or the `"max"` is the best.
    """
    done = trials[trials["state"] == "complete"]
    figure, axes = new_figure("Trial", monitor)
    numbers, values = done["number"] + 1, done["value"].astype(float)
    best = values.cummin() if mode == "min" else values.cummax()
    axes.plot(numbers, values, "o", color=BLUE, alpha=0.6, markersize=7, label="trial")
    axes.step(numbers, best, where="post", color=VERMILION, linewidth=2.2, label="best")
    axes.legend(frameon=False, fontsize=10, labelcolor=INK)
    axes.set_title(f"{monitor} by trial", loc="left", pad=14, **title_font())
    return figure


def show(figure: Figure, name: str = "plot") -> None:
    """Shows a figure: in a notebook, in a window, or as a file whose place is in the log.

    A window stays as long as the session; what a script shows is a file too.

    Args:
        figure: A figure of this module.
        name: Of the file, without `.png`. One that is there stays, and this one gets a number.
    """
    if "ipykernel" in sys.modules:
        from IPython.display import display

        display(figure)
        return
    window = _has_screen() and _opens_window(figure)
    if window and (hasattr(sys, "ps1") or sys.flags.interactive):
        return
    path = _free_path(name)
    try:
        figure.savefig(path)
    except OSError as error:
        logger.warning("the plot could not be saved to %s: %s", path, error)
    else:
        logger.info("the plot is in %s", path)


def _has_screen() -> bool:
    if sys.platform.startswith(("win", "darwin")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _opens_window(figure: Figure) -> bool:
    """Opens a window, unless matplotlib has no toolkit to do it with; nobody waits for it."""
    from matplotlib import pyplot

    given: Any = lambda *_, **__: figure  # noqa: E731
    pyplot.figure(FigureClass=given)
    if figure.canvas.required_interactive_framework is None:
        pyplot.close(figure)
        return False
    pyplot.show(block=False)
    pyplot.pause(0.1)  # seconds in which it is drawn
    return True


def _free_path(name: str) -> Path:
    """Returns the path of a PNG file in the working directory that is not there yet."""
    numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    paths = (Path.cwd() / f"{name}{number}.png" for number in numbers)
    return next(path for path in paths if not path.exists())


# ------------------------------------------------------------------ learning-rate finder


def _shown(count: int, n_skip_beginning: int, n_skip_end: int) -> slice:
    """Returns what is left between the skipped ends; at least half of the points."""
    skipped = n_skip_beginning + n_skip_end
    share = min(1.0, count / 2 / skipped) if skipped else 0.0
    return slice(int(n_skip_beginning * share), count - int(n_skip_end * share))


def _limits(
    axes: Axes,
    lrs: np.ndarray,
    losses: np.ndarray,
    smoothed: np.ndarray,
    marked: Sequence[float],
) -> None:
    """Fits the axes to the plateau, the fall, the start of the rise and the marked rates."""
    before = slice(0, int(smoothed.argmin()) + 1)
    low, high = smoothed[before].min(), smoothed[before].max()
    noise_low, noise_high = np.quantile(losses[before], [0.02, 0.98])
    low, high = min(low, noise_low), max(high, noise_high)
    span = (high - low) or 0.1 * abs(high) or 1.0
    bottom, top = low - 0.15 * span, high + 0.5 * span
    last = int(np.flatnonzero(smoothed <= top)[-1])
    left = min([lrs[0], *marked])
    right = max([lrs[min(last + 1, len(lrs) - 1)], *marked])
    margin = (right / left) ** 0.02 if right > left else 1.5
    axes.set_xlim(left / margin, right * margin)
    axes.set_ylim(bottom, top)


def _log_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    narrow = high / low < 100
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if narrow else (1,), numticks=15))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: _scientific(rate, 1)))
    axes.xaxis.set_minor_locator(LogLocator(10, subs=range(2, 10), numticks=100))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _mark(
    axes: Axes, rates: Mapping[str, float], log_lrs: np.ndarray, smoothed: np.ndarray
) -> None:
    """Marks the suggested rates on the curve, and names them above it."""
    low, high = np.log(axes.get_xlim())
    names = sorted(rates, key=lambda name: rates[name])
    places = [float((np.log(rates[name]) - low) / (high - low)) for name in names]
    for name, x, label_x in zip(names, places, _spread(places, 0.145), strict=True):
        rate, (label, color, marker) = rates[name], SUGGESTION_STYLES[name]
        # Not a number, and so not drawn, where the curve is not shown.
        loss = np.interp(np.log(rate), log_lrs, smoothed, left=np.nan, right=np.nan)
        axes.axvline(rate, color=color, linewidth=1.1, linestyle=(0, (4, 3)), alpha=0.75, zorder=1)
        axes.plot(
            rate, np.clip(loss, *axes.get_ylim()), marker, color=color,
            markersize=9, markeredgecolor="white", markeredgewidth=1.4,
            zorder=6 if name == "valley" else 5,
        )  # fmt: skip
        axes.annotate(
            f"{label}\n{_scientific(rate, 1)}",
            xy=(x, 1), xytext=(label_x, 1.055), xycoords="axes fraction",
            ha="center", va="bottom", color=color, fontsize=9.5, fontweight="bold",
            linespacing=1.25,
            arrowprops={"arrowstyle": "-", "color": color, "alpha": 0.75, "shrinkA": 1,
                        "shrinkB": 0},
        )  # fmt: skip


def _spread(places: Sequence[float], gap: float) -> list[float]:
    """Moves sorted places in [0, 1] as little as it takes to be at least `gap` apart.

    This is isotonic regression of the places less the gaps, by pooling adjacent violators.
    """
    blocks: list[list[float]] = []
    for i, place in enumerate(places):
        blocks.append([place - i * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    levels = [np.mean(block) for block in blocks for _ in block]
    inside = np.clip(levels, gap / 3, 1 - gap / 3 - (len(places) - 1) * gap)
    return [float(level) + i * gap for i, level in enumerate(inside)]


# --------------------------------------------------------------------- training history


def _plot_epochs(train: Sequence[float], val: Sequence[float], what: str) -> Figure:
    from matplotlib.ticker import MaxNLocator

    name = what.replace("_", " ").capitalize()
    figure, axes = new_figure("Epoch", name)
    style: dict[str, Any] = {"linewidth": 2.2, "markersize": 7, "markeredgecolor": "white"}
    epochs = range(1, len(train) + 1)
    axes.plot(epochs, train, "o-", color=BLUE, label="training", **style)
    if len(val):
        axes.plot(epochs[: len(val)], val, "s-", color=VERMILION, label="validation", **style)
        axes.legend(frameon=False, fontsize=10, labelcolor=INK)
    if what == "loss" and len(val) > 1 and np.isfinite(val).any():
        best = int(np.nanargmin(val))
        axes.plot(
            best + 1, val[best], "o", markersize=16, markerfacecolor="none",
            markeredgecolor=VERMILION, markeredgewidth=1.6,
        )  # fmt: skip
        axes.annotate(
            f"lowest: {val[best]:.3g}", (best + 1, val[best]), xytext=(0, 13),
            textcoords="offset points", ha="center", color=VERMILION, fontsize=9.5,
            fontweight="bold",
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    axes.set_xlim(0.7, len(train) + 0.3)
    axes.margins(y=0.15)
    axes.set_title(f"{name} by epoch", loc="left", pad=14, **title_font())
    return figure


def _plot_steps(steps: Sequence[float], values: Sequence[float], name: str) -> Figure:
    from matplotlib.ticker import FuncFormatter

    figure, axes = new_figure("Batch", name)
    axes.plot(steps, values, color=BLUE, linewidth=2.2, solid_capstyle="round")
    if name == PER_STEP["lr"]:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: _scientific(rate, 1)))
    axes.margins(x=0.02, y=0.08)
    axes.set_title(f"{name} by batch", loc="left", pad=14, **title_font())
    return figure


# ------------------------------------------------------------------------------- style


def new_figure(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Returns an empty figure in ktlite's style, and its axes."""
    figure = empty_figure(8, 4.8)
    axes = figure.add_subplot(facecolor="white")
    axes.set_xlabel(x_label, color=INK, fontsize=11, labelpad=7)
    axes.set_ylabel(y_label, color=INK, fontsize=11, labelpad=7)
    axes.grid(True, color=GRID, linewidth=0.9, linestyle="-")
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=FAINT_INK, labelsize=9.5, labelcolor=INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT_INK)
    return figure, axes


def empty_figure(width: float, height: float) -> Figure:
    """Returns a figure of so many inches without axes."""
    size = (width, height)
    return _figure_class()(figsize=size, dpi=110, facecolor="white", layout="constrained")


def title_font() -> dict[str, Any]:
    """Returns how titles are set."""
    return {"fontsize": 13, "fontweight": "bold", "color": INK}


def _scientific(value: float, digits: int) -> str:
    """Returns `"5e-5"`, `"1.3e-4"`: as one writes it in code, without padding."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


@functools.cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """A figure that notebooks show although nobody has imported pyplot."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=self.dpi)
            return buffer.getvalue()

    return NotebookFigure
