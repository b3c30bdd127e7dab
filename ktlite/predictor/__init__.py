"""From raw texts to predictions, and the folder that keeps everything needed for it."""

from ktlite.predictor.loading import load_predictor
from ktlite.predictor.predictor import Predictor

__all__ = ["Predictor", "load_predictor"]
