"""The texts of the comparison, as files that every system reads."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

REVIEWS = Path(__file__).resolve().parents[1] / "data" / "movie_reviews.csv"
FULL = {
    "rows": 10_605, "tokenize": 100_000, "predict": 10_000, "single": 1_000, "embed": 2_000,
    "full": 320,
}  # fmt: skip
QUICK = {"rows": 120, "tokenize": 1_000, "predict": 40, "single": 10, "embed": 100, "full": 40}
BATCH_SIZE = 32

Labelled = list[tuple[str, str]]


def prepare(
    work: Path, checkpoint: Path, sizes: dict[str, int], epochs: int, long_texts: Labelled
) -> dict[str, Any]:
    """Writes the files; returns what the jobs have to know, with the number of texts of each."""
    rng = random.Random(42)
    reviews = sample(read_texts(REVIEWS), sizes["rows"], rng)
    texts = [text for text, _ in reviews]
    counts = {"fit": split(reviews, work / "fit", rng)}
    if long_texts:
        counts["fit_long"] = split(sample(long_texts, sizes["rows"], rng), work / "fit_long", rng)
    # From a sentence to a page, the shorter the more: most texts of most data sets are short.
    lengths = [min(30, int(rng.paretovariate(1.0))) for _ in range(sizes["predict"])]
    inputs = {
        "tokenize": rng.choices(texts, k=sizes["tokenize"]),
        "predict": [" ".join(rng.choices(texts, k=length)) for length in lengths],
        "single": texts[: sizes["single"]],
        "embed": texts[: sizes["embed"]],
    }
    for job, given in inputs.items():
        content = json.dumps(given, ensure_ascii=False)
        (work / f"{job}.json").write_text(content, encoding="utf-8")
        counts[job] = len(given)
    counts["fit_full"] = split(joined(reviews, sizes["full"], rng), work / "fit_full", rng)
    steps = counts["fit"] // BATCH_SIZE
    warm_up = max(1, steps // 4)
    counts["replicas"] = (steps - warm_up) * BATCH_SIZE
    # Under a name that tells the architecture: ktrain guesses it from there.
    local = shutil.copytree(checkpoint, work / "bert-checkpoint")
    return {
        "checkpoint": str(local),
        "texts": counts,
        "epochs": epochs,
        "rate": 2e-4,
        "batch_size": BATCH_SIZE,
        "steps": steps,
        "warm_up": warm_up,
        "maxlen": {"fit": 128, "fit_long": 256, "fit_full": 256, "tokenize": 128, "predict": 256},
    }


def sample(texts: Labelled, size: int, rng: random.Random) -> Labelled:
    return rng.sample(texts, min(size, len(texts)))


def joined(texts: Labelled, size: int, rng: random.Random) -> Labelled:
    """Returns texts of 20 reviews of one label: more tokens than any job reads of a text."""
    of = {label: [text for text, known in texts if known == label] for _, label in texts}
    return [(" ".join(rng.choices(of[label], k=20)), label) for label in rng.choices([*of], k=size)]


def read_texts(path: Path) -> Labelled:
    """Reads a CSV file with the columns text and label."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file) if row["text"].strip()]


def read_hotel_reviews(path: Path) -> Labelled:
    """Reads the `chinese_hotel_reviews.csv` of ktrain's tests: content|pos|neg, in GB18030."""
    with path.open(encoding="gb18030") as file:
        rows = [line.rstrip("\n").rsplit("|", 2) for line in file][1:]
    return [
        (text, "positive" if positive == "1" else "negative")
        for text, positive, _ in rows
        if text.strip()
    ]


def split(texts: Labelled, folder: Path, rng: random.Random) -> int:
    """Writes a fifth to val.csv and the rest to train.csv; returns how many are in that."""
    folder.mkdir(exist_ok=True)
    shuffled = rng.sample(texts, len(texts))
    cut = len(texts) // 5
    for name, part in (("val.csv", shuffled[:cut]), ("train.csv", shuffled[cut:])):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])
    return len(texts) - cut
