"""Tables and the command line with predictors that write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ktlite
from ktlite.cli.main import main
from ktlite.deploy.resumable import score_folder
from ktlite.deploy.scoring import score
from ktlite.errors import ArgumentError
from tests.writers import chat_checkpoint, chats

OPTIONS: dict[str, Any] = {"max_new_tokens": 8, "do_sample": True, "stop_strings": ["b", "d e"]}
WORDS = [word for name, value in OPTIONS.items()
         for word in ("--option", f"{name}={json.dumps(value)}")]  # fmt: skip
TEXTS = ["a b c", "f g", "h"]


@pytest.fixture(scope="module")
def folder(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("written")
    data = (chats(20, 0), None)
    learner = ktlite.get_learner(
        chat_checkpoint(golden, top / "chat"), data, task="text-generation", maxlen=48,
        check=False, verbose=0,
    )  # fmt: skip
    learner.get_predictor().save(top / "saved")
    return top / "saved"


def test_scores_are_texts_without_probabilities(folder: Path) -> None:
    predictor = ktlite.load_predictor(folder)
    expected = predictor.predict(TEXTS, **OPTIONS)
    found = score(predictor, [TEXTS[0], " ", *TEXTS[1:]], **OPTIONS)
    assert found == [(expected[0], None), (None, None), *((text, None) for text in expected[1:])]
    assert score(predictor, TEXTS) == [(text, None) for text in predictor.predict(TEXTS)]
    with pytest.raises(ArgumentError, match="unknown argument 'max_tokens'"):
        score(predictor, TEXTS, max_tokens=3)


def test_the_command_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictor = ktlite.load_predictor(folder)
    assert main(["predict", str(folder), *TEXTS, *WORDS, "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert shown.rstrip("\n") == "\n".join(predictor.predict(TEXTS, **OPTIONS)).rstrip("\n")
    assert main(["predict", str(folder), "a", "--option", "num_beams=0", "--quiet"]) != 0
    assert "num_beams=0; expected a whole number" in capsys.readouterr().err


def test_files_and_folders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    prompts = [chat[:1] for chat in chats(3, 2)]
    rows = [json.dumps({"messages": chat}) for chat in prompts]
    (tmp_path / "in" / "chats.jsonl").write_text("\n".join(rows))
    predictor = ktlite.load_predictor(folder)
    expected = predictor.predict(prompts, max_new_tokens=8)
    out = tmp_path / "out.jsonl"
    words = ["--text", "messages", "--option", "max_new_tokens=8", "--quiet"]
    assert main(["predict", str(folder), "-i", str(tmp_path / "in" / "chats.jsonl"),
                 "-o", str(out), *words]) == 0  # fmt: skip
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["prediction"] for row in found] == expected
    assert all(row["probability"] is None for row in found)
    for _ in range(2):  # the second goes on where there is nothing left
        assert score_folder(folder, tmp_path / "in", tmp_path / "parts", ["messages"], verbose=0,
                            block=2, max_new_tokens=8) == 3  # fmt: skip
    parts = sorted((tmp_path / "parts").glob("*.jsonl"))
    found = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert [row["prediction"] for row in found] == expected
