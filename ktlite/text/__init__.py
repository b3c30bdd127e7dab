"""Texts: loaders, preprocessing, and models for them. `from ktlite import text`."""

from ktlite.text.dataset import TextDataset
from ktlite.text.loaders import (
    texts_from_array,
    texts_from_csv,
    texts_from_df,
    texts_from_folder,
)
from ktlite.text.models import text_classifier, text_regression_model
from ktlite.text.preprocessor import Preprocessor
from ktlite.text.tagging import (
    entities_from_array,
    entities_from_conll2003,
    entities_from_df,
    entities_from_gmb,
    entities_from_txt,
    sequence_tagger,
)
from ktlite.text.tokenizer_training import train_tokenizer
from ktlite.text.transformer import Transformer

__all__ = [
    "Preprocessor",
    "TextDataset",
    "Transformer",
    "entities_from_array",
    "entities_from_conll2003",
    "entities_from_df",
    "entities_from_gmb",
    "entities_from_txt",
    "sequence_tagger",
    "text_classifier",
    "text_regression_model",
    "texts_from_array",
    "texts_from_csv",
    "texts_from_df",
    "texts_from_folder",
    "train_tokenizer",
]
