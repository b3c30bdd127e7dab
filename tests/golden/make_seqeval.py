"""Writes `seqeval.json`: random sentences of tags, and what seqeval 1.2.2 says of them.

To write it again, run this where seqeval is installed:

    python tests/golden/make_seqeval.py
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

SCHEMES = {"BIO": "BI", "IOB1": "IB", "IOBES": "BIES"}
TYPES = ("PER", "LOC", "ORG-X")


def main() -> None:
    """Writes three cases a scheme, each of six sentences."""
    rng = random.Random(0)
    cases = [case(rng, letters) for letters in SCHEMES.values() for _ in range(3)]
    text = json.dumps(cases, separators=(",", ":"), default=float)
    (Path(__file__).parent / "seqeval.json").write_text(text)


def case(rng: random.Random, letters: str) -> dict[str, Any]:
    """Returns random tags, in lawful and unlawful order, and their scores."""
    tags = ["O", "O", *(f"{letter}-{kind}" for letter in letters for kind in TYPES)]
    true = [[rng.choice(tags) for _ in range(rng.randint(1, 12))] for _ in range(6)]
    predicted = [[t if rng.random() < 0.7 else rng.choice(tags) for t in row] for row in true]
    report = classification_report(true, predicted, output_dict=True, zero_division=0)
    return {
        "true": true,
        "predicted": predicted,
        "entities": [get_entities(row) for row in true],  # with the number of the last word
        "precision": precision_score(true, predicted),
        "recall": recall_score(true, predicted),
        "f1": f1_score(true, predicted),
        "f1_macro": f1_score(true, predicted, average="macro", zero_division=0),
        "by_type": {
            name: [row["precision"], row["recall"], row["f1-score"], int(row["support"])]
            for name, row in report.items()
            if not name.endswith(" avg")
        },
    }


if __name__ == "__main__":
    main()
