"""Predictors of ktrain: what they predict, and what their pickles may not do."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.deploy.ktrain_files import PICKLE, _label, _Unpickler, convert_ktrain
from ktlite.errors import PredictorError
from ktlite.predictor import load_predictor


@pytest.mark.parametrize("case", ["classification", "multilabel", "regression", "pairs"])
def test_predictions_are_those_of_ktrain(golden: Path, tmp_path: Path, case: str) -> None:
    convert_ktrain(golden / "ktrain" / case, tmp_path / "new")
    predictor = load_predictor(tmp_path / "new")
    expected = json.loads((golden / "ktrain" / case / "expected.json").read_text())
    texts = [tuple(t) if case == "pairs" else t for t in expected["texts"]]
    found = predictor.predict(texts) if case == "regression" else predictor.predict_proba(texts)
    np.testing.assert_allclose(found, expected["predicted"], atol=1e-5)
    assert predictor.get_classes() == expected["classes"]


class Calls:
    """Pickled, it asks for a function to be called."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def folder_with(golden: Path, tmp_path: Path, content: bytes) -> Path:
    folder = tmp_path / "old"
    shutil.copytree(golden / "ktrain" / "classification", folder)
    (folder / PICKLE).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("attack", "names"),
    [
        (lambda: Calls(os.system, "touch touched"), r"(posix|nt)\.system"),
        (lambda: Calls(eval, "open('touched', 'w')"), r"\.eval"),
        (lambda: Calls(getattr, "text", "upper"), r"\.getattr"),
        (lambda: Calls(np.save, "touched", 1), r"holds a save"),
        (lambda: {"maxlen": [Calls(os.mkdir, "touched")]}, r"\.mkdir"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_that_calls_what_it_should_not_is_refused(
    golden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attack: Any,
    names: str,
    protocol: int,
) -> None:
    folder = folder_with(golden, tmp_path, pickle.dumps(attack(), protocol))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PredictorError, match=names):
        convert_ktrain(folder, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


@pytest.mark.parametrize(
    "stolen",
    [
        b"ctransformers\nutils.os.system\n(Vtouch touched\ntR.",  # through a module's attributes
        b"cktrain\n__import__\n(Vos\ntR.",
        b"\x80\x04\x8c\x06ktrain\x8c\x0futils.os.system\x93\x8c\x0dtouch touched\x85R.",
    ],
)
def test_names_of_other_packages_are_stubs_and_lead_nowhere(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stolen: bytes
) -> None:
    folder = folder_with(golden, tmp_path, stolen)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PredictorError, match=r"names|holds"):
        convert_ktrain(folder, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_labels_may_be_of_numpy(tmp_path: Path) -> None:
    numbers = [np.int64(3), np.int32(-4), np.str_("房间")]
    found = _Unpickler(io.BytesIO(pickle.dumps(numbers)), tmp_path).load()
    assert [_label(label) for label in found] == [3, -4, "房间"]
    for other in (np.float64(1.5), np.array(["a"]), np.dtype("i8")):
        found = _Unpickler(io.BytesIO(pickle.dumps(other)), tmp_path).load()
        with pytest.raises(PredictorError, match="label"):
            _label(found)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "damaged"),
        (b"no pickle", "damaged|names"),
        (pickle.dumps({"maxlen": 3}), "holds a dict"),
        (b"cktrain.text.ner.preprocessor\nNERPreprocessor\n)\x81.", "holds a NERPreprocessor"),
        (b"cktrain.text.preprocessor\nTransformer\n)\x81.", "does not say"),
    ],
)
def test_other_content_is_refused(
    golden: Path, tmp_path: Path, content: bytes, problem: str
) -> None:
    folder = folder_with(golden, tmp_path, content)
    with pytest.raises(PredictorError, match=problem):
        convert_ktrain(folder, tmp_path / "new")


def test_pickle_that_is_cut_anywhere_is_refused(golden: Path, tmp_path: Path) -> None:
    content = (golden / "ktrain" / "classification" / PICKLE).read_bytes()
    for end in range(0, len(content), 97):
        shutil.rmtree(tmp_path / "old", ignore_errors=True)
        folder = folder_with(golden, tmp_path, content[:end])
        with pytest.raises(PredictorError):
            convert_ktrain(folder, tmp_path / "new")


def test_folder_without_a_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match=PICKLE):
        convert_ktrain(tmp_path, tmp_path / "new")
