"""BLEU, chrF, ROUGE and exact match of texts that a model wrote.

BLEU (Papineni et al., 2002) and chrF (Popović, 2015) are sacrebleu's (Post, 2018, arXiv
1804.08771), ROUGE (Lin, 2004) is rouge-score's: figures that can stand beside published ones,
with the signatures that say how they were computed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from ktlite._arguments import not_a_string
from ktlite._extras import needs_extra
from ktlite.errors import Problems

#: All figures, in the order in which they are reported.
FIGURES = ("bleu", "chrf", "rouge1", "rouge2", "rougeL", "exact_match")

# What sacrebleu splits texts with where it is not "13a"; its own for Japanese needs MeCab.
_TOKENIZERS = {"zh": "zh", "ja": "char"}
_ROUGE = ("rouge1", "rouge2", "rougeL")
# Scripts that put no spaces between words: a character is a token there.
_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_TOKEN = re.compile(rf"[{_CHARACTER}]|(?:(?![{_CHARACTER}])[^\W_])+")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class SequenceFigures:
    """How near written texts are to what was expected.

    Attributes:
        figures: By name, from 0 to 100: `bleu` and `chrf` of the whole corpus; `rouge1`,
            `rouge2` and `rougeL` (F1) and `exact_match` as means over texts.
        signatures: How each was computed, where there is more than one way to.
    """

    figures: dict[str, float]
    signatures: dict[str, str] = field(default_factory=dict)


def sequence_figures(
    predicted: Sequence[str],
    expected: Sequence[str | Sequence[str]],
    *,
    names: Sequence[str] = FIGURES,
    language: str | None = None,
    stem: bool = False,
) -> SequenceFigures:
    """Compares written texts with expected ones.

    Args:
        predicted: What was written.
        expected: What was expected: a text for each, or several that are all right, as many for
            each. Of several, ROUGE and exact match take the nearest.
        names: The figures that are wanted, of `FIGURES`.
        language: A code such as "zh". BLEU splits Chinese and Japanese into characters, other
            languages as its "13a" does, at spaces and punctuation. Default: Chinese where more
            than half of all expected letters are.
        stem: Whether ROUGE compares English stems (Porter, 1980), as summaries of English news
            are mostly measured. ROUGE's tokens are runs of letters and digits in lower case,
            and Chinese and Japanese characters one by one; of ASCII they are rouge-score's own.

    Returns:
        The figures and their signatures.

    Raises:
        ArgumentError: If arguments do not fit together, or the extra `generation` is missing.

    Example:
        >>> sequence_figures(["A cat sat."], ["A cat sat."]).figures["bleu"]
        100.0
    """
    several: list[list[Any]] = [
        list(texts) if isinstance(texts, (list, tuple)) else [texts] for texts in expected
    ]
    _check(predicted, expected, several, names)
    if language is None:
        language = "zh" if _is_chinese(several) else "en"
    found: dict[str, float] = {}
    signatures: dict[str, str] = {}
    if "bleu" in names or "chrf" in names:
        _add_sacrebleu(found, signatures, predicted, several, names, language)
    if set(names) & set(_ROUGE):
        _add_rouge(found, signatures, predicted, several, names, stem)
    if "exact_match" in names:
        pairs = zip(predicted, several, strict=True)
        right = [text.strip() in {other.strip() for other in texts} for text, texts in pairs]
        found["exact_match"] = 100 * sum(right) / len(right)
    return SequenceFigures({name: found[name] for name in FIGURES if name in found}, signatures)


def _check(
    predicted: Sequence[str],
    expected: Sequence[str | Sequence[str]],
    several: list[list[str]],
    names: Sequence[str],
) -> None:
    problems = Problems("sequence_figures")
    not_a_string(problems, predicted=predicted, expected=expected, names=names)
    problems.raise_if_any()
    problems.add_unless(len(predicted) > 0, "there are no texts; expected one or more.")
    problems.add_unless(
        len(predicted) == len(expected),
        f"{len(predicted)} texts predicted and {len(expected)} expected; expected as many.",
    )
    wrong = [i for i, text in enumerate(predicted) if not isinstance(text, str)]
    problems.add_unless(
        not wrong, f"predicted[{wrong[0] if wrong else 0}] is no string; expected texts."
    )
    counts = sorted({len(texts) for texts in several})
    problems.add_unless(
        counts != [0] and len(counts) < 2,
        f"expected has {counts} texts for one; expected as many for each, one or more.",
    )
    problems.add_unless(
        all(isinstance(text, str) for texts in several for text in texts),
        "expected holds something that is no string; expected texts, or lists of texts.",
    )
    for name in names:
        problems.choice("names", name, FIGURES)
    problems.raise_if_any()


def _is_chinese(several: list[list[str]]) -> bool:
    texts = [text for texts in several for text in texts]
    letters = sum(len(_LETTER.findall(text)) for text in texts)
    return 2 * sum(len(_HAN.findall(text)) for text in texts) > letters


def _add_sacrebleu(
    found: dict[str, float],
    signatures: dict[str, str],
    predicted: Sequence[str],
    several: list[list[str]],
    names: Sequence[str],
    language: str,
) -> None:
    with needs_extra("generation", "BLEU and chrF"):
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    by_place = [list(texts) for texts in zip(*several, strict=True)]  # as sacrebleu takes them
    tokenizer = _TOKENIZERS.get(language.lower().split("-")[0], "13a")
    metrics = {"bleu": BLEU(tokenize=tokenizer), "chrf": CHRF()}
    for name, metric in metrics.items():
        if name in names:
            found[name] = float(metric.corpus_score(list(predicted), by_place).score)
            signatures[name] = str(metric.get_signature())


def _add_rouge(
    found: dict[str, float],
    signatures: dict[str, str],
    predicted: Sequence[str],
    several: list[list[str]],
    names: Sequence[str],
    stem: bool,
) -> None:
    with needs_extra("generation", "ROUGE"):
        from rouge_score import rouge_scorer
    wanted = [name for name in _ROUGE if name in names]
    scorer = rouge_scorer.RougeScorer(wanted, tokenizer=_Tokens(stem))
    sums = dict.fromkeys(wanted, 0.0)
    for text, texts in zip(predicted, several, strict=True):
        for name, score in scorer.score_multi(texts, text).items():
            sums[name] += score.fmeasure
    version = metadata.version("rouge-score")
    for name, value in sums.items():
        found[name] = 100 * value / len(predicted)
        signatures[name] = f"f1|tok:words|stem:{'yes' if stem else 'no'}|version:{version}"


class _Tokens:
    """rouge-score's tokenizer, for letters of all scripts."""

    def __init__(self, stem: bool) -> None:
        self.stemmer: Any = None
        if stem:
            with needs_extra("generation", "ROUGE of stems"):
                from nltk.stem import porter
            self.stemmer = porter.PorterStemmer()

    def tokenize(self, text: str) -> list[str]:
        """Returns the tokens of a text, in lower case."""
        tokens = _TOKEN.findall(text.lower())
        if self.stemmer is not None:  # rouge-score leaves short words as they are
            tokens = [self.stemmer.stem(t) if len(t) > 3 else t for t in tokens]
        return tokens
