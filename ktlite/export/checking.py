"""Whether an exported model gives what the Keras model does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.errors import ExportError
from ktlite.export.exported import CHOICE
from ktlite.inference.runner import Runner

# By what the weights are stored in, as a share of the largest output. Other kernels add up in
# another order; int8 rounds, and what that costs in accuracy only labelled texts tell.
_ALLOWED = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 5e-2, "int8": 0.5}


class Difference(NamedTuple):
    """How far an export is from its model.

    Args:
        largest: The largest difference of two outputs.
        scale: The largest output, as an absolute number.
        batches: Batches that were compared.
    """

    largest: float
    scale: float
    batches: int


def inputs_to_compare(model: Any, texts: Encodings | None, longest: int) -> list[dict[str, Any]]:
    """Returns batches: examples together and each alone, then random ones of several lengths.

    Args:
        model: The model.
        texts: Of examples; None: there are only random ones.
        longest: Length of the longest example that the model is for, such as its tokens.
    """
    batches = []
    if texts is not None:
        rows = np.arange(len(texts))
        batches = [texts.batch(rows), *(texts.batch(rows[i : i + 1]) for i in rows)]
    random = np.random.default_rng(0)
    drawn = [
        model.drawn(np.array([length, *random.integers(1, length + 1, size - 1)]), random)
        for size, length in ((1, 3), (1, min(16, longest)), (2, max(longest // 2, 1)), (3, longest))
    ]
    if model.task_name == CHOICE:
        drawn = [{name: np.stack([x, x[:, ::-1]], 1) for name, x in b.items()} for b in drawn]
    return [*batches, *drawn]


def compare(
    keras: Runner,
    exported: Runner,
    batches: list[dict[str, Any]],
    what: str,
    quantize: str | None = None,
    compared: Callable[[Any], Any] = lambda outputs: outputs,
) -> Difference:
    """Compares the outputs of two runners.

    Args:
        keras: Runs the model.
        exported: Runs what was written of it.
        batches: Inputs.
        what: The export, for messages.
        quantize: What the export's weights are stored in.
        compared: What of the outputs is compared.

    Raises:
        ExportError: If they differ by more than the export's precision explains.
    """
    largest = scale = 0.0
    for inputs in batches:
        for expected, found in zip(
            _arrays(compared(keras(inputs))), _arrays(compared(exported(inputs))), strict=True
        ):
            if expected.shape != found.shape:
                raise ExportError(
                    f"{what} gives outputs of shape {list(found.shape)} where the model gives "
                    f"{list(expected.shape)}, so it is not kept."
                )
            scale = max(scale, float(np.abs(expected).max()))
            # Not max(): of NaN and a number it may be the number.
            largest = float(np.maximum(largest, np.abs(expected - found).max()))
    share = max(_ALLOWED[precision] for precision in (quantize or "float32", keras.precision))
    allowed = share * max(scale, 1.0)
    if not largest <= allowed:
        raise ExportError(
            f"{what} gives other numbers than the model, so it is not kept: they differ by up to "
            f"{largest:.2g} (the outputs reach {scale:.2g}; {allowed:.2g} was allowed). Export it "
            "without quantize=, or in another format."
        )
    return Difference(largest, scale, len(batches))


def _arrays(outputs: Any) -> list[np.ndarray]:
    """Returns the outputs as float arrays, in the order of their names."""
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    return [np.asarray(named[name], "float64") for name in sorted(named)]
