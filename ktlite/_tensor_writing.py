"""Writes safetensors files that whoever may read the folder can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import numpy as np


def save_tensors(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes a safetensors file, with the mode that the umask gives to new files.

    The library writes a temporary file, which its owner alone may read, and renames it: what one
    user trains, another could not serve. It also writes a transposed view's memory, not its values.

    Args:
        tensors: Arrays by name.
        path: The file; one that is there is replaced.
        metadata: What else to write into its header.

    Raises:
        SafetensorError: If it cannot be written.
    """
    from safetensors.numpy import save_file

    whole = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    save_file(whole, path, metadata=dict(metadata) if metadata else None)
    with suppress(OSError):  # of file systems without modes
        os.chmod(path, _mode_of_new_files(Path(path)))


def _mode_of_new_files(beside: Path) -> int:
    """Returns the mode of a new file in a folder.

    Asking for the umask would set it, for all threads; and default ACLs count, too.
    """
    probe = beside.with_name(f".{token_hex(8)}.tmp")
    descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        os.unlink(probe)
