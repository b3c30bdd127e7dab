"""Arrays whose memory a tensor takes over, so that loading a model copies no weight twice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import backend, ops

_ALIGNMENT = 64  # bytes; TensorFlow ends the process over a shared tensor that begins elsewhere
_SHARED = ("float16", "float32", "float64")  # NumPy's own types, which DLPack knows


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Returns an array, not initialised, that `as_tensor` need not copy."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def as_tensor(array: np.ndarray, dtype: str) -> Any:
    """Returns an array as a tensor of the backend; under TensorFlow it takes over the memory.

    Args:
        array: Floating point. Nobody may change it afterwards.
        dtype: The tensor's.
    """
    if dtype not in _SHARED or backend.backend() != "tensorflow":
        return ops.convert_to_tensor(array.astype(dtype, copy=False))
    from tensorflow.experimental import dlpack

    flags = array.flags
    is_aligned = flags.c_contiguous and array.ctypes.data % _ALIGNMENT == 0
    if not (is_aligned and flags.writeable and array.dtype == dtype):
        copy = aligned(array.shape, dtype)
        np.copyto(copy, array, casting="unsafe")
        array = copy
    return dlpack.from_dlpack(array.__dlpack__())
