"""ktrain's path of what translates: `from ktlite.text.translation import Translator`."""

from __future__ import annotations

from ktlite.text.forwarding import forwarded

__getattr__, __dir__ = forwarded(__name__, "EnglishTranslator", "Translator")
