"""ktrain's path of summaries: `from ktlite.text.summarization import TransformerSummarizer`."""

from __future__ import annotations

from ktlite.text.forwarding import forwarded

__getattr__, __dir__ = forwarded(__name__, "TransformerSummarizer")
