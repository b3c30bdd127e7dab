"""What is asked for under a name of ktrain, fastai or Hugging Face: what to use here.

A name that is not there answers with an `AttributeError`, as any does, so that `hasattr` and
`getattr(x, name, default)` work; its message says what to do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn

from ktlite.errors import did_you_mean

_ANY_MODEL = "ktlite.get_learner(model, train_data=(x, y)) trains any compiled Keras model."
_GENERATION = (
    "A checkpoint that writes does it: ktlite.get_learner(checkpoint, data, task={!r}), and its "
    "predictor."
)
_FIT = "learner.fit_onecycle(lr, epochs)."

# The public names of `ktlite.text`, which is not imported to look for one.
TEXT_NAMES = (
    "Delete", "Insert", "Preprocessor", "Rewritten", "StandardPreprocessor", "Swap", "Synonym",
    "TextAugmentation", "TextDataset", "Transformer", "TransformerEmbedding", "Typo",
    "entities_from_array", "entities_from_conll2003", "entities_from_df", "entities_from_gmb",
    "entities_from_txt", "print_sequence_taggers", "print_text_classifiers",
    "print_text_regression_models", "sequence_tagger", "sequence_taggers", "text_classifier",
    "text_classifiers", "text_regression_model", "text_regression_models", "texts_from_array",
    "texts_from_csv", "texts_from_df", "texts_from_folder", "train_tokenizer",
)  # fmt: skip

# Those of `ktlite.vision`.
VISION_NAMES = (
    "RandAugment", "RandomErasing", "StandardImagePreprocessor", "get_data_aug",
    "image_classifier", "image_classifiers",
    "image_regression_model", "image_regression_models", "images_from_array", "images_from_csv",
    "images_from_df", "images_from_fname", "images_from_folder", "preprocess_csv",
    "preview_data_aug", "print_image_classifiers", "print_image_regression_models", "show_image",
    "show_random_images",
)  # fmt: skip

#: Names of modules and functions that ktrain and others have and ktlite lacks, by module.
MODULES: dict[str, dict[str, str]] = {
    "ktlite": {
        **{name: f"It is ktlite.text.{name}." for name in TEXT_NAMES},
        **{name: f"It is ktlite.vision.{name}." for name in VISION_NAMES},
        "tabular": f"Tables are not covered here: take scikit-learn, or Keras; {_ANY_MODEL}",
        "graph": f"Graphs are not covered here: take a graph library; {_ANY_MODEL}",
        "core": "The learner is ktlite.Learner, the functions are ktlite.get_learner and others.",
        "imports": "Import keras, numpy, ... by themselves: `import keras`.",
        "utils": "Datasets and learners answer for themselves: len(data), data.y, preproc.",
        "lroptimize": "Schedules: learner.fit, fit_onecycle and autofit.",
        "data": "Loaders are in ktlite.text and ktlite.vision.",
        "dataset": "For your own data, pass a keras.utils.PyDataset or tf.data.Dataset.",
        "TextDataset": "For your own data, pass a keras.utils.PyDataset to ktlite.get_learner.",
        "SequenceDataset": "For your own data, pass a keras.utils.PyDataset to ktlite.get_learner.",
        "TFDataset": "Pass a batched tf.data.Dataset to ktlite.get_learner as it is.",
        "ArrayLearner": "There is one class for all data: ktlite.Learner.",
        "GenLearner": "There is one class for all data: ktlite.Learner.",
        "release_gpu_memory": "TensorFlow frees a GPU when its process ends: use a process of its "
        "own, or keras.backend.clear_session().",
        "pipeline": "Predictors: ktlite.load_predictor(folder).predict(text).",
        "Trainer": "ktlite.get_learner(checkpoint, train_data=...) brings model and data together.",
        "AutoModel": "ktlite.load_model(checkpoint, None).",
        "AutoModelForSequenceClassification": "ktlite.load_model(checkpoint).",
        "AutoModelForTokenClassification": "ktlite.load_model(checkpoint, 'token-classification').",
        "AutoModelForQuestionAnswering": "ktlite.load_model(checkpoint, 'question-answering').",
        "AutoTokenizer": "transformers.AutoTokenizer; a preprocessor has its own.",
        "from_pretrained": "ktlite.load_model(checkpoint).",
        "text_classifier_learner": "ktlite.get_learner(checkpoint, train_data=...).",
        "TextDataLoaders": "ktlite.get_learner(checkpoint, train_data=...) reads the data.",
        "load_learner": "ktlite.load_predictor(folder).",
    },
    "ktlite.text": {
        "shallownlp": "Classify with texts_from_array and text_classifier('nbsvm', ...); find "
        "names with entities_from_* and sequence_tagger.",
        "kw": "Keywords are not covered here; KeyBERT and YAKE extract them.",
        "KeywordExtractor": "Keywords are not covered here; KeyBERT and YAKE extract them.",
        "eda": "Topics are not covered here: take scikit-learn's LatentDirichletAllocation, or "
        "group the vectors of ktlite.get_embedder. For similar texts: ktlite.SemanticSearch.",
        "get_topic_model": "Topics are not covered here: take scikit-learn's "
        "LatentDirichletAllocation, or group the vectors of ktlite.get_embedder. For texts like "
        "others, and recommendations: ktlite.SemanticSearch.",
        "load_topic_model": "Topics are not covered here: keep scikit-learn's models yourself.",
        "LexRankSummarizer": "Summaries are not covered here; sumy has LexRank.",
        "sentiment": "Load a checkpoint that was trained for it: ktlite.load_model(checkpoint), or "
        "ktlite.ZeroShotClassifier().predict(text, ['positive', 'negative']).",
        "SentimentAnalyzer": "Load a checkpoint that was trained for it, or "
        "ktlite.ZeroShotClassifier().predict(text, ['positive', 'negative']).",
        "generative_ai": _GENERATION.format("text-generation"),
        "LLM": _GENERATION.format("text-generation"),
        "textextractor": "Files of other programs are not read here; textract and Tika do.",
        "TextExtractor": "Files of other programs are not read here; textract and Tika do.",
        "predictor": "ktlite.Predictor, made by ktlite.get_predictor.",
        "TextPredictor": "ktlite.Predictor, made by ktlite.get_predictor.",
        "NERPredictor": "ktlite.Predictor, made by ktlite.get_predictor.",
        "learner": "ktlite.Learner, made by ktlite.get_learner.",
    },
    "ktlite.vision": {
        "ImagePredictor": "ktlite.Predictor, made by ktlite.get_predictor.",
        "predictor": "ktlite.Predictor, made by ktlite.get_predictor.",
        "learner": "ktlite.Learner, made by ktlite.get_learner.",
        "preprocessor": "Loaders return one; ktlite.text.Transformer makes that of a checkpoint.",
        "data": "Loaders are in ktlite.vision.",
        "wrn": "Take a ViT or DeiT checkpoint, or image_classifier('default_cnn', ...).",
        "caption": "Captions are not covered here; use transformers' pipeline('image-to-text').",
        "object_detection": "Objects are not found in images here; use transformers' "
        "pipeline('object-detection').",
    },
}


def missing(module: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raises what a module's `__getattr__` has to for a name that is not there.

    Args:
        module: The module's name.
        name: What was asked for.
        known: Its public names, to suggest the nearest.

    Raises:
        AttributeError: With what to use in its place.
        ImportError: The same in `from module import name`, where Python would drop the message of
            an AttributeError.
    """
    hint = MODULES.get(module, {}).get(name)
    text = _said(hint) if hint else did_you_mean(name, known)
    message = f"module {module!r} has no attribute {name!r}.{text}"
    if hint and _is_import(sys._getframe(2)):
        raise ImportError(message)
    raise AttributeError(message)


def _said(hint: str) -> str:
    """Returns a hint as a sentence: those that begin with code say what to use."""
    return f" {hint}" if hint[0].isupper() else f" Use {hint}"


def _is_import(frame: Any) -> bool:
    """Says whether a frame is that in which Python looks for the names of a `from` import."""
    return (
        frame.f_code.co_name == "_handle_fromlist"
        and frame.f_globals.get("__name__") == "importlib._bootstrap"
    )


class Hinted:
    """Names that are not there say what to use: a class of its own names, and the nearest ones."""

    #: What to use in place of names of other libraries.
    _hints: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        kind = type(self)
        if name in dir(kind):  # a property that raised an AttributeError of its own
            return object.__getattribute__(self, name)
        message = f"{kind.__name__!r} object has no attribute {name!r}."
        if not name.startswith("_"):
            hint = kind._hints.get(name)
            known = [known for known in dir(kind) if not known.startswith("_")]
            message += _said(hint) if hint else did_you_mean(name, known)
        raise AttributeError(message)


LEARNER = {
    "fit_one_cycle": _FIT,
    "fine_tune": f"{_FIT} To train the head alone at first: learner.freeze(), then unfreeze().",
    "finetune": _FIT,
    "train": _FIT,
    "fit_flat_cos": _FIT,
    "fit_sgdr": "learner.fit(lr, n_cycles, cycle_len=1, cycle_mult=2).",
    "freeze_to": "learner.freeze(n).",
    "recorder": "learner.lr_plot(), learner.plot() and learner.history.",
    "get_preds": "learner.predict().",
    "predict_proba": "learner.predict() of data, or learner.get_predictor().predict_proba(texts).",
    "show_results": "learner.view_top_losses().",
    "score": "learner.metrics().",
    "test": "learner.validate(data).",
    "confusion_matrix": "learner.validate() returns it.",
    "classification_report": "learner.validate() shows it.",
    "explain": "learner.get_predictor().explain(text).",
    "export": "learner.get_predictor().export(folder), or .save(folder).",
    "save": "learner.save_model(folder), or learner.get_predictor().save(folder).",
    "save_pretrained": "learner.save_model(folder).",
    "load": "learner.load_model(folder).",
    "load_weights": "learner.load_model(folder).",
    "push_to_hub": "learner.save_model(folder), then huggingface_hub.upload_folder.",
    "compile": "learner.model.compile(...), before ktlite.get_learner.",
    "summary": "learner.print_layers(), or learner.model.summary().",
    "classes": "learner.preproc.get_classes().",
    "get_classes": "learner.preproc.get_classes().",
    "tokenizer": "learner.preproc.tokenizer.",
    "dls": "learner.train_data and learner.val_data.",
}
PREDICTOR = {
    "fit": "A predictor is trained already: ktlite.get_learner trains.",
    "train": "A predictor is trained already: ktlite.get_learner trains.",
    "classify": "predictor.predict(texts).",
    "predict_classes": "predictor.predict(texts).",
    "decision_function": "predictor.logits(texts).",
    "transform": "predictor.embed(texts).",
    "encode": "predictor.embed(texts).",
    "score": "predictor.metrics(data).",
    "validate": "predictor.evaluate(data), which shows a report; .metrics(data) gives figures.",
    "test": "predictor.evaluate(data).",
    "confusion_matrix": "predictor.evaluate(data) gives it.",
    "classification_report": "predictor.evaluate(data) shows it.",
    "predict_proba_filename": "predictor.predict_filename(path, return_proba=True).",
    "predict_proba_folder": "predictor.predict_folder(folder, return_proba=True).",
    "predict_generator": "predictor.predict(items), or the command ktlite predict.",
    "analyze_valid": "predictor.evaluate(data).",
    "classes": "predictor.get_classes().",
    "classes_": "predictor.get_classes().",
    "class_names": "predictor.get_classes().",
    "labels": "predictor.get_classes().",
    "c": "predictor.get_classes().",
    "load": "ktlite.load_predictor(folder).",
    "save_model": "predictor.save(folder).",
    "save_pretrained": "predictor.export(folder, 'huggingface').",
    "push_to_hub": "predictor.export(folder, 'huggingface'), then huggingface_hub.upload_folder.",
    "to_onnx": "predictor.export(folder, 'onnx').",
    "export_onnx": "predictor.export(folder, 'onnx').",
    "to_tflite": "predictor.export(folder, 'litert').",
    "tokenizer": "predictor.preproc.tokenizer.",
}
PREPROCESSOR = {
    "fit": "preproc.preprocess_train(texts, labels).",
    "fit_transform": "preproc.preprocess_train(texts, labels).",
    "transform": "preproc.preprocess_test(texts, labels).",
    "get_model": "preproc.get_classifier().",
    "set_classes": "Pass class_names= where the preprocessor is made.",
    "classes": "preproc.get_classes().",
}
