"""The texts of the comparison, as files that every system reads."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

REVIEWS = Path(__file__).resolve().parents[1] / "data" / "movie_reviews.csv"
FULL = {"rows": 10_605, "tokenize": 100_000, "predict": 10_000, "single": 1_000, "epochs": 1}
QUICK = {"rows": 400, "tokenize": 2_000, "predict": 200, "single": 20, "epochs": 1}


def prepare(
    work: Path, checkpoint: Path, sizes: dict[str, int], long_texts: Path | None
) -> dict[str, Any]:
    """Writes the files and returns what the jobs have to know."""
    rng = random.Random(42)
    reviews = sample(rows(REVIEWS), sizes["rows"], rng)
    split(reviews, work / "fit", rng)
    if long_texts is not None:
        split(sample(rows(long_texts), sizes["rows"], rng), work / "fit_long", rng)
    texts = [text for text, _ in reviews]
    write_texts(work / "tokenize.json", rng.choices(texts, k=sizes["tokenize"]))
    # From a sentence to a page, the shorter the more: most texts of most data sets are short.
    lengths = [min(30, int(rng.paretovariate(1.0))) for _ in range(sizes["predict"])]
    mixed = [" ".join(rng.choices(texts, k=length)) for length in lengths]
    write_texts(work / "predict.json", mixed)
    write_texts(work / "single.json", texts[: sizes["single"]])
    # Under a name that tells the architecture: ktrain guesses it from there.
    local = work / "bert-checkpoint"
    if not local.exists():
        shutil.copytree(checkpoint, local)
    return {
        "checkpoint": str(local),
        "epochs": sizes["epochs"],
        "rate": 2e-4,
        "batch_size": 32,
        "maxlen": {"fit": 128, "fit_long": 256, "tokenize": 128, "predict": 256, "find_rate": 128},
    }


def sample(texts: list[Any], size: int, rng: random.Random) -> list[Any]:
    return rng.sample(texts, min(size, len(texts)))


def rows(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file) if row["text"].strip()]


def split(texts: list[tuple[str, str]], folder: Path, rng: random.Random) -> None:
    """Writes four fifths to train.csv and the rest to val.csv."""
    folder.mkdir(exist_ok=True)
    shuffled = rng.sample(texts, len(texts))
    cut = len(texts) // 5
    for name, part in (("val.csv", shuffled[:cut]), ("train.csv", shuffled[cut:])):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])


def write_texts(path: Path, texts: list[str]) -> None:
    path.write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
