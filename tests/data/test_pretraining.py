"""Examples to pretrain on: what is hidden can be put back, and the text is there again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.data.corpus import WORD, Corpus, build_corpus
from ktlite.data.pretraining import PretrainingDataset, PretrainingPreprocessor
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.tasks import MaskedLM
from ktlite.tasks.masked_lm import IGNORE, ORDER, WORDS
from ktlite.text import train_tokenizer

TEXTS = [
    "The film was long. The music was not good! Was the end fine?",
    "房间很好。服务也很好！下次还会来吗？会的。",
    "one sentence without a mark",
    "short",
    "A film. " * 30,
]
MAXLEN = 40


@pytest.fixture(scope="module", params=[False, True], ids=["masked-lm", "pretraining"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("corpus")
    train_tokenizer(TEXTS * 2, folder / "t", vocab_size=100, verbose=0)
    tokenizer = Tokenizer(folder / "t", MAXLEN)
    task = MaskedLM(sentence_order=request.param)
    preproc = PretrainingPreprocessor(tokenizer, MAXLEN, task, probability=0.3, max_ngram=2)
    documents = [[text] for text in TEXTS]
    corpus = build_corpus(documents, tokenizer, folder, MAXLEN - preproc.specials, verbose=0)
    return PretrainingDataset(corpus, np.arange(len(corpus)), preproc)


def restored(inputs: dict[str, np.ndarray], targets: Any) -> list[list[int]]:
    """Returns the ids with the hidden words put back, without padding."""
    words = targets[WORDS] if isinstance(targets, dict) else targets
    rows = []
    for row in range(len(words)):
        ids = inputs["input_ids"][row].copy()
        counted = words[row] != IGNORE
        ids[inputs["masked_positions"][row][counted]] = words[row][counted]
        rows.append(list(ids[inputs["attention_mask"][row] == 1]))
    return rows


@pytest.mark.parametrize("seed", [(1, 0, 0), (1, 0, 1), (2, 5, 3)])
def test_with_the_hidden_words_put_back_it_is_what_the_tokenizer_makes(
    data: PretrainingDataset, seed: tuple[int, ...]
) -> None:
    rows = np.arange(len(data))
    inputs, targets = data.examples(rows, seed)
    preproc = data.preproc
    for row, ids in zip(rows, restored(inputs, targets), strict=True):
        chunk = list(data.corpus.chunk(row)[0])
        swapped = targets[ORDER][row] if preproc.task.sentence_order else IGNORE
        types = inputs["token_type_ids"][row][: len(ids)]
        if swapped == IGNORE:
            expected = preproc.single.around([np.array(chunk)])[0]
            assert not types.any()
        else:
            first = int((types == 0).sum()) - 2
            a, b = (chunk[:first], chunk[first:])
            if swapped:
                b, a = (chunk[: len(chunk) - first], chunk[len(chunk) - first :])
            expected = preproc.pair.around([np.array(a), np.array(b)])[0]
            assert a and b
        assert ids == list(expected)


def test_nothing_but_words_is_hidden(data: PretrainingDataset) -> None:
    special = set(np.concatenate([*data.preproc.pair.specials]))
    for seed in range(10):
        _, targets = data.examples(np.arange(len(data)), (seed,))
        words = targets[WORDS] if data.preproc.task.sentence_order else targets
        assert not special & set(words[words != IGNORE])
        assert ((words != IGNORE).sum(axis=1) >= 1).all()


def test_the_first_column_of_predictions_counts_and_padding_does_not(
    data: PretrainingDataset,
) -> None:
    inputs, targets = data.examples(np.arange(len(data)), (0,))
    words = targets[WORDS] if data.preproc.task.sentence_order else targets
    assert inputs["masked_positions"].shape == words.shape
    assert (words[:, 0] != IGNORE).all()
    inside = np.take_along_axis(inputs["attention_mask"], inputs["masked_positions"], axis=1)
    assert inside[words != IGNORE].all()
    assert all(column.dtype == np.int32 for column in [*inputs.values(), words])
    assert inputs["input_ids"].shape[1] <= MAXLEN


def test_segments_are_cut_between_sentences_and_half_change_places() -> None:
    ids = np.arange(10, 20)
    flags = np.full(10, WORD, "uint8")
    flags[[0, 4, 7]] |= 2
    preproc = _bare(sentence_order=True)
    cuts, swaps = [], []
    for seed in range(400):
        made = preproc.example(ids, flags, np.random.default_rng(seed))
        swaps.append(made.swapped)
        first = int((made.types == 0).sum()) - 2
        cuts.append(10 - first if made.swapped else first)
    assert set(cuts) == {4, 7}
    assert np.mean(swaps) == pytest.approx(0.5, abs=0.08)


def test_one_word_has_no_order() -> None:
    flags = np.array([3, 0, 0], "uint8")
    made = _bare(sentence_order=True).example(np.arange(5, 8), flags, np.random.default_rng(0))
    assert made.swapped == IGNORE
    assert list(made.hidden) == [5, 6, 7]


def test_the_seed_decides_and_nothing_else(data: PretrainingDataset) -> None:
    rows = np.array([3, 0, 1])
    one, two, other = (data.examples(rows, seed) for seed in [(1, 2), (1, 2), (1, 3)])
    for name, column in one[0].items():
        assert (column == two[0][name]).all()
    assert restored(*one) == restored(*two)
    assert any(
        one[0][name].shape != other[0][name].shape or (one[0][name] != other[0][name]).any()
        for name in one[0]
    )


def test_lengths_are_those_of_the_longest_inputs(data: PretrainingDataset) -> None:
    inputs, _ = data.examples(np.arange(len(data)), (0,))
    assert (inputs["attention_mask"].sum(axis=1) <= data.lengths).all()
    assert data.lengths.max() <= MAXLEN


def _bare(sentence_order: bool) -> PretrainingPreprocessor:
    golden = Path(__file__).parents[1] / "golden" / "tiny-tokenizer"
    return PretrainingPreprocessor(Tokenizer(golden, 32), 32, MaskedLM(sentence_order))


def test_a_corpus_is_looked_at_in_place(data: PretrainingDataset) -> None:
    assert isinstance(data.corpus, Corpus)
    assert data.corpus.ids.base is not None
