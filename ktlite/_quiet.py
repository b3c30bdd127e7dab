"""Imports Keras and TensorFlow without their start-up noise on the screen."""

from __future__ import annotations

import os
import re
import sys
import tempfile

# TensorFlow's C++ side logs before any of its own switches for it is read
# (TF_CPP_MIN_LOG_LEVEL has no effect on these lines in 2.21).
_NOISE = re.compile(r"(WARNING: All log messages before absl|[IWE]\d{4} |To enable the following)")


def import_keras() -> None:
    """Imports Keras and its backend once; start-up log lines are dropped, all else is shown."""
    if "keras" in sys.modules:
        return
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            import keras

            if keras.config.backend() == "tensorflow":
                import tensorflow as tf

                # Looks for the driver, which logs an error where there is none, while
                # nobody is watching. Devices can still be configured afterwards.
                tf.config.list_physical_devices()
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines():
                if line.strip() and not _NOISE.match(line):
                    sys.stderr.write(line + "\n")


import_keras()
