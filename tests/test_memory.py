"""Arrays that become tensors without a copy."""

from __future__ import annotations

import keras
import ml_dtypes
import numpy as np
import pytest

from ktlite._memory import aligned, as_tensor


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5), (30, 17, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16])
def test_aligned_arrays_begin_where_tensors_may(shape: tuple[int, ...], dtype: object) -> None:
    array = aligned(shape, dtype)
    assert array.shape == shape and array.dtype == dtype
    assert array.size == 0 or array.ctypes.data % 64 == 0


def test_an_aligned_array_shares_its_memory() -> None:
    array = aligned((4, 3), "float32")
    array[:] = 1
    tensor = as_tensor(array, "float32")
    array[2, 1] = 5
    assert keras.ops.convert_to_numpy(tensor)[2, 1] == 5


VALUES = np.arange(24, dtype="float32").reshape(4, 6) / 8


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "array",
    [
        VALUES,
        VALUES.T,
        VALUES[1:, 1:],
        np.asfortranarray(VALUES),
        read_only(VALUES),
        VALUES.astype("float16"),
        VALUES.astype(ml_dtypes.bfloat16),
        VALUES.astype("float64"),
        VALUES[0, 0],
        VALUES[:0],
    ],
    ids=["as it is", "transposed", "a part", "columns first", "read-only", "float16", "bfloat16",
         "float64", "a number", "empty"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_any_array_keeps_its_values(array: np.ndarray, dtype: str) -> None:
    array = np.asarray(array)
    tensor = as_tensor(array, dtype)
    assert keras.backend.standardize_dtype(tensor.dtype) == dtype
    found = keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
    np.testing.assert_array_equal(found, array.astype("float32"))


def test_a_variable_of_shared_memory_trains() -> None:
    array = aligned((4,), "float32")
    array[:] = 1
    variable = keras.Variable(lambda shape, dtype: as_tensor(array, dtype), shape=(4,))
    variable.assign_add([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(variable.numpy(), [2, 3, 4, 5])
