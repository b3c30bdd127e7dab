#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: fit on data of unknown length counts a step too many an epoch.
#
# Data: five batches from a generator, so that only running through tells how many there are.
# Guessed: after one epoch optimizer.iterations is 5, as with the same five batches as arrays. Seen:
# 6, and 18 after three epochs. The training step asks for its batch inside of the graph; where there
# is none it fails, but the count does not wait for the batch and has been raised by then. Adam's
# correction of the bias, learning-rate schedules and groups of gradient_accumulation_steps go by it.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/count.py" <<'PYTHON'
import sys
import keras
import numpy as np
import tensorflow as tf

x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
y = x.sum(axis=1, keepdims=True)


def batches():
    yield from ((x[i : i + 4], y[i : i + 4]) for i in range(0, 20, 4))


spec = (tf.TensorSpec((None, 4)), tf.TensorSpec((None, 1)))
data = {
    "arrays": tf.data.Dataset.from_tensor_slices((x, y)).batch(4),
    "generator": tf.data.Dataset.from_generator(batches, output_signature=spec),
}
counts = {}
for name, dataset in data.items():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), loss="mse", jit_compile=False)
    model.fit(dataset, epochs=1, verbose=0)
    counts[name] = [int(model.optimizer.iterations)]
    model.fit(dataset, epochs=2, verbose=0)
    counts[name].append(int(model.optimizer.iterations))
print("Keras", keras.__version__, "TensorFlow", tf.__version__, counts)
sys.exit(counts != {"arrays": [5, 15], "generator": [6, 18]})
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/count.py"
