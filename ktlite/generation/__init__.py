"""Texts from a model that scores next tokens: options, rules, search, and the loop.

It needs NumPy alone: what is a model here is a `Step`.
"""

from ktlite.generation.loop import Step, generate, stream
from ktlite.generation.options import Generation
from ktlite.generation.rules import Prefixes, Rule
from ktlite.generation.search import Generated, Written
from ktlite.generation.stopping import StopStrings

__all__ = ["Generated", "Generation", "Prefixes", "Rule", "Step", "StopStrings", "Written",
           "generate", "stream"]  # fmt: skip
