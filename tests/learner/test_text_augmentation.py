"""`augment=` with texts: training batches alone, the same whoever makes them, labels still true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite import text
from ktlite.errors import ArgumentError
from ktlite.inputs.words import Words

pytestmark = pytest.mark.usefixtures("eagerly")

VERBS = ("sat", "ran", "lay", "was")
TEXTS = [f"the cat {word} on the mat and the dog was there" for word in VERBS]
LABELS = ["a", "b", "a", "b"]


def learner(checkpoint: Path, data: Any = None, **options: Any) -> Any:
    options = {"maxlen": 32, "batch_size": 4, "verbose": 0, "check": False, **options}
    data = (TEXTS * 4, LABELS * 4) if data is None else data
    return ktlite.get_learner(checkpoint, data, **options)


def shown(data: Any, rows: list[int], seed: tuple[int, ...]) -> list[str]:
    ids = data.training_examples(np.array(rows), seed)[0]["input_ids"]
    return [data.preproc.undo(row) for row in ids]


def test_training_texts_alone_are_changed(tiny_checkpoint: Path) -> None:
    made = learner(tiny_checkpoint, augment="delete")
    train, val = made.train_data, made.val_data
    rows = np.arange(len(val))
    first, again = (shown(train, [0, 1, 2], (1, 2)) for _ in range(2))
    assert first == again
    # A text is another in another epoch, and the same whichever batch of one seed it is in.
    assert len({shown(train, [0], (1, epoch))[0] for epoch in range(20)}) > 5
    assert shown(train, [2, 0], (1, 2)) == [first[2], first[0]]
    for data, drawn in ((train, train.examples), (val, val.training_examples)):
        found, plain = drawn(rows, (1, 2))[0], data.encodings.batch(rows)
        for name, array in plain.items():
            np.testing.assert_array_equal(found[name], array)


def test_nearest_words_are_those_of_the_checkpoints_table(tiny_checkpoint: Path) -> None:
    made = learner(tiny_checkpoint, augment=[text.Synonym(count=3), "insert"])
    words = made.train_data.augmentation.changes[0].words
    tokenizer = made.preproc.tokenizer
    table = np.array(made.model.towers[0].front.word.embeddings)
    known = [
        (number, token)
        for number, token in enumerate(tokenizer.all_tokens())
        if token and token.isalpha() and number in set(tokenizer.ordinary_ids().tolist())
    ]
    vectors = table[[number for number, _ in known]]
    vectors = vectors - vectors.mean(axis=0)
    names = [token for _, token in known]
    own = vectors[names.index("the")]
    cosines = vectors @ own / np.linalg.norm(vectors, axis=1)
    best = [names[i] for i in np.argsort(-cosines) if names[i] != "the"]
    assert words["the"] == best[:3]


def test_tags_stay_with_their_words(tiny_checkpoint: Path) -> None:
    sentences = [line.split() for line in TEXTS] * 4
    tags = [["B-X" if word == "cat" else "O" for word in line] for line in sentences]
    change = text.Synonym(1.0, words={"cat": ["dog the dog"], "the": ["a"]})
    made = learner(tiny_checkpoint, (sentences, tags), task="token-classification", augment=change)
    train = made.train_data
    firsts = [ids[0] for ids in train.preproc.tokenizer.plain_ids(["cat", "dog"])]
    for seed in range(6):
        inputs, targets = train.training_examples(np.arange(4), (0, seed))
        assert inputs["input_ids"].shape == targets.shape
        for ids, line in zip(inputs["input_ids"], targets, strict=True):
            place = int(np.flatnonzero(line == train.preproc.task.classes.index("B-X"))[0])
            assert ids[place] in firsts
            assert (line >= 0).sum() == len(sentences[0])
    with pytest.raises(ArgumentError, match="Delete moves words"):
        learner(tiny_checkpoint, (sentences, tags), task="token-classification", augment=["delete"])


def test_windows_are_those_of_the_changed_text(tiny_checkpoint: Path) -> None:
    data = ([" ".join(TEXTS * (1 + i % 2)) for i in range(16)], LABELS * 4)
    made = learner(tiny_checkpoint, data, window=16, augment=text.Delete(0.9))
    train = made.train_data
    rows = np.arange(len(train))
    drawn, targets = train.training_examples(rows, (0, 1))
    plain, expected = train.examples(rows, (0, 1))
    np.testing.assert_array_equal(targets, expected)
    # Nine words of ten less leave fewer windows: these texts stay as they are.
    changed = (drawn["input_ids"] != plain["input_ids"]).any(axis=1)
    assert not changed[
        train.example_of == np.flatnonzero(np.bincount(train.example_of) > 2)[0]
    ].any()
    few = learner(tiny_checkpoint, data, window=16, augment="typo").train_data
    assert (few.training_examples(rows, (0, 1))[0]["input_ids"] != plain["input_ids"]).any()


def test_pairs_and_questions(tiny_checkpoint: Path) -> None:
    pairs = ([(one, other) for one in TEXTS for other in TEXTS], LABELS * 4)
    train = learner(tiny_checkpoint, pairs, augment="swap").train_data
    found = [shown(train, [0], (0, seed))[0] for seed in range(20)]
    assert len(set(found)) > 5
    task = ktlite.tasks.QuestionAnswering()

    def upper(words: Words) -> Words:
        return Words(words.text.upper(), words.spans)

    assert task.varied(("who?", "the cat"), upper) == ("WHO?", "the cat")


class Crash(Exception):
    """What nothing catches."""


class Stop(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.model.optimizer.iterations.numpy() == 5:  # in the second epoch
            raise Crash


def test_a_run_goes_on_in_the_middle_of_an_epoch_bit_by_bit(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    ways = ["delete", "typo"]
    alone, stopped, resumed = (learner(tiny_checkpoint, augment=ways) for _ in range(3))
    alone.fit_onecycle(1e-3, 2, verbose=0)
    options = {"checkpoint_folder": tmp_path / "run", "save_every": 1, "verbose": 0}
    with pytest.raises(Crash):
        stopped.fit_onecycle(1e-3, 2, callbacks=[Stop()], **options)
    resumed.fit_onecycle(1e-3, 2, resume=True, **options)
    assert resumed.history.history["loss"] == alone.history.history["loss"]


def test_texts_that_are_cached_are_changed_too(tiny_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    lines = [f"{line},{label}" for line, label in zip(TEXTS * 4, LABELS * 4, strict=True)]
    file.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    options = {"text_column": "text", "label_columns": "label", "augment": "typo"}
    plain = learner(tiny_checkpoint, str(file), **options).train_data
    cached = learner(tiny_checkpoint, str(file), cache_folder=tmp_path / "c", **options).train_data
    assert shown(plain, [0, 1, 2, 3], (4, 5)) == shown(cached, [0, 1, 2, 3], (4, 5))


def test_other_data_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="of texts expected some of synonym, insert"):
        learner(tiny_checkpoint, augment=ktlite.vision.get_data_aug())
