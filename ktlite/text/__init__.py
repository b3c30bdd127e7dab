"""Texts: loaders, preprocessing, and models for them. `from ktlite import text`."""

from __future__ import annotations

import importlib
from typing import Any

from ktlite._hints import missing
from ktlite.data.dataset import Dataset as TextDataset
from ktlite.data.preprocessor import Preprocessor
from ktlite.inputs.text_augmentation import TextAugmentation
from ktlite.inputs.word_changes import Delete, Insert, Rewritten, Swap, Synonym, Typo
from ktlite.text.loaders import (
    texts_from_array,
    texts_from_csv,
    texts_from_df,
    texts_from_folder,
)
from ktlite.text.models import (
    print_text_classifiers,
    print_text_regression_models,
    text_classifier,
    text_classifiers,
    text_regression_model,
    text_regression_models,
)
from ktlite.text.standard import StandardPreprocessor
from ktlite.text.tagging import (
    entities_from_array,
    entities_from_conll2003,
    entities_from_df,
    entities_from_gmb,
    entities_from_txt,
    print_sequence_taggers,
    sequence_tagger,
    sequence_taggers,
)
from ktlite.text.textutils import extract_filenames, filter_by_id, load_text_files
from ktlite.text.tokenizer_training import train_tokenizer
from ktlite.text.transformer import Transformer

__all__ = [
    "Delete",
    "Insert",
    "Preprocessor",
    "Rewritten",
    "StandardPreprocessor",
    "Swap",
    "Synonym",
    "TextAugmentation",
    "TextDataset",
    "Transformer",
    "Typo",
    "entities_from_array",
    "entities_from_conll2003",
    "entities_from_df",
    "entities_from_gmb",
    "entities_from_txt",
    "extract_filenames",
    "filter_by_id",
    "load_text_files",
    "print_sequence_taggers",
    "print_text_classifiers",
    "print_text_regression_models",
    "sequence_tagger",
    "sequence_taggers",
    "text_classifier",
    "text_classifiers",
    "text_regression_model",
    "text_regression_models",
    "texts_from_array",
    "texts_from_csv",
    "texts_from_df",
    "texts_from_folder",
    "train_tokenizer",
]

# What ktrain has here and ktlite builds of learners and predictors, which need this package.
_APPLICATIONS = {
    "AnswerExtractor": "ktlite.applications.question_answering",
    "EnglishTranslator": "ktlite.applications.writing",
    "SimpleQA": "ktlite.applications.simple_qa",
    "TransformerEmbedding": "ktlite.applications.transformer_embedding",
    "TransformerSummarizer": "ktlite.applications.writing",
    "Transcriber": "ktlite.applications.transcribing",
    "Translator": "ktlite.applications.writing",
    "ZeroShotClassifier": "ktlite.applications.zero_shot",
}
# Modules under ktrain's names.
_KTRAINS = ("data", "ner", "qa", "speech", "summarization", "textutils", "translation", "zsl")


def __getattr__(name: str) -> Any:
    if name in _APPLICATIONS:
        return getattr(importlib.import_module(_APPLICATIONS[name]), name)
    if name in _KTRAINS:
        return importlib.import_module(f"{__name__}.{name}")
    missing(__name__, name, [*__all__, *_APPLICATIONS])


def __dir__() -> list[str]:
    return sorted({*globals(), *_APPLICATIONS, *_KTRAINS})
