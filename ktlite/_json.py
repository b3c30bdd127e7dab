"""Values of other libraries as JSON has them."""

from __future__ import annotations

from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Returns a number or an array, NumPy's or a tensor, as lists and numbers; else text.

    For `json.dumps(..., default=plain)`.
    """
    if hasattr(value, "__array__") and not hasattr(value, "tolist"):  # a tensor
        value = np.asarray(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)
