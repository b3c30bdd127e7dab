"""How Keras is imported."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, sys, threading

import ktlite.models

heavy = {"sklearn", "matplotlib"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
for module in sys.modules.values():  # as `inspect` and `pickle` look through them
    hasattr(module, "__file__")
assert not heavy & sys.modules.keys()
assert gc.isenabled()

import keras, tensorflow

found = []
threads = [
    threading.Thread(target=lambda: found.append(keras.wrappers.SKLearnClassifier))
    for _ in range(8)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(found) == 8 and len(set(found)) == 1
assert tensorflow.keras.wrappers.SKLearnClassifier is found[0]
assert "plot_image_gallery" in dir(keras.visualization)
from keras.wrappers import *

assert SKLearnRegressor is keras.wrappers.SKLearnRegressor
assert not hasattr(keras.wrappers, "nothing")
"""


def test_what_a_text_model_never_uses_is_imported_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=300)
