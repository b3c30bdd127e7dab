"""ktrain's path of zero-shot classification: `from ktlite.text.zsl import ZeroShotClassifier`."""

from __future__ import annotations

from ktlite.text.forwarding import forwarded

__getattr__, __dir__ = forwarded(__name__, "ZeroShotClassifier")
