"""Imports Keras and TensorFlow: fast, and without their start-up noise on the screen.

Of some 3.3 seconds of processor time this saves 1.6. A fourth of them goes into the garbage
collector, which looks in vain through the ever more objects of modules; a fifth into scikit-learn
and matplotlib, which Keras imports for its wrappers and its image galleries.
"""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from ktlite._extras import needs_extra
from ktlite._stderr import stderr_without

# TensorFlow's C++ side logs before any of its own switches for it is read
# (TF_CPP_MIN_LOG_LEVEL has no effect on these lines in 2.21).
_NOISE = r"(WARNING: All log messages before absl|[IWE]\d{4} |To enable the following)"
# Executed when something in them is asked for.
_LATER = {
    f"{keras}.{name}"
    for keras in ("keras", "keras._tf_keras.keras", "keras.src")
    for name in ("visualization", "wrappers")
}


class _LaterModule(ModuleType):
    """A module that is executed by the first look-up of a name that it does not have.

    `importlib.util.LazyLoader` would do, were it safe in threads in every version of Python, and
    did not each look through `sys.modules` for the modules' files wake it.
    """

    def __init__(self, name: str, loader: Loader) -> None:
        super().__init__(name)
        self._lock, self._loaders = threading.RLock(), [loader]

    def _execute(self) -> None:
        with self._lock:
            if self._loaders:
                self._loaders.pop().exec_module(self)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") or name == "__all__":
            self._execute()
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        self._execute()
        return list(super().__dir__())


class _LaterLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _LaterModule(spec.name, self.loader)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _LaterFinder:
    """Finds the modules that are to be executed later."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in _LATER else None
        if spec is not None and spec.loader is not None:
            spec.loader = _LaterLoader(spec.loader)
        return spec


@contextmanager
def _collector_paused() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # else somebody's frozen objects would thaw
            # All that there is becomes old, or the next collection would look at each.
            gc.freeze()
            gc.unfreeze()
        if was_on:
            gc.enable()


def import_keras() -> None:
    """Imports Keras and its backend once; start-up log lines are dropped, all else is shown.

    Those of a Keras that was imported before are on the screen already, but for the devices'.

    Raises:
        ArgumentError: If they are not installed.
    """
    if "keras" in sys.modules:
        with stderr_without(_NOISE):
            _look_for_devices()
        return
    needed = needs_extra("train", "training, or predicting in Keras,")
    with needed, stderr_without(_NOISE), _collector_paused():
        sys.meta_path.insert(0, _LaterFinder)
        try:
            importlib.import_module("keras")
        finally:
            sys.meta_path.remove(_LaterFinder)
        _look_for_devices()


def _look_for_devices() -> None:
    """Has TensorFlow look for drivers, and log an error where there are none, unseen.

    Devices can still be configured afterwards.
    """
    import keras

    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.list_physical_devices()


import_keras()
