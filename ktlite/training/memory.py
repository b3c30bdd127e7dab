"""How much memory training takes, and what running out of it looks like."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MEMINFO = Path("/proc/meminfo")


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether an error is that of a device, or of the computer, without memory left."""
    import tensorflow as tf

    return isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError))


class PeakMemory:
    """The most memory, in bytes, that was taken within a `with` block.

    Of the first GPU where there is one, else of this process, where the system tells (Linux).

    Example:
        >>> with PeakMemory() as peak:
        ...     model.fit(x, y)
        >>> peak.read()
    """

    def __init__(self) -> None:
        import tensorflow as tf

        gpus = tf.config.list_logical_devices("GPU")
        self._gpu: str | None = gpus[0].name if gpus else None

    def __enter__(self) -> PeakMemory:
        if self._gpu is not None:
            import tensorflow as tf

            tf.config.experimental.reset_memory_stats(self._gpu)
        elif _CLEAR.exists():
            _CLEAR.write_text("5")  # makes the peak that of now
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def read(self) -> float:
        """Returns the peak so far; 0 where the system does not tell."""
        if self._gpu is not None:
            import tensorflow as tf

            info: dict[str, Any] = tf.config.experimental.get_memory_info(self._gpu)
            return float(info["peak"])
        return _kilobytes(_STATUS, "VmHWM:") * 1024

    @property
    def limit(self) -> float:
        """What may be taken: of a GPU all; of the computer what is taken and half of the rest."""
        if self._gpu is not None or not _MEMINFO.exists():
            return float("inf")
        free = _kilobytes(_MEMINFO, "MemAvailable:") * 1024
        return _kilobytes(_STATUS, "VmRSS:") * 1024 + free / 2


def _kilobytes(file: Path, name: str) -> float:
    """Returns a line's number from one of Linux' files; 0 where there is none."""
    if not file.exists():
        return 0.0
    lines = file.read_text().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(name)), 0.0)
