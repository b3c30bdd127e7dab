"""The files that hold a checkpoint's tensors, read one tensor at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np

from ktlite._memory import aligned
from ktlite.errors import CheckpointError

# Those of safetensors that weights may have.
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16}
# Keras' names for what PyTorch calls weight and bias.
_PYTORCH = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias"}

# ALBERT's masked language model has two biases in TensorFlow and adds the second one only.
_IN_USE = {"predictions.bias": "predictions.decoder.bias"}


class TensorFile(Protocol):
    """An open file of tensors under PyTorch's names, shapes and layouts."""

    def names(self) -> list[str]:
        """Returns the names of all tensors."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading it."""

    def is_float(self, name: str) -> bool:
        """Says whether a tensor is floating point, of 16 to 64 bits."""

    def read(self, name: str) -> np.ndarray:
        """Returns a floating point tensor in the precision it is stored in."""

    def close(self) -> None:
        """Closes the file; what was read stays."""


def open_tensors(path: Path) -> TensorFile:
    """Opens a file by what its name ends in: `.safetensors` or `.h5`.

    Raises:
        CheckpointError: If the file is damaged, or holds something else.
    """
    return H5File(path) if path.suffix == ".h5" else SafetensorsFile(path)


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged or was not copied whole ({error}); fetch it again.")


class SafetensorsFile:
    """A safetensors file; bfloat16 is read as `ml_dtypes` has it.

    Each tensor is read from the file and not, as the library does it, through a map of the
    whole file into memory, which would double what loading needs.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np"):  # checks all of the header
                self._file = path.open("rb")
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error
        size = int.from_bytes(self._file.read(8), "little")
        header = json.loads(self._file.read(size))
        self._entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        self._start = 8 + size

    def names(self) -> list[str]:
        return list(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._entries[name]["shape"])

    def is_float(self, name: str) -> bool:
        return self._entries[name]["dtype"] in _FLOATS

    def read(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        first, last = entry["data_offsets"]
        self._file.seek(self._start + first)
        dtype = np.dtype(_FLOATS[entry["dtype"]])
        tensor = aligned(tuple(entry["shape"]), dtype)
        self._file.readinto(tensor.reshape(-1).view(np.uint8).data)
        return tensor

    def close(self) -> None:
        self._file.close()


class H5File:
    """A `tf_model.h5` of the TensorFlow classes that transformers had until 4.57, or a shard.

    Its variables are named by Keras 2's scopes. They get the names that the same class has
    in PyTorch, and kernels, which Keras keeps as [..., in, out], have their axes reversed.

    Raises:
        CheckpointError: If the file is damaged, or was not written by those classes.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise _damaged(path, error) from error
        layers = {"layer_names", "layer_names0"}  # numbered where one attribute is too small
        if not layers.intersection(self._file.attrs):
            self.close()
            raise CheckpointError(
                f"{path} is an HDF5 file, but not one of transformers' TensorFlow classes, which "
                "write a list of layers into it; a Keras model file is no checkpoint."
            )
        # Keras' own format puts the layer and the model's class before a name, a shard does not.
        scopes = 2 if "keras_version" in self._file.attrs else 0
        self._stored: dict[str, str] = {}

        def note(stored: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                # Tables that heads share are stored with each; one is enough.
                self._stored.setdefault(pytorch_name(stored, scopes), stored)

        self._file.visititems(note)
        for name, in_use in _IN_USE.items():
            if in_use in self._stored:
                self._stored[name] = self._stored[in_use]

    def names(self) -> list[str]:
        return list(self._stored)

    def shape(self, name: str) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._file[self._stored[name]].shape
        return shape[::-1] if self._is_kernel(name) else shape

    def is_float(self, name: str) -> bool:
        return self._file[self._stored[name]].dtype.kind == "f"

    def read(self, name: str) -> np.ndarray:
        tensor: np.ndarray = self._file[self._stored[name]][()]
        return tensor.T if self._is_kernel(name) else tensor

    def close(self) -> None:
        self._file.close()

    def _is_kernel(self, name: str) -> bool:
        return self._stored[name].endswith("/kernel:0")


def pytorch_name(stored: str, scopes: int) -> str:
    """Returns PyTorch's name for a variable of a TensorFlow class.

    Args:
        stored: Its path in the file, such as
            `"bert/tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0"`.
        scopes: How many levels of the path are no part of the name.

    Example:
        >>> pytorch_name("cls/tf_bert_for_masked_lm/mlm___cls/predictions/dense/kernel:0", 2)
        'cls.predictions.dense.weight'
    """
    levels = stored.split("/")
    *parents, last = levels[min(scopes, len(levels) - 1) :]
    last = last.removesuffix(":0")
    # "a___b" is b, which had to be told from another b; "_._" stands before a list's index.
    parents = [level.rpartition("___")[2].replace("_._", ".") for level in parents]
    return ".".join([*parents, _PYTORCH.get(last, last)])
