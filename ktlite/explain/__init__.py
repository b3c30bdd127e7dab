"""What moved a prediction: which words, which patches."""

from ktlite.explain.explanation import Explanation
from ktlite.explain.gradients import PathGradients
from ktlite.explain.methods import METHODS, Options, explained
from ktlite.explain.subject import Subject

__all__ = [
    "METHODS",
    "Explanation",
    "Options",
    "PathGradients",
    "Subject",
    "explained",
]
