"""Writes tests/golden/ktrain/: tiny predictors that ktrain saved, and what it predicts with them.

The files in git are what the tests read; this script says how they were made. It needs Python
3.11 in an environment of its own, because these versions and ktlite's exclude each other:

    pip install ktrain==0.41.4 tensorflow-cpu==2.19.1 "tf-keras~=2.19.0" transformers==4.57.6
    TF_USE_LEGACY_KERAS=1 python tests/golden/make_ktrain.py

Each folder is what `predictor.save` wrote; `expected.json` holds the texts, and what
`predictor.predict(texts, return_proba=True)` gave.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ktrain
import tensorflow as tf
from ktrain import text
from transformers import BertConfig, TFBertModel

GOLDEN = Path(__file__).resolve().parent
TEXTS = ["the cat sat on the mat", "a dog ran", "the dog and the cat", "it was a good film"] * 4
PAIRS = [("the cat sat", "a dog ran"), ("it was good", "the film"), ("a cat", "a cat")] * 4
# Labels, class names, texts. Labels that are strings name the classes themselves.
CASES: dict[str, tuple[list[Any], list[str], list[Any]]] = {
    "classification": (["pos", "neg", "unsure", "pos"] * 4, [], TEXTS),
    "multilabel": ([[1, 0], [0, 1], [1, 1], [0, 0]] * 4, ["toxic", "threat"], TEXTS),
    "regression": ([1.5, -2.0, 0.25, 4.0] * 4, [], TEXTS),
    "pairs": (["same", "other", "same"] * 4, [], PAIRS),
}


def main() -> None:
    tf.keras.utils.set_random_seed(7)
    out = GOLDEN / "ktrain"
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # ktrain writes the path of the checkpoint down
        checkpoint = Path("bert-tiny")
        shutil.copytree(GOLDEN / "tiny-tokenizer", checkpoint)
        words = len((checkpoint / "vocab.txt").read_text().split())
        config = BertConfig(
            vocab_size=words,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=24,
            initializer_range=0.5,
        )
        model = TFBertModel(config)
        model(model.dummy_inputs)
        model.save_pretrained(checkpoint, safe_serialization=False)
        for name, (labels, names, texts) in CASES.items():
            t = text.Transformer(str(checkpoint), maxlen=12, class_names=names)
            train = t.preprocess_train(texts, labels, verbose=0)
            regression = name == "regression"
            made = t.get_regression_model() if regression else t.get_classifier()
            learner = ktrain.get_learner(made, train_data=train, batch_size=4)
            learner.fit(1e-2, 1, verbose=0)
            predictor = ktrain.get_predictor(learner.model, preproc=t)
            predictor.save(str(out / name))
            some: list[Any] = [*texts[:4], ("a", "b") if name == "pairs" else "one " * 30]
            found = predictor.predict(some, return_proba=True).tolist()
            expected = {"texts": some, "classes": predictor.get_classes(), "predicted": found}
            (out / name / "special_tokens_map.json").unlink()  # nobody reads these two
            (out / name / "vocab.txt").unlink()
            (out / name / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
