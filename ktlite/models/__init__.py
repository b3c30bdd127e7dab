"""Transformer models in Keras 3, from Hugging Face checkpoints and back.

Only `keras.ops` and Keras layers are used here, so the models run on every
Keras backend.
"""

from ktlite import _keras_start  # noqa: F401  (first: loads Keras fast, without start-up noise)
from ktlite.models.auto import from_config, from_pretrained
from ktlite.models.families import Family, get_family, register_family
from ktlite.models.model import TransformerModel

__all__ = [
    "Family",
    "TransformerModel",
    "from_config",
    "from_pretrained",
    "get_family",
    "register_family",
]
