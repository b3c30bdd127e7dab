"""ktrain's path of what hears: `from ktlite.text.speech import Transcriber`."""

from __future__ import annotations

from ktlite.text.forwarding import forwarded

__getattr__, __dir__ = forwarded(__name__, "Transcriber")
