"""Imports Keras and TensorFlow without their start-up noise on the screen."""

from __future__ import annotations

import sys

from ktlite._stderr import stderr_without

# TensorFlow's C++ side logs before any of its own switches for it is read
# (TF_CPP_MIN_LOG_LEVEL has no effect on these lines in 2.21).
_NOISE = r"(WARNING: All log messages before absl|[IWE]\d{4} |To enable the following)"


def import_keras() -> None:
    """Imports Keras and its backend once; start-up log lines are dropped, all else is shown."""
    if "keras" in sys.modules:
        return
    with stderr_without(_NOISE):
        import keras

        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            # Looks for the driver, which logs an error where there is none, while
            # nobody is watching. Devices can still be configured afterwards.
            tf.config.list_physical_devices()


import_keras()
