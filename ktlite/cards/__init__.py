"""What a trained model says of itself: the run card, the model card, and runs compared."""

from ktlite.cards.comparison import Comparison, compare
from ktlite.cards.facts import described, environment, fingerprint
from ktlite.cards.model_card import write_model_card
from ktlite.cards.run_card import RunCard

__all__ = [
    "Comparison",
    "RunCard",
    "compare",
    "described",
    "environment",
    "fingerprint",
    "write_model_card",
]
