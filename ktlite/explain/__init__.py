"""Which words moved a prediction."""

from ktlite.explain.explanation import Explanation
from ktlite.explain.gradients import PathGradients
from ktlite.explain.methods import METHODS, Options, explained
from ktlite.explain.parts import shortened
from ktlite.explain.subject import Subject

__all__ = [
    "METHODS",
    "Explanation",
    "Options",
    "PathGradients",
    "Subject",
    "explained",
    "shortened",
]
