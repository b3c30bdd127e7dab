import itertools
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

from ktlite.errors import ArgumentError
from ktlite.training.lr_finder import LRFinderResult
from ktlite.training.plots import plot_history, plot_lr_finder, show

RISING = np.arange(1, 11) / 10
HISTORY = {
    "loss": [0.6, 0.4, 0.3],
    "val_loss": [0.5, 0.42, 0.45],
    "accuracy": [0.6, 0.8, 0.9],
    "val_accuracy": [0.7, 0.81, 0.8],
    "iterations": list(range(1, 31)),
    "lr": [*RISING * 5e-5, *RISING[::-1] * 5e-5, *RISING * 5e-5],
    "momentum": [0.9] * 30,
}


def curve(count=100, lr_mult=1.2, noise=0.03, start=1e-7):
    lrs = start * lr_mult ** np.arange(count)
    decades = np.log10(lrs)
    losses = 0.69 - 0.35 / (1 + np.exp(-(decades + 4) * 5))
    losses += np.where(decades > -2.7, (decades + 2.7) ** 2 * 1.5, 0)
    losses += np.random.default_rng(0).normal(0, noise, count)
    return LRFinderResult(lrs, losses)


CURVES = {
    "100 batches": lambda: curve(),
    "1800 batches": lambda: curve(1800, 1.01, 0.06),
    "starts in the fall": lambda: curve(80, 1.2, start=2e-5),
    "few": lambda: curve(24, 1.2, 0.01, start=2e-5),
    "suggestions on one another": lambda: curve(60, 1.3, 0.0),
}
DULL = {
    "flat": lambda: LRFinderResult(curve().lrs, np.full(100, 0.7)),
    "short": lambda: curve(8),
    "one batch": lambda: curve(1),
    "no batch": lambda: curve(0),
}


def axes_of(figure):
    (axes,) = figure.axes
    FigureCanvasAgg(figure).draw()
    return axes


def line(axes, index):
    return np.asarray(axes.lines[index].get_xdata()), np.asarray(axes.lines[index].get_ydata())


@pytest.mark.parametrize("name", [*CURVES, *DULL])
@pytest.mark.parametrize("suggest", [True, False])
def test_every_curve_becomes_a_picture(name, suggest, tmp_path):
    figure = plot_lr_finder({**CURVES, **DULL}[name](), suggest=suggest)
    figure.savefig(tmp_path / "lr.png")
    assert (tmp_path / "lr.png").stat().st_size > 5_000


def test_axes_show_raw_and_smoothed_losses_on_a_logarithmic_rate():
    result = curve()
    axes = axes_of(result.plot(n_skip_beginning=12, n_skip_end=7))
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Learning rate", "Loss")
    for index, values in enumerate((result.losses, result.smoothed)):
        x, y = line(axes, index)
        np.testing.assert_array_equal(x, result.lrs[12:-7])
        np.testing.assert_array_equal(y, values[12:-7])


@pytest.mark.parametrize(("count", "skips", "shown"), [
    (100, (10, 5), 85), (30, (10, 5), 15), (20, (10, 5), 11), (9, (10, 5), 5), (4, (50, 50), 2),
    (50, (0, 0), 50),
])  # fmt: skip
def test_at_least_half_of_a_short_curve_is_shown(count, skips, shown):
    axes = axes_of(plot_lr_finder(curve(count), *skips))
    assert len(line(axes, 0)[0]) == shown >= count / 2


@pytest.mark.parametrize("name", CURVES)
def test_suggestions_are_named_with_their_values_and_do_not_overlap(name):
    result = CURVES[name]()
    figure = result.plot()
    axes = axes_of(figure)
    for rate in result.suggestions.values():
        short = f"{rate:.1e}".replace("e-0", "e-").replace(".0e", "e")
        assert any(short in text.get_text() for text in axes.texts), short
    renderer = figure.canvas.get_renderer()
    texts = [*axes.texts, axes.title, axes._left_title, axes._right_title]
    # Of the words alone: an annotation's own extent includes its line to the curve.
    boxes = [Text.get_window_extent(text, renderer) for text in texts if text.get_text()]
    boxes += [label.get_window_extent(renderer) for label in axes.get_xticklabels()]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes[:3]:
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_suggestions_are_left_out_on_request():
    assert not axes_of(curve().plot(suggest=False)).texts


def test_a_divergence_does_not_squash_the_fall():
    result = curve(120)
    losses = result.losses.copy()
    losses[105:] *= 10.0 ** np.arange(15)
    low, high = axes_of(LRFinderResult(result.lrs, losses).plot()).get_ylim()
    before = result.smoothed[: result.smoothed.argmin()]
    assert low < before.min()
    assert before.max() < high < 1.5


@pytest.mark.parametrize("name", DULL)
def test_a_curve_without_suggestions_says_so(name):
    texts = [text.get_text() for text in axes_of(DULL[name]().plot()).texts]
    assert len(texts) == 1
    assert texts[0].startswith("no suggestion: ")


@pytest.mark.parametrize("key", ["loss", "val_loss"])
def test_loss_is_drawn_with_its_validation_and_the_best_epoch(key):
    axes = axes_of(plot_history(HISTORY, key))
    for index, values in enumerate((HISTORY["loss"], HISTORY["val_loss"])):
        x, y = line(axes, index)
        assert (list(x), list(y)) == ([1, 2, 3], values)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "validation"]
    best_x, best_y = line(axes, 2)
    assert (list(best_x), list(best_y)) == ([2], [0.42])
    assert axes.texts[0].get_text() == "lowest: 0.42"
    assert axes.get_xlabel() == "Epoch"


def test_other_values_of_an_epoch_have_no_best():
    axes = axes_of(plot_history(HISTORY, "accuracy"))
    assert len(axes.lines) == 2
    assert not axes.texts
    assert axes.get_ylabel() == "Accuracy"


def test_without_validation_there_is_one_line():
    axes = axes_of(plot_history({"loss": [0.5]}))
    assert len(axes.lines) == 1
    assert axes.get_legend() is None


def test_a_nan_in_the_validation_loss_is_not_the_best():
    axes = axes_of(plot_history({"loss": [1, 2, 3], "val_loss": [float("nan"), 0.3, 0.4]}))
    assert list(line(axes, 2)[0]) == [2]


@pytest.mark.parametrize(("key", "label"), [("lr", "Learning rate"), ("momentum", "Momentum")])
def test_values_of_each_step_are_a_line_over_batches(key, label):
    axes = axes_of(plot_history(HISTORY, key))
    x, y = line(axes, 0)
    assert (list(x), list(y)) == (HISTORY["iterations"], HISTORY[key])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Batch", label)


@pytest.mark.parametrize(
    ("history", "what", "words"),
    [
        (HISTORY, "accurcy", ["'accurcy'", "val_accuracy", "Did you mean 'accuracy'?"]),
        ({"loss": [1.0]}, "momentum", ["'momentum'", "it has loss"]),
        ({}, "loss", ["it has nothing"]),
    ],
)
def test_an_unknown_key_is_refused_with_those_that_there_are(history, what, words):
    with pytest.raises(ArgumentError) as error:
        plot_history(history, what)
    for word in words:
        assert word in str(error.value)


def test_pyplot_and_global_settings_are_left_alone():
    before, numbers = dict(matplotlib.rcParams), plt.get_fignums()
    axes_of(curve().plot())
    axes_of(plot_history(HISTORY))
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == numbers


def test_a_dark_style_of_the_user_does_not_make_it_unreadable():
    with plt.style.context("dark_background"):
        figure = plot_history(HISTORY)
        axes = axes_of(figure)
        assert figure.get_facecolor()[:3] == axes.get_facecolor()[:3] == (1, 1, 1)
        texts = [axes.xaxis.label, axes.yaxis.label, axes._left_title, *axes.get_xticklabels()]
        texts += axes.get_legend().get_texts()
        assert {to_hex(text.get_color()) for text in texts} == {"#222222"}


def test_a_notebook_shows_the_figure_without_pyplot():
    assert plot_history(HISTORY)._repr_png_().startswith(b"\x89PNG")


@pytest.fixture
def windows(tmp_path, monkeypatch):
    """A screen; the figures that windows were opened for."""
    from matplotlib import pyplot

    pyplot.close(pyplot.figure())  # the backend is loaded
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":0")
    opened = []
    monkeypatch.setattr(pyplot, "show", lambda block: opened.append((pyplot.gcf(), block)))
    monkeypatch.setattr(pyplot, "pause", lambda seconds: None)
    yield opened
    pyplot.close("all")


@pytest.mark.parametrize("toolkit", ["qt", None])
@pytest.mark.parametrize("session", [True, False])
def test_a_screen_shows_a_window_and_a_script_keeps_a_file(
    windows, tmp_path, monkeypatch, caplog, toolkit, session
):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", toolkit, raising=False)
    if session:
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    (tmp_path / "plot.png").write_text("mine")
    figure = plot_history(HISTORY)
    with caplog.at_level("INFO", logger="ktlite"):
        show(figure)
    assert windows == ([(figure, False)] if toolkit else [])
    saved = tmp_path / "plot-2.png"
    assert saved.exists() == (not session or toolkit is None)
    assert (f"the plot is in {saved}" in caplog.text) == saved.exists()
    assert (tmp_path / "plot.png").read_text() == "mine"


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    figure = plot_history(HISTORY)
    monkeypatch.setattr(figure, "savefig", _full)
    show(figure)
    assert "could not be saved" in caplog.text


def _full(path):
    raise OSError(28, "No space left on device")
