"""Predicts on one device and on two logical CPUs, and writes what came of it as JSON.

A program of its own, since TensorFlow's devices must be set before anything uses them:
`two_devices.py PREDICTOR CHECKPOINT RESULT`.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

import ktlite
from ktlite.errors import ArgumentError
from ktlite.inference.runner import Forward

DEVICES = ["CPU:0", "CPU:1"]


def texts(count: int) -> list[str]:
    rng = random.Random(0)
    return [" ".join(rng.choices("abcxyz", k=rng.randint(1, 20))) for _ in range(count)]


def on(devices: list[str] | None, folder: str) -> dict[str, Any]:
    """Does what a user does with a predictor, and returns all that it says."""
    predictor = ktlite.load_predictor(folder, batch_size=4, devices=devices)
    some = texts(50)
    return {
        "predict": predictor.predict(some),
        "predict_proba": predictor.predict_proba(some).tolist(),
        "predict_stream": list(predictor.predict_stream(some, chunk=20)),
        "embed": predictor.embed(some).tolist(),
        "one text": predictor.predict_proba(some[0]).tolist(),
    }


def computed(folder: str, devices: list[str]) -> dict[str, list[str]]:
    """Returns, for each device that was used, where its program runs and its weights lie."""
    predictor = ktlite.load_predictor(folder, batch_size=4, devices=devices, verify=False)
    predictor.predict(texts(50))
    forward = predictor._forward
    assert isinstance(forward, Forward)
    places = {}
    for (device, _), function in forward._traced.items():
        graph = function.graph
        placed = {op.device for op in graph.get_operations() if "MatMul" in op.type}
        placed |= {tensor.device for tensor, _ in graph.captures if tensor.dtype == tf.resource}
        places[str(device)] = sorted(tf.DeviceSpec.from_string(name).to_string() for name in placed)
    return places


def validated(checkpoint: str, devices: list[str] | None) -> list[Any]:
    labels = ["ham", "spam", "toast"] * 20
    learner = ktlite.get_learner(
        checkpoint, (texts(60), labels), batch_size=8, maxlen=24, devices=devices, verbose=0
    )
    learner.freeze()
    vectors = learner._feeds()[0].data.kept.vectors
    return [
        learner.validate(print_report=False).tolist(),
        [*learner.predict().tolist(), *vectors[:, :3].tolist()],
    ]


def failure(folder: str) -> str:
    """Returns what is said where a batch fails on one of the devices."""
    predictor = ktlite.load_predictor(folder, batch_size=4, devices=DEVICES)
    predictor.preproc.task.reduce = lambda *args: 1 // 0
    try:
        predictor.predict(texts(50))
    except ZeroDivisionError as error:
        return str(error)
    return ""


def refusal(folder: str, devices: list[str]) -> str:
    try:
        ktlite.load_predictor(folder, devices=devices)
    except ArgumentError as error:
        return str(error)
    return ""


def main(folder: str, checkpoint: str, result: str) -> None:
    results = {
        "one": on(None, folder),
        "two": on(DEVICES, folder),
        "again": on(DEVICES, folder),
        "computed": computed(folder, DEVICES),
        "computed on the second": computed(folder, DEVICES[1:]),
        "validated": [validated(checkpoint, None), validated(checkpoint, DEVICES)],
        "failure": failure(folder),
        "refusal": refusal(folder, ["CPU:0", "GPU:7"]),
    }
    Path(result).write_text(json.dumps(results))


if __name__ == "__main__":
    cpus = tf.config.list_physical_devices("CPU")[:1]
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    main(*sys.argv[1:])
