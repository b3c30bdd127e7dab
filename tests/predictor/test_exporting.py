"""A predictor in other runtimes: the same predictions, or an error and no folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.cards import RunCard
from ktlite.cli.main import main
from ktlite.data.preprocessor import Preprocessor
from ktlite.errors import ArgumentError, DataError, ExportError, PredictorError
from ktlite.export import FORMATS
from ktlite.export.tracing import traced
from ktlite.models import from_pretrained
from ktlite.models.adapters import add_adapters
from ktlite.predictor import Predictor, load_predictor
from ktlite.tasks import Classification, QuestionAnswering, Similarity, Task

ROOT = Path(__file__).parents[2]
TEXTS = ["The film was great!", "房间很好，但是不便宜。", "", "not very good, and very long " * 9]


def make(checkpoint: Path, task: Task, **options: Any) -> Predictor:
    """A predictor whose head is as loud as trained ones are."""
    model = from_pretrained(
        checkpoint, task.head, num_labels=task.outputs or None, layers=1, **options
    )
    random = np.random.default_rng(5)
    for layer in (getattr(model.head, "classifier", None),):
        for weight in layer.weights if layer is not None else ():
            weight.assign(random.normal(0, 0.5, weight.shape))
    return Predictor(model, Preprocessor(checkpoint, 24, task))


@pytest.fixture(scope="module")
def predictor(tiny_checkpoint: Path) -> Predictor:
    """Do not change."""
    return make(tiny_checkpoint, Classification(["neg", "so-so", "pos"]))


@pytest.fixture(scope="module")
def onnx_folder(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX export. Do not write here."""
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    return predictor.export(tmp_path_factory.mktemp("exports") / "onnx").path


def test_onnx_predictor_says_what_the_predictor_says(
    predictor: Predictor, onnx_folder: Path
) -> None:
    loaded = load_predictor(onnx_folder, runtime="onnx")
    assert loaded.predict(TEXTS) == predictor.predict(TEXTS)
    assert loaded.get_classes() == ["neg", "so-so", "pos"]
    pairs = [("good film", "bad movie"), ("the room", "very " * 30)]
    for texts in (TEXTS, pairs, TEXTS[:1]):
        np.testing.assert_allclose(loaded.logits(texts), predictor.logits(texts), atol=1e-5)
        np.testing.assert_allclose(
            loaded.predict_proba(texts), predictor.predict_proba(texts), atol=1e-5
        )


def test_onnx_inputs_and_outputs_are_named(onnx_folder: Path) -> None:
    session = load_predictor(onnx_folder).model.session
    found = [(i.name, i.shape, i.type) for i in session.get_inputs()]
    assert found == [
        (name, ["batch", "length"], "tensor(int64)")
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("logits", ["batch", 3])]


def test_onnx_predictor_imports_neither_tensorflow_nor_keras(onnx_folder: Path) -> None:
    script = (
        "import json, sys, ktlite\n"
        f"predictor = ktlite.load_predictor({str(onnx_folder)!r})\n"
        "predictor.predict(['a good film', 'bad']); predictor.predict_proba('fine')\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    heavy = {"tensorflow", "keras", "transformers", "torch", "pandas", "sklearn", "matplotlib"}
    assert heavy.isdisjoint(loaded), heavy & set(loaded)
    assert "onnxruntime" in loaded


def test_answers_come_back_as_two_outputs(tiny_checkpoint: Path, tmp_path: Path) -> None:
    predictor = make(tiny_checkpoint, QuestionAnswering(threshold=0.5))
    predictor.export(tmp_path / "qa", "saved_model")
    loaded = load_predictor(tmp_path / "qa", runtime="saved_model")
    assert set(loaded.model._function.structured_outputs) == {"start_logits", "end_logits"}
    asked = [("who?", "a good film by a bad room"), ("what?", "very " * 40 + "good")]
    assert loaded.predict(asked, return_offsets=True) == predictor.predict(
        asked, return_offsets=True
    )


def test_vectors_of_an_exported_embedder(tiny_checkpoint: Path, tmp_path: Path) -> None:
    predictor = make(tiny_checkpoint, Similarity("cosine"), normalize=True)
    predictor.export(tmp_path / "vectors", "saved_model")
    loaded = load_predictor(tmp_path / "vectors", runtime="saved_model")
    np.testing.assert_allclose(loaded.embed(TEXTS), predictor.embed(TEXTS), atol=1e-6)
    assert loaded.embed([]).shape == predictor.embed([]).shape
    assert loaded.predict([("a", "b")]) == pytest.approx(predictor.predict([("a", "b")]))
    with pytest.raises(ArgumentError, match="exported with pooling='mean'"):
        loaded.embed(TEXTS, pooling="max")


def test_a_model_that_reads_all_inputs_is_traced_once(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    call = type(predictor.model).call
    monkeypatch.setattr(
        type(predictor.model), "call", lambda *a, **k: calls.append(a) or call(*a, **k)
    )
    traced(predictor.model).get_concrete_function()
    assert len(calls) == 1


def test_half_precision_is_exported_in_float32(tiny_checkpoint: Path, tmp_path: Path) -> None:
    task = Classification(["a", "b"])
    predictor = make(tiny_checkpoint, task, dtype="mixed_bfloat16")
    written = predictor.export(tmp_path / "half", "saved_model")
    assert 1e-6 < written.difference < 5e-2
    whole = make(tiny_checkpoint, task)
    loaded = load_predictor(tmp_path / "half", runtime="saved_model")
    np.testing.assert_allclose(loaded.logits(TEXTS), whole.logits(TEXTS), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_adapters_are_exported_in_the_kernels(
    tiny_checkpoint: Path, tmp_path: Path, dtype: str
) -> None:
    plain = make(tiny_checkpoint, Classification(["a", "b"]), dtype=dtype)
    adapted = make(tiny_checkpoint, Classification(["a", "b"]), dtype=dtype)
    add_adapters(adapted.model, 2)
    random = np.random.default_rng(7)
    for weight in adapted.model.encoder.trainable_weights:
        weight.assign(random.normal(0, 0.2, weight.shape))
    loaded = []
    for number, predictor in enumerate([plain, adapted]):
        predictor.export(tmp_path / str(number), "saved_model")
        loaded.append(load_predictor(tmp_path / str(number), runtime="saved_model"))
    sizes = [sorted(v.shape.num_elements() for v in p.model._module.kept) for p in loaded]
    assert sizes[0] == sizes[1]
    found = loaded[1].logits(TEXTS)
    np.testing.assert_allclose(
        found, adapted.logits(TEXTS), atol=1e-4 if dtype == "float32" else 0.1
    )
    assert np.abs(found - plain.logits(TEXTS)).max() > 0.2


def test_the_run_card_goes_with_the_export(tiny_checkpoint: Path, tmp_path: Path) -> None:
    predictor = make(tiny_checkpoint, Classification(["a", "b"]))
    predictor.card = RunCard(arguments={"maxlen": 24})
    predictor.export(tmp_path / "p", "saved_model")
    assert load_predictor(tmp_path / "p", runtime="saved_model").card == predictor.card


@pytest.mark.parametrize("texts", [None, 3, {"text": "a"}, pd.DataFrame({"text": ["x"]}), b"a"])
def test_what_is_no_list_of_texts_has_no_vectors(predictor: Predictor, texts: Any) -> None:
    with pytest.raises(DataError, match=f"list of them; got {type(texts).__name__}"):
        predictor.embed(texts)


def test_what_an_export_came_to_is_said_once(
    predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = predictor.export(tmp_path / "made", "huggingface")
    expected = (
        f"{tmp_path / 'made'}: huggingface, {made.size / 1e6:.1f} MB, outputs differ by "
        f"{made.difference:.2g} at most (the largest is {made.scale:.3g}).\n"
    )
    assert capsys.readouterr().out == expected == f"{made}\n"
    predictor.save(tmp_path / "saved")
    capsys.readouterr()
    words = ["export", str(tmp_path / "saved"), "--out", str(tmp_path / "more")]
    assert main([*words, "--format", "huggingface"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{tmp_path / 'more'}: huggingface, ")
    assert "outputs differ" not in shown.err


def test_exports_are_compared(predictor: Predictor) -> None:
    texts, labels = ["good", "bad", "The room was fine.", "a"], ["pos", "neg", "so-so", "pos"]
    frame = predictor.compare_exports(texts, labels, ["saved_model"])
    assert list(frame.index) == ["keras", "saved_model"]
    assert {"accuracy", "loss", "size_mb", "one_text_ms", "texts_per_s"} <= set(frame.columns)
    right = np.mean([a == b for a, b in zip(predictor.predict(texts), labels, strict=True)])
    np.testing.assert_allclose(frame["accuracy"], right)
    assert (frame[["size_mb", "one_text_ms", "texts_per_s"]] > 0).all(axis=None)
    with pytest.raises(DataError, match="needs labels"):
        predictor.compare_exports(texts)
    with pytest.raises(ArgumentError, match="exports='onnx'; expected a list"):
        predictor.compare_exports(texts, labels, "onnx")
    with pytest.raises(ArgumentError, match="quantize='int4'"):
        predictor.compare_exports(texts, labels, ["onnx int4"])


# Refused


def test_wrong_numbers_are_an_error_and_leave_what_was_there(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = predictor.export(tmp_path / "export", "saved_model").path
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    form = FORMATS["saved_model"]

    def wrong(*arguments: Any) -> Any:
        opened: Any = form.open(*arguments)
        run = opened.run
        opened.run = lambda inputs: {name: x + 0.1 for name, x in run(inputs).items()}
        return opened

    monkeypatch.setitem(FORMATS, "saved_model", replace(form, open=wrong))
    for path in (folder, tmp_path / "new"):
        with pytest.raises(ExportError, match="other numbers than the model.*by up to 0.1 "):
            predictor.export(path, "saved_model")
    assert [entry.name for entry in tmp_path.iterdir()] == ["export"]
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == before


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("model.onnx", {}, "name of a file"),
        ("x", {"format": "onxx"}, "Did you mean 'onnx'"),
        ("x", {"quantize": "float16"}, "expected 'int8' or None .ONNX Runtime has no 16-bit"),
        ("x", {"format": "saved_model", "quantize": "int8"}, "expected None"),
        ("x", {"target_opsett": 17}, "unknown argument 'target_opsett'. Did you mean"),
        ("x", {"format": "litert", "target_opset": 17}, "unknown argument 'target_opset'"),
    ],
)
def test_exports_that_cannot_be(
    predictor: Predictor, tmp_path: Path, path: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        predictor.export(tmp_path / path, **options)
    assert not any(tmp_path.iterdir())


def test_operators_that_do_not_exist_are_refused(predictor: Predictor, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx")
    with pytest.raises(ExportError, match="target_opset=99"):
        predictor.export(tmp_path / "x", target_opset=99)
    assert not any(tmp_path.iterdir())


def test_a_saved_predictor_is_not_replaced(predictor: Predictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "p")
    with pytest.raises(ArgumentError, match="is a saved predictor, which an export does not re"):
        predictor.export(tmp_path / "p", "saved_model")
    assert load_predictor(tmp_path / "p").predict(TEXTS) == predictor.predict(TEXTS)
    with pytest.raises(PredictorError, match=r"'keras', not 'onnx'. Export it"):
        load_predictor(tmp_path / "p", runtime="onnx")
    with pytest.raises(ArgumentError, match="runtime='tensorflow' is not known"):
        load_predictor(tmp_path / "p", runtime="tensorflow")


def test_a_program_is_opened_on_request_alone(predictor: Predictor, tmp_path: Path) -> None:
    predictor.export(tmp_path / "p", "saved_model")
    with pytest.raises(PredictorError, match="is a program.*pass runtime='saved_model'"):
        load_predictor(tmp_path / "p")


def test_what_an_export_cannot_do(onnx_folder: Path, tmp_path: Path) -> None:
    loaded = load_predictor(onnx_folder)
    for call in (loaded.save, loaded.export):
        with pytest.raises(PredictorError, match="loaded from an export"):
            call(tmp_path / "again")
    with pytest.raises(ArgumentError, match="no vectors of texts"):
        loaded.embed(TEXTS)
    with pytest.raises(PredictorError, match="'onnx', not 'keras'"):
        load_predictor(onnx_folder, runtime="keras")


@pytest.mark.parametrize(("module", "format"), [("tf2onnx", "onnx"), ("ai_edge_litert", "litert")])
def test_missing_packages_are_named(
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    format: str,
) -> None:
    if format == "onnx":
        pytest.importorskip("onnx")
    for name in [m for m in sys.modules if m.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExportError, match=rf"pip install 'ktlite\[{format}\]'"):
        predictor.export(tmp_path / "x", format)
    assert not any(tmp_path.iterdir())


# Damaged folders


@pytest.fixture(scope="module")
def folders(
    predictor: Predictor, onnx_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A folder of each kind. Do not write there."""
    saved = tmp_path_factory.mktemp("saved") / "keras"
    predictor.save(saved)
    return {"keras": saved, "onnx": onnx_folder}


@pytest.mark.parametrize("kind", ["keras", "onnx"])
def test_flipped_bytes_are_an_error_in_every_file(
    folders: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders[kind], tmp_path / kind))
    random = np.random.default_rng(11)
    listed = json.loads((folder / "ktlite.json").read_text())["files"]
    assert {"config.json", "tokenizer.json"} < set(listed)
    loaded = []
    for file in [folder / name for name in (*listed, "ktlite.json")]:
        whole = file.read_bytes()
        for number in range(25):
            damaged = bytearray(whole)
            for place in random.integers(0, len(whole), 1 + number % 3):
                damaged[place] ^= int(random.integers(1, 256))
            file.write_bytes(damaged)
            try:
                load_predictor(folder)
                loaded.append((file.name, bytes(damaged)))
            except PredictorError:
                pass
        file.write_bytes(whole)
    # A space that became another space leaves what the manifest says as it was.
    manifest = json.loads((folder / "ktlite.json").read_text())
    assert all(n == "ktlite.json" and json.loads(c) == manifest for n, c in loaded), loaded
    load_predictor(folder)


@pytest.mark.parametrize("kind", ["keras", "onnx"])
def test_files_that_are_gone_cut_or_of_another_predictor(
    folders: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders[kind], tmp_path / kind))
    for file in [file for file in folder.iterdir() if file.name != "README.md"]:
        whole = file.read_bytes()
        other = tmp_path / "elsewhere"
        other.write_bytes(whole + b" ")
        for damage in (
            file.unlink,
            lambda file=file, whole=whole: file.write_bytes(whole[: len(whole) // 2]),
            lambda file=file, other=other: (file.unlink(), file.symlink_to(other)),
        ):
            damage()
            if file.name == "ktlite.json" and file.is_symlink():
                load_predictor(folder)  # the same content, and a space
            else:
                with pytest.raises(PredictorError, match=file.name):
                    load_predictor(folder)
            file.unlink(missing_ok=True)
            file.write_bytes(whole)
    load_predictor(folder)


@pytest.mark.parametrize("quantize", [False, True])
def test_the_name_of_a_file_gives_the_model_alone(
    predictor: Predictor, tmp_path: Path, quantize: bool
) -> None:
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    file = tmp_path / "new" / "reviews.onnx"
    assert predictor.export_model_to_onnx(str(file), quantize=quantize) == str(file)
    assert [path.name for path in file.parent.iterdir()] == ["reviews.onnx"]
    session = predictor.create_onnx_session(str(file))
    tokenizer = predictor.preproc.get_tokenizer()  # of transformers
    for text in TEXTS:
        tokens = {
            name: np.atleast_2d(value)
            for name, value in tokenizer(text, truncation=True, max_length=24).items()
        }
        found = session.run(None, tokens)[0]
        expected = predictor.logits([text])
        np.testing.assert_allclose(found, expected, atol=0.5 if quantize else 1e-4)
    written = file.stat().st_mtime_ns
    predictor.export_model_to_onnx(file)  # again, over what is there
    assert file.stat().st_mtime_ns > written
    with pytest.raises(ArgumentError, match="CPUExecutionProvider"):
        predictor.create_onnx_session(file, "NoSuchProvider")
    with pytest.raises(ExportError, match="cannot open"):
        predictor.create_onnx_session(tmp_path / "none.onnx")


def test_a_session_of_a_folder(predictor: Predictor, onnx_folder: Path) -> None:
    session = predictor.create_onnx_session(onnx_folder)
    assert {item.name for item in session.get_inputs()} >= {"input_ids", "attention_mask"}


def test_the_name_of_a_tflite_file(predictor: Predictor, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = predictor.export_model_to_tflite(tmp_path / "reviews.tflite")
    assert path == str(tmp_path / "reviews.tflite")
    assert Path(path).read_bytes()[4:8] == b"TFL3"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("fit", "ktlite.get_learner"),
        ("labels", "get_classes"),
        ("predct", "'predict'"),
        ("score", "metrics"),
        ("validate", "evaluate"),
        ("test", "evaluate"),
    ],  # fmt: skip
)
def test_names_that_a_predictor_lacks(predictor: Predictor, name: str, use: str) -> None:
    assert not hasattr(predictor, name)
    with pytest.raises(AttributeError, match=use):
        getattr(predictor, name)
