"""Writes `squad.json`: random answers, and what the official SQuAD scripts say of them.

The scripts are at https://rajpurkar.github.io/SQuAD-explorer/. To write the file again:

    python tests/golden/make_squad.py evaluate-v1.1.py evaluate-v2.0.py
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from typing import Any

# Words that normalising keeps, changes, or takes away.
WORDS = ["The", "a", "an", "Ann", "ann", "Lee,", "Lee", "U.S.", "US", "1999", "“1999”", "...", "$5",
         "Straße", "北京", "don't", "dont", "  ", "\u00a0", "its"]  # fmt: skip


def main(first: str, second: str) -> None:
    """Writes eight cases a version, each of 25 questions."""
    rng = random.Random(0)
    cases = [case(rng, load(first), None) for _ in range(8)]
    cases += [case(rng, None, load(second)) for _ in range(8)]
    text = json.dumps(cases, separators=(",", ":"))
    (Path(__file__).parent / "squad.json").write_text(text)


def load(path: str) -> Any:
    """Imports a script."""
    spec = importlib.util.spec_from_file_location(Path(path).stem.replace("-", "_"), path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def case(rng: random.Random, first: Any, second: Any) -> dict[str, Any]:
    """Returns predictions, right answers, scores, and with 2.0 the best thresholds."""

    def answer() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(1, 4)))

    ids = [str(i) for i in range(25)]
    some = 1 if second is None else 0
    true = {i: [answer() for _ in range(rng.choice([some, 1, 3]))] for i in ids}
    predicted = {i: rng.choice([answer(), "", *true[i]]) for i in ids}
    qas = [{"id": i, "answers": [{"text": text} for text in true[i]]} for i in ids]
    data = [{"paragraphs": [{"qas": qas}]}]
    found: dict[str, Any] = {"predicted": list(predicted.values()), "true": list(true.values())}
    if second is None:
        return {**found, "version": 1, **first.evaluate(data, predicted)}
    exact, f1 = second.get_raw_scores(data, predicted)
    answerable = second.make_qid_to_has_ans(data)
    odds = {i: round(rng.uniform(-3, 3), 1) for i in ids}  # rounded: some are equal
    best = {
        name: second.find_best_thresh(predicted, scores, odds, answerable)
        for name, scores in (("exact", exact), ("f1", f1))
    }
    return {
        **found,
        "version": 2,
        "exact_match": second.make_eval_dict(exact, f1)["exact"],
        "f1": second.make_eval_dict(exact, f1)["f1"],
        "odds": list(odds.values()),
        "best": best,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
