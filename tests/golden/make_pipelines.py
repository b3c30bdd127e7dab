"""Writes `pipelines.json`: what Hugging Face's pipelines say with the tiny checkpoints.

To write it again, run this where PyTorch is installed:

    python tests/golden/make_pipelines.py
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from transformers import pipeline

HERE = Path(__file__).parent
TEXTS = ["the film was great", "bad, very bad!", "房间 很 好"]
LABELS = ["good", "film", "the bad 房间"]
TEMPLATE = "was {} the film"
MASKED = ["the [MASK] was great", "[MASK], very bad!", "the [MASK] was very [MASK]"]
TARGETS = ["good", "bad", "film"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        judge = pipeline("zero-shot-classification", model=str(nli(Path(folder) / "nli")))
        fill = pipeline("fill-mask", model=str(checkpoint("bert-mlm", Path(folder) / "mlm")))
        found = {
            "zero_shot": {
                str(several): [
                    scores(judge(text, LABELS, hypothesis_template=TEMPLATE, multi_label=several))
                    for text in TEXTS
                ]
                for several in (False, True)
            },
            "fill_mask": [fill(text, top_k=4) for text in MASKED[:2]],
            "targets": [fill(text, targets=TARGETS) for text in MASKED[:2]],
            "two_masks": fill(MASKED[2], top_k=3),
        }
    text = json.dumps(found, ensure_ascii=False, indent=1)
    (HERE / "pipelines.json").write_text(text + "\n", encoding="utf-8")


def scores(result: dict[str, Any]) -> list[float]:
    """Returns the scores in the order of `LABELS`."""
    by_label = dict(zip(result["labels"], result["scores"], strict=True))
    return [by_label[label] for label in LABELS]


def checkpoint(name: str, folder: Path) -> Path:
    shutil.copytree(HERE / "tiny-tokenizer", folder)
    for file in ("config.json", "model.safetensors"):
        shutil.copy(HERE / name / file, folder)
    return folder


def nli(folder: Path) -> Path:
    """Makes a checkpoint whose three labels are those of natural language inference."""
    path = checkpoint("bert-gelu", folder) / "config.json"
    names = ["contradiction", "neutral", "entailment"]
    config = json.loads(path.read_text())
    config["id2label"] = dict(enumerate(names))
    config["label2id"] = {name: number for number, name in enumerate(names)}
    path.write_text(json.dumps(config))
    return folder


if __name__ == "__main__":
    main()
