#!/usr/bin/env bash
# TensorFlow 2.21.0: LiteRT converts GELU in one spelling; in another, equal one, it has no Erf.
#
# Guessed: x * (0.5 + 0.5 * erf(x / sqrt(2))) is converted where 0.5 * x * (1 + erf(x / sqrt(2))) is:
# the operators are the same, and so are the numbers. Seen: the second becomes LiteRT's own GELU;
# the first raises ConverterError, which names Erf as an operator that only TensorFlow's kernels
# (SELECT_TF_OPS) have. So a model's author who takes the 0.5 into the bracket can no longer export.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import math
import sys

import numpy as np
import tensorflow as tf

SHARE = math.sqrt(0.5)


class Gelu(tf.Module):
    def __init__(self, spelling):
        super().__init__()
        self.run = tf.function(spelling, input_signature=[tf.TensorSpec([1, 8], "float32")])


def converted(spelling):
    module = Gelu(spelling)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.run.get_concrete_function()], module
    )
    try:
        return "converted" if converter.convert() else "nothing"
    except Exception as error:
        assert "Erf" in str(error), error
        return type(error).__name__


SPELLINGS = {
    "0.5 * x * (1 + erf(x * s))": lambda x: 0.5 * x * (1.0 + tf.math.erf(x * SHARE)),
    "x * (0.5 + 0.5 * erf(x * s))": lambda x: x * (0.5 + 0.5 * tf.math.erf(x * SHARE)),
}
x = tf.constant(np.linspace(-4, 4, 8, dtype="float32")[None])
values = [spelling(x).numpy() for spelling in SPELLINGS.values()]
print("TensorFlow", tf.__version__)
print("largest difference of the values:", float(np.abs(values[0] - values[1]).max()))
found = {name: converted(spelling) for name, spelling in SPELLINGS.items()}
for name, what in found.items():
    print(f"{name}: {what}")
sys.exit(list(found.values()) != ["converted", "ConverterError"])
PYTHON
