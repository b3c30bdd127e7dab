"""`LivePlot`: pictures that replace each other, and never an end to the training."""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import ktlite


class Shown:
    """Stands in for a notebook's display: keeps what is shown under each handle."""

    def __init__(self) -> None:
        self.figures: list[list[Any]] = []

    def display(self, figure: Any, display_id: bool) -> Any:
        kept = [figure]
        self.figures.append(kept)
        handle = ModuleType("handle")
        handle.update = kept.append  # type: ignore[attr-defined]
        return handle


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shown:
    shown, module = Shown(), ModuleType("IPython.display")
    module.display = shown.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    parent = ModuleType("IPython")
    parent.version_info = (9, 0, 0)  # type: ignore[attr-defined]  # matplotlib looks at it
    monkeypatch.setitem(sys.modules, "IPython", parent)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


def fit(callback: Any) -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    x = np.ones((8, 2), "float32")
    return model.fit(
        x, x[:, :1], batch_size=4, epochs=3, validation_data=(x, x[:, :1]), verbose=0,
        callbacks=[callback],
    )  # fmt: skip


def test_each_picture_has_one_epoch_more(notebook: Shown) -> None:
    history = fit(ktlite.LivePlot(["loss", "mae"], every=1e9)).history
    assert [len(figures) for figures in notebook.figures] == [3, 3]
    for count, figure in enumerate(notebook.figures[1], 1):
        drawn = [line.get_ydata().tolist() for line in figure.axes[0].lines]
        assert history["mae"][:count] in drawn and history["val_mae"][:count] in drawn


def test_steps_are_drawn_inside_an_epoch(notebook: Shown) -> None:
    fit(ktlite.LivePlot([], every=0))
    (figures,) = notebook.figures
    assert [len(f.axes[0].lines[0].get_ydata()) for f in figures] == [1, 2, 3, 4, 5, 6]


def test_a_figure_that_is_not_there_is_a_warning(
    notebook: Shown, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ktlite"):
        assert len(fit(ktlite.LivePlot(["f1"])).epoch) == 3
    (record,) = caplog.records
    assert record.getMessage().startswith("LivePlot: there is no 'f1'; there are loss, mae")


def test_nothing_is_drawn_outside_of_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert len(fit(ktlite.LivePlot()).epoch) == 3
