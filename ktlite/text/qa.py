"""ktrain's path of what answers questions: `from ktlite.text.qa import SimpleQA`."""

from __future__ import annotations

from ktlite.text.forwarding import forwarded

__getattr__, __dir__ = forwarded(__name__, "AnswerExtractor", "SimpleQA")
