"""BLEU, chrF and ROUGE, compared with their own scorers and with figures worked out by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ktlite.errors import ArgumentError
from ktlite.tasks.sequence_figures import FIGURES, sequence_figures

WORDS = ["the", "cat", "sat", "on", "a", "mat", ",", "while", "Running", "dogs", "were", "barking",
         "loudly", "3.5", "times", "!"]  # fmt: skip


def some_texts(seed: int, count: int = 12) -> tuple[list[str], list[str]]:
    draw = random.Random(seed)
    expected = [" ".join(draw.choices(WORDS, k=draw.randint(4, 14))) for _ in range(count)]
    predicted = [
        " ".join(w for w in text.split() if draw.random() < 0.8) or "none" for text in expected
    ]
    return predicted, expected


# Against the scorers themselves


@pytest.mark.parametrize("seed", range(3))
def test_bleu_and_chrf_are_those_of_sacrebleu(seed: int) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    predicted, expected = some_texts(seed)
    found = sequence_figures(predicted, expected, names=("bleu", "chrf"))
    assert found.figures["bleu"] == sacrebleu.corpus_bleu(predicted, [expected]).score
    assert found.figures["chrf"] == sacrebleu.corpus_chrf(predicted, [expected]).score
    assert "tok:13a" in found.signatures["bleu"]


@pytest.mark.parametrize("stem", [False, True])
def test_rouge_of_english_is_that_of_rouge_score(stem: bool) -> None:
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    names = ["rouge1", "rouge2", "rougeL"]
    scorer = rouge_scorer.RougeScorer(names, use_stemmer=stem)
    predicted, expected = some_texts(7)
    predicted[0], expected[1] = "Dogs were running, and ran: runs_2!", "a_b dogged DOGS"
    scores = [scorer.score(e, p) for p, e in zip(predicted, expected, strict=True)]
    found = sequence_figures(predicted, expected, names=names, stem=stem)
    for name in names:
        mean = 100 * sum(score[name].fmeasure for score in scores) / len(scores)
        assert found.figures[name] == pytest.approx(mean, abs=1e-9)
        assert f"stem:{'yes' if stem else 'no'}" in found.signatures[name]


def test_several_right_texts() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    predicted, first = some_texts(1)
    second = list(reversed(first))
    second[0] = predicted[0]
    found = sequence_figures(predicted, list(zip(first, second, strict=True))).figures
    assert found["bleu"] == sacrebleu.corpus_bleu(predicted, [first, second]).score
    assert found["rouge1"] >= sequence_figures(predicted, first).figures["rouge1"]
    assert found["exact_match"] >= 100 / len(predicted)


# Chinese and other scripts


def test_chinese_is_measured_by_characters() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    predicted, expected = ["我喜欢这家酒店。", "早餐很好"], ["我很喜欢这家酒店。", "早餐不好"]
    found = sequence_figures(predicted, expected)
    assert "tok:zh" in found.signatures["bleu"]
    assert (
        found.figures["bleu"] == sacrebleu.corpus_bleu(predicted, [expected], tokenize="zh").score
    )
    # 7 of 7 characters are among 8; 3 of 4 among 4.
    assert found.figures["rouge1"] == pytest.approx(100 * (14 / 15 + 3 / 4) / 2)
    # Pairs: 5 of 6 are among 7; 早餐 alone of 3 among 3.
    assert found.figures["rouge2"] == pytest.approx(100 * (10 / 13 + 1 / 3) / 2)


def test_a_language_that_is_said_counts() -> None:
    pytest.importorskip("sacrebleu")
    text = ["Hotel 酒店"]
    for language, tokens in (
        ("zh", "zh"),
        ("zh-Hant", "zh"),
        ("ja", "char"),
        ("de", "13a"),
        (None, "13a"),
    ):
        found = sequence_figures(text, text, names=["bleu"], language=language)
        assert f"tok:{tokens}" in found.signatures["bleu"]


def test_words_of_other_scripts_are_whole() -> None:
    pytest.importorskip("rouge_score")
    names = ["rouge1"]
    german = sequence_figures(["für Größe"], ["für Straße"], names=names).figures["rouge1"]
    assert german == pytest.approx(50)  # two words; rouge-score itself sees f, r, gr, e, ...
    mixed = sequence_figures(["GPT-2模型"], ["gpt 2 模 型"], names=names).figures["rouge1"]
    assert mixed == pytest.approx(100)


# Exact match, and calls


def test_exact_match_needs_no_library() -> None:
    found = sequence_figures([" yes", "no"], ["yes\n", "No"], names=["exact_match"])
    assert found.figures == {"exact_match": 50.0}
    assert found.signatures == {}


def test_all_figures_are_from_0_to_100() -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    same = ["the cat sat on the mat", "dogs were barking at the cat"]
    found = sequence_figures(same, same).figures
    assert list(found) == list(FIGURES)
    assert found == pytest.approx(dict.fromkeys(FIGURES, 100.0))
    nothing = sequence_figures(["", ""], same).figures
    assert nothing == pytest.approx(dict.fromkeys(FIGURES, 0.0))


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        ({"predicted": [], "expected": ["a"], "names": ["bleau"]},
         ["3 problems", "no texts", "0 texts predicted and 1 expected", "Did you mean 'bleu'?"]),
        ({"predicted": "a", "expected": "b"}, ["2 problems", "predicted='a'", "expected='b'"]),
        ({"predicted": [1, "a"], "expected": [["a"], []]}, ["predicted[0] is no string", "[0, 1]"]),
        ({"predicted": ["a"], "expected": [None]}, ["holds something that is no string"]),
    ],
)  # fmt: skip
def test_says_what_is_wrong(call: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ArgumentError) as error:
        sequence_figures(**call)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(("name", "module"), [("bleu", "sacrebleu"), ("rougeL", "rouge_score")])
def test_names_the_extra_that_is_missing(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for loaded in [m for m in sys.modules if m.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    finder = sys.meta_path

    class Without:
        @staticmethod
        def find_spec(wanted: str, *_: Any) -> None:
            if wanted.split(".")[0] == module:
                raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(sys, "meta_path", [Without, *finder])
    with pytest.raises(ArgumentError, match=rf"{module}, which .*ktlite\[generation\]"):
        sequence_figures(["a"], ["a"], names=[name])
