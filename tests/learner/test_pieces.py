"""`micro_tokens=`: a step that runs its batch in pieces takes the step of the whole batch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.models import from_config
from ktlite.tasks import Similarity
from ktlite.training.pieces import pieces_of

LONG = ["In", "Berlin", "a", "man", "slept", "well", "and", "woke", "up", "again"]
SENTENCES = [["Ann"], LONG, ["Bob", "ran"], LONG, ["Eve"], LONG[:6], ["Joe"], LONG, ["Tom"]]
TAGS = [["B-LOC" if word == "Berlin" else "O" for word in words] for words in SENTENCES]
WORDS = [" ".join(words) for words in SENTENCES]
CLASSES = ["ham", "spam", "spam"] * 3
PAIRS = [(text, other) for text, other in zip(WORDS, WORDS[::-1], strict=True)]
CONTEXTS = [("who?", f"{name} saw the cat") for name in ("Ann", "Bob", "Eve")] * 3
SPANS = [{"text": [name], "answer_start": [0]} for name in ("Ann", "Bob", "Eve")] * 3

# Nine texts in batches of 4: pieces of one row or two, of which some have no tag that counts.
PIECES = 30
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "classes": ((WORDS, CLASSES), {"ema": 0.5, "sample_weight": np.linspace(0.5, 2, 9)}),
    "focal": ((WORDS, CLASSES), {"loss": "focal", "accumulate": 2, "remat": True}),
    "values": ((WORDS, np.linspace(0, 1, 9)), {"task": "regression", "xla": True}),
    "float16": ((WORDS, CLASSES), {"precision": "float16"}),
    "adapters": ((WORDS, CLASSES), {"lora": 2}),
    "tags": ((SENTENCES, TAGS), {"task": "token-classification"}),
    "answers": ((CONTEXTS, SPANS), {"task": "question-answering"}),
    "scores": ((PAIRS, np.linspace(0, 1, 9)), {"task": Similarity("cosine")}),
}


def learner(folder: Path, data: Any, micro_tokens: Any, **options: Any) -> Any:
    options = {"maxlen": 24, "batch_size": 4, "verbose": 0, "check": False, **options}
    here = ktlite.get_learner(folder, data, data, micro_tokens=micro_tokens, **options)
    # Steps in proportion to gradients, which differ by rounding.
    getattr(here.model.optimizer, "inner_optimizer", here.model.optimizer).epsilon = 1.0
    return here


def weights(here: Any) -> np.ndarray:
    held = here.model.trainable_weights
    return np.concatenate([keras.ops.convert_to_numpy(weight).ravel() for weight in held])


class Runs:
    """Notes rows and tokens of each piece, where the graph runs."""

    def __init__(self, here: Any) -> None:
        import tensorflow as tf

        self.seen: list[list[int]] = []
        call = here.model.call

        def noting(inputs: Any, training: Any = None) -> Any:
            if training:
                shapes = [tf.shape(x)[:2] for x in inputs.values() if len(x.shape) > 1]
                noted = tf.numpy_function(self.note, [shapes[0]], "int32")
                with tf.control_dependencies([noted]):
                    inputs = {name: tf.identity(x) for name, x in inputs.items()}
            return call(inputs, training=training)

        here.model.call = noting

    def note(self, shape: np.ndarray) -> np.ndarray:
        self.seen.append(shape.tolist())
        return shape

    def check(self, tokens: int | None, batch: int = 4) -> None:
        """Checks that all pieces are as small as they have to be, and some batches were cut."""
        rows = [rows for rows, _ in self.seen]
        if tokens is None:
            assert max(rows) == batch
        else:
            assert all(rows == 1 or rows * width <= tokens for rows, width in self.seen)
            assert rows.count(1) > 4


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_take_the_step_of_the_batch(still_checkpoint: Path, kind: str) -> None:
    data, options = KINDS[kind]
    found = []
    for tokens in (PIECES, None):
        here = learner(still_checkpoint, data, tokens, **options)
        runs, before = Runs(here), weights(here)
        class_weight = {"ham": 2.0, "spam": 0.5} if kind == "classes" else None
        history = here.fit_onecycle(0.5, 2, class_weight=class_weight, verbose=0).history
        assert np.abs(weights(here) - before).max() > 1e-3
        runs.check(tokens)
        measured = [name for name in history if name not in ("lr", "momentum", "iterations")]
        found.append((weights(here), [history[name] for name in measured]))
    atol = 2e-3 if kind == "float16" else 1e-5
    for pieces, whole in zip(*found, strict=True):
        np.testing.assert_allclose(pieces, whole, atol=atol)


def test_masked_words_count_by_their_number(still_checkpoint: Path) -> None:
    """ALBERT: a mean over masked words, few or many a row, and one over texts; a tied table."""
    config = {
        "model_type": "albert",
        "embedding_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 32,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout_prob": 0.0,
    }
    texts = [f"a b {'c ' * (i % 7)}. x y {'z ' * (i % 5)}" for i in range(9)]
    found = []
    for tokens in (PIECES, None):
        here = ktlite.get_pretrainer(
            config, texts, texts, tokenizer=still_checkpoint, maxlen=24, batch_size=4,
            mask_probability=0.4, verbose=0, micro_tokens=tokens,
        )  # fmt: skip
        here.model.optimizer.epsilon = 1.0
        runs = Runs(here)
        history = here.fit_onecycle(0.5, 2, verbose=0).history
        runs.check(tokens)
        found.append((weights(here), history["loss"], history["val_loss"]))
    for pieces, whole in zip(*found, strict=True):
        np.testing.assert_allclose(pieces, whole, atol=1e-5)


def test_two_towers_run_together(golden: Path, tmp_path: Path) -> None:
    shutil.copytree(golden / "writers" / "marian", tmp_path / "marian")
    config = json.loads((golden / "marian" / "config.json").read_text())
    vocabulary = json.loads((tmp_path / "marian" / "vocab.json").read_bytes())
    config |= {key: 0.0 for key in config if "drop" in key}
    ids = {"pad_token_id": vocabulary["<pad>"], "eos_token_id": vocabulary["</s>"]}
    ids |= {"decoder_start_token_id": ids["pad_token_id"]}
    ids |= {"forced_eos_token_id": ids["eos_token_id"]}
    config |= {**ids, "vocab_size": len(vocabulary), "decoder_vocab_size": len(vocabulary)}
    model = from_config(config, "translation", seed=1)
    model.save_pretrained(tmp_path / "marian", tokenizer=False)
    words = [" ".join(["film", "price", "room"][: 1 + i % 3]) for i in range(9)]
    data = words, [" ".join(["Film"] * (1 + i % 4)) for i in range(9)]
    found = []
    for tokens in (PIECES, None):
        here = learner(tmp_path / "marian", data, tokens, task="translation")
        runs, before = Runs(here), weights(here)
        history = here.fit_onecycle(0.5, 2, verbose=0).history
        assert np.abs(weights(here) - before).max() > 1e-3
        runs.check(tokens)
        found.append((weights(here), history["loss"], history["accuracy"]))
    for pieces, whole in zip(*found, strict=True):
        np.testing.assert_allclose(pieces, whole, atol=1e-5)


def test_each_piece_draws_its_own_dropout_and_one_seed_makes_one_model(
    tiny_checkpoint: Path,
) -> None:
    data = (["Ann saw Bob in Berlin"] * 8, ["ham", "spam"] * 4)
    found, drawn = [], []
    for tokens in (PIECES, PIECES, None):
        here = learner(tiny_checkpoint, data, tokens, batch_size=8)
        here.fit(1e-3, 2, verbose=0)
        found.append(weights(here))
        seeds = [v for v in here.model.variables if v.path.endswith("seed_generator_state")]
        drawn.append(max(int(np.asarray(seed.value)[1]) for seed in seeds))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0
    assert drawn[2] == 2 and drawn[0] == drawn[1] >= 4  # steps; pieces of them


def test_what_compares_rows_stays_whole(still_checkpoint: Path) -> None:
    data = ([(a, b) for a, b in PAIRS], None)
    ranking = {"task": Similarity("ranking")}
    assert pieces_of(learner(still_checkpoint, data, "auto", **ranking).model) is None
    with pytest.raises(ArgumentError, match="micro_tokens=30: the loss compares the rows"):
        learner(still_checkpoint, data, PIECES, **ranking)


def test_only_known_losses_are_cut_unasked(still_checkpoint: Path) -> None:
    def own(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.ops.square(y_pred), axis=-1)

    classes = (WORDS, CLASSES), None
    values = (WORDS, np.linspace(0, 1, 9)), "regression"
    for (data, task), loss, cut in (
        (classes, None, True),
        (classes, "focal", True),
        (classes, keras.losses.SparseCategoricalCrossentropy(from_logits=True), True),
        (classes, keras.losses.SparseCategoricalCrossentropy(reduction="sum"), False),
        (classes, keras.losses.SparseCategoricalCrossentropy(ignore_class=0), False),
        (classes, keras.losses.Dice(), False),
        (classes, own, False),
        (values, None, True),
        (values, "huber", True),
        (values, own, False),
    ):
        here = learner(still_checkpoint, data, "auto", loss=loss, task=task)
        assert (pieces_of(here.model) is not None) == cut, loss
    assert pieces_of(learner(still_checkpoint, classes[0], PIECES, loss=own).model) is not None


def test_a_model_with_another_loss_takes_whole_batches(still_checkpoint: Path) -> None:
    here = learner(still_checkpoint, (WORDS, CLASSES), PIECES)
    here.model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    runs = Runs(here)
    here.fit(1e-3, 1, verbose=0)
    runs.check(None)


def test_a_run_goes_on_with_its_own_pieces(tiny_checkpoint: Path, tmp_path: Path) -> None:
    data = (WORDS, CLASSES)
    learner(tiny_checkpoint, data, PIECES).fit(1e-3, 1, checkpoint_folder=tmp_path, verbose=0)
    with pytest.raises(ArgumentError, match="micro_tokens was 30 and is 60"):
        learner(tiny_checkpoint, data, 60).fit(
            1e-3, 1, checkpoint_folder=tmp_path, resume=True, verbose=0
        )


@pytest.mark.parametrize("tokens", [0, -1, 2.5, "many"])
def test_what_is_no_number_of_tokens_is_refused(still_checkpoint: Path, tokens: Any) -> None:
    with pytest.raises(ArgumentError, match="micro_tokens="):
        learner(still_checkpoint, (WORDS, CLASSES), tokens)
