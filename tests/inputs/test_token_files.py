"""Token ids are those of the reference libraries, from every combination of published files.

`golden/make_tokens.py` says which references, and writes what they gave.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as RustTokenizer
from transformers import AutoTokenizer

from ktlite.inputs.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "tokens"
CASES = json.loads((GOLDEN / "tokens.json").read_text("utf-8"))
FOLDER_OF = {"camembert": "xlm-roberta"}  # the same SentencePiece model


def name(case: dict[str, Any]) -> str:
    beside = "-".join(
        f"{key}={value}" for content in case["beside"].values() for key, value in content.items()
    )
    return f"{case['model_type']}-{case['file']}-{beside[:70] or 'nothing beside it'}"


def folder_of(case: dict[str, Any], folder: Path) -> Path:
    """Makes a folder as it is published."""
    if case["file"] == "tokenizer.json":
        made = GOLDEN / case["family"] / f"{case['model_type']}-tokenizer.json"
        shutil.copy(made, folder / "tokenizer.json")
    else:
        for file in (GOLDEN / FOLDER_OF.get(case["family"], case["family"])).iterdir():
            if not file.name.endswith("tokenizer.json"):
                shutil.copy(file, folder)
    for file, content in case["beside"].items():
        (folder / file).write_text(json.dumps(content), "utf-8")
    config = {"model_type": case["model_type"], "vocab_size": 1000}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def ids(tokenizer: Tokenizer, texts: list[Any]) -> list[list[int]]:
    made = tokenizer.encode([tuple(text) if isinstance(text, list) else text for text in texts])
    cuts = zip(made.offsets[:-1], made.offsets[1:], strict=True)
    return [made.ids[start:end].tolist() for start, end in cuts]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_ids_are_those_of_the_reference(case: dict[str, Any], tmp_path: Path) -> None:
    """And the saved folder gives them everywhere: here, by the Rust library, in transformers."""
    folder = folder_of(case, tmp_path)
    tokenizer = Tokenizer(folder, 256)
    saved = tmp_path / "saved"
    saved.mkdir()
    tokenizer.save(saved)
    shutil.copy(folder / "config.json", saved)
    rust = RustTokenizer.from_file(str(saved / "tokenizer.json"))
    theirs = AutoTokenizer.from_pretrained(saved)
    for texts, expected in ((case["texts"], case["ids"]), (case["pairs"], case["pair_ids"])):
        parts = [(text,) if isinstance(text, str) else text for text in texts]
        assert ids(tokenizer, texts) == expected
        assert ids(Tokenizer(saved, 256), texts) == expected
        assert ids(Tokenizer.saved(saved, 256), texts) == expected
        assert [rust.encode(*part).ids for part in parts] == expected
        assert [theirs(*part)["input_ids"] for part in parts] == expected
