"""Tags to entities, and the score of predicted entities."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

OUTSIDE = "O"
# Other letters of the same: BILOU's last and unit, BMEWO's middle and whole.
_SAME = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S", "M": "I", "W": "S"}
_TAG = re.compile(rf"([{''.join(_SAME)}])-(.+)", re.DOTALL)


class Entity(NamedTuple):
    """Words `start` to before `end`, and what they are."""

    kind: str
    start: int
    end: int


def parse_tag(tag: str) -> tuple[str, str]:
    """Returns prefix (B, I, E, S or O) and type of a tag.

    Example:
        >>> parse_tag("B-PER"), parse_tag("O")
        (('B', 'PER'), ('O', ''))
    """
    found = _TAG.fullmatch(tag)
    return (_SAME[found[1]], found[2]) if found else (OUTSIDE, "")


def has_prefix(tag: str) -> bool:
    """Says whether a tag is a prefix with a type, such as `B-PER`."""
    return _TAG.fullmatch(tag) is not None


def entities(tags: Sequence[str], prefixed: bool = True) -> list[Entity]:
    """Returns the entities of a sentence.

    Reads BIO, IOB1, IOBES, BILOU and BMEWO alike, and tags in no lawful order as `conlleval`
    does (https://www.clips.uantwerpen.be/conll2000/chunking/output.html): an entity begins
    where its type changes, too.

    Args:
        tags: A tag for each word.
        prefixed: False takes each run of one tag for an entity.

    Example:
        >>> entities(["B-PER", "I-PER", "O", "I-LOC"])
        [Entity(kind='PER', start=0, end=2), Entity(kind='LOC', start=3, end=4)]
    """
    found: list[Entity] = []
    start, before, kind_before = -1, OUTSIDE, ""
    for i, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = parse_tag(tag) if prefixed else ("O" if tag == OUTSIDE else "I", tag)
        goes_on = prefix in "IE" and before in "BI" and kind == kind_before
        if start >= 0 and not goes_on:
            found.append(Entity(kind_before, start, i))
            start = -1
        if prefix != OUTSIDE and not goes_on:
            start = i
        before, kind_before = prefix, kind
    return found


def first_mixed(sentences: Iterable[Sequence[str]]) -> tuple[int, int] | None:
    """Returns (sentence, word) of a tag that is not of the other tags' scheme, or None.

    In IOB1 an entity begins with I, and with B only after another of its type; in BIO and the
    others always with B (or S). Data that does both was put together of two schemes, or by hand.
    """
    places: dict[bool, tuple[int, int]] = {}
    counts: Counter[bool] = Counter()
    for number, tags in enumerate(sentences):
        before, kind_before = OUTSIDE, ""
        for i, tag in enumerate(tags):
            prefix, kind = parse_tag(tag)
            begins = before == OUTSIDE or kind != kind_before
            if prefix in "BI" and begins:
                counts[prefix == "B"] += 1
                places.setdefault(prefix == "B", (number, i))
            before, kind_before = prefix, kind
    return places[min(counts, key=lambda scheme: counts[scheme])] if len(counts) > 1 else None


class Score(NamedTuple):
    """Precision, recall, F1, and the number of true entities."""

    precision: float
    recall: float
    f1: float
    support: int

    @classmethod
    def of(cls, right: int, predicted: int, true: int) -> Score:
        precision = right / predicted if predicted else 0.0
        recall = right / true if true else 0.0
        total = predicted + true
        return cls(precision, recall, 2 * right / total if total else 0.0, true)


def score(
    true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> tuple[dict[str, Score], Score]:
    """Compares entities: one is right if its type and its first and last word are.

    The same as `seqeval` (Nakayama, 2018, https://github.com/chakki-works/seqeval).

    Args:
        true: Sentences of tags.
        predicted: As many tags for each.

    Returns:
        The score of each type, by name, and that of all entities together.
    """
    kinds = sorted({parse_tag(tag)[1] for tags in [*true, *predicted] for tag in tags} - {""})
    return scores_of(kinds, counted(true, predicted, kinds).sum(axis=0))


def counted(
    true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], kinds: Sequence[str]
) -> np.ndarray:
    """Counts the entities that are right, predicted, and true, int [sentences, types, 3].

    Args:
        true: Sentences of tags.
        predicted: As many tags for each.
        kinds: The types.
    """
    number = {kind: i for i, kind in enumerate(kinds)}
    counts = np.zeros((len(true), len(kinds), 3), int)
    for sentence, truth, guess in zip(counts, true, predicted, strict=True):
        wanted, found = set(entities(truth)), set(entities(guess))
        for column, group in enumerate((wanted & found, found, wanted)):
            for entity in group:
                sentence[number[entity.kind], column] += 1
    return counts


def scores_of(kinds: Sequence[str], totals: np.ndarray) -> tuple[dict[str, Score], Score]:
    """Returns what `score` does, from the sum of what `counted` returns over sentences."""
    by_type = {
        kind: Score.of(*row.tolist()) for kind, row in zip(kinds, totals, strict=True) if row.any()
    }
    return by_type, Score.of(*totals.sum(axis=0).tolist())


def score_table(by_type: dict[str, Score], overall: Score) -> str:
    """Returns the scores in the form of scikit-learn's `classification_report`."""
    width = max([12, *map(len, by_type)])
    lines = [f"{'':>{width}} {'precision':>10} {'recall':>10} {'f1-score':>10} {'support':>10}", ""]
    lines += [_line(kind, width, each) for kind, each in by_type.items()]
    lines += ["", _line("micro avg", width, overall), _line("macro avg", width, macro(by_type))]
    return "\n".join(lines)


def macro(by_type: dict[str, Score]) -> Score:
    """Returns the means over types."""
    count = max(1, len(by_type))
    means = [sum(values) / count for values in zip(*by_type.values(), strict=True)] or [0.0] * 4
    return Score(means[0], means[1], means[2], sum(each.support for each in by_type.values()))


def _line(name: str, width: int, each: Score) -> str:
    return (
        f"{name:>{width}} {each.precision:10.3f} {each.recall:10.3f} {each.f1:10.3f} "
        f"{each.support:10d}"
    )
