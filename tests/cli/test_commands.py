"""The command line: what each command prints and writes, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.cli.main import main
from ktlite.errors import ArgumentError, DataError
from ktlite.predictor import load_predictor

ROOT = Path(__file__).parents[2]
TEXTS = ["the film was great", "a bad movie, not good", "", "very long " * 20, 'he said "no"']


def command(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ktlite.cli", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        **options,
    )


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "reviews.csv"
    rows = [("good great film", "pos"), ("bad, not very good", "neg")] * 12
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("review", "label"), *rows])
    return file


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["completion", "bash"]])
def test_help_loads_no_heavy_library(words: list[str]) -> None:
    script = (
        "import sys\nfrom ktlite.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'keras', 'transformers', 'numpy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_info_reads_no_model(tiny_predictors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tiny_predictors / "classification"), "--json", "--check"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["task"] == "classification"
    assert facts["labels"] == ["neg", "pos", "unsure"]
    assert facts["model"] == "bert"
    assert facts["runtime"] == "keras"  # as load_predictor(runtime=) calls it
    assert facts["maxlen"] == 12


def test_info_of_other_folders(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(golden / "ktrain" / "pairs")]) == 0
    assert "ktlite convert" in capsys.readouterr().out
    assert main(["info", str(golden / "bert-gelu")]) == 0
    assert "checkpoint" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "none")]) == 1


def test_training_leaves_a_predictor_and_what_repeats_it(
    tiny_checkpoint: Path,
    reviews: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = ["--data", str(reviews), "--text", "review", "--label", "label"]
    settings = ["--lr", "1e-3", "--epochs", "1", "--maxlen", "12", "--batch-size", "8"]
    checkpoint = str(tiny_checkpoint)
    code = main(
        [
            "train",
            "--model",
            checkpoint,
            *words,
            *settings,
            "--out",
            str(first),
            "--json",
            "-q",
        ]
    )
    shown = capsys.readouterr()
    data = json.loads(shown.out)
    assert (code, shown.err) == (0, "")  # quiet: neither bars nor what the data's check finds
    assert data["predictor"] == str(first)
    assert set(data["metrics"]) >= {"accuracy", "loss"}
    assert len(data["history"]["loss"]) == 1
    repeat = ["train", "--config", data["run"], "--out", str(second), "-q"]
    assert main(repeat) == 0
    logits = [load_predictor(folder).logits(TEXTS) for folder in (first, second)]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "txt"])
def test_files_are_predicted_in_their_order(
    tiny_predictors: Path, tmp_path: Path, suffix: str
) -> None:
    folder = str(tiny_predictors / "classification")
    texts = [TEXTS[i % len(TEXTS)] + f" {i}" * (i % 3) for i in range(23)]
    source = tmp_path / f"in.{suffix}"
    with source.open("w", newline="") as stream:
        if suffix == "jsonl":
            stream.writelines(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(texts))
        elif suffix == "txt":
            stream.writelines(f"{text}\n" for text in texts)
        else:
            writer = csv.writer(stream, delimiter="\t" if suffix == "tsv" else ",")
            writer.writerows([("id", "text"), *enumerate(texts)])
    out = tmp_path / "out.jsonl"
    assert main(["predict", folder, "-i", str(source), "-o", str(out), "--block", "4", "-q"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    predictor = load_predictor(folder)
    assert [row["text"] for row in rows] == texts
    for text, row in zip(texts, rows, strict=True):
        if text.strip():
            chances = predictor.predict_proba(text)
            assert row["prediction"] == predictor.predict(text)
            assert row["probability"] == pytest.approx(float(chances.max()), abs=1e-5)
        else:
            assert (row["prediction"], row["probability"]) == (None, None)
    if suffix != "txt":
        assert [int(row["id"]) for row in rows] == list(range(23))


def test_standard_input_to_standard_output(tiny_predictors: Path) -> None:
    folder = str(tiny_predictors / "multilabel")
    done = command("predict", folder, "--quiet", input="good film\n房间 很好\n")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["text"] for row in rows] == ["good film", "房间 很好"]
    assert set(json.loads(rows[0]["probability"])) == {"toxic", "threat"}
    assert isinstance(json.loads(rows[0]["prediction"]), list)
    assert done.stderr == ""


def test_texts_of_the_command_line(
    tiny_predictors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tiny_predictors / "classification")
    assert main(["predict", "--devices", "CPU:0", folder, *TEXTS[:2]]) == 0
    expected = load_predictor(folder).predict(TEXTS[:2])
    assert capsys.readouterr().out.split() == expected


def test_name_of_a_file_is_a_text_of_the_command_line_and_that_is_said(
    tiny_predictors: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("test.csv").write_text("text\ngood\n")
    assert main(["predict", str(tiny_predictors / "classification"), "a film", "test.csv"]) == 0
    assert caplog.text.count("is taken for a text") == 1
    assert "--input test.csv predicts" in caplog.text


def test_pair_of_the_command_line(
    tiny_predictors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tiny_predictors / "pairs")
    assert main(["predict", folder, "good film", "bad", "--pair", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["text"] == ["good film", "bad"]
    assert row["prediction"] == load_predictor(folder).predict(("good film", "bad"))


@pytest.mark.parametrize(
    "words",
    [
        ["-q", "{folder}", "{a}", "{b}"],
        ["{folder}", "-q", "{a}", "{b}"],
        ["{folder}", "--option", "return_proba=false", "{a}", "{b}"],
        ["{folder}", "{a}", "-q", "{b}"],
        ["{folder}", "-q", "--", "{a}", "{b}"],
        ["{folder}", "{a}", "{b}", "-q"],
    ],
)
def test_options_stand_anywhere_among_the_texts(
    tiny_predictors: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    folder, (a, b) = str(tiny_predictors / "classification"), ("good film", "- bad, with a dash")
    assert main(["predict", *(word.format(folder=folder, a=a, b=b) for word in words)]) == 0
    assert capsys.readouterr().out.split() == load_predictor(folder).predict([a, b])


def test_json_is_of_the_summary_where_rows_go_to_a_file(
    tiny_predictors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.csv"
    source.write_text("good film\n")
    words = ["predict", str(tiny_predictors / "regression"), "-i", str(source), "-o", str(out)]
    assert main([*words, "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1
    assert out.read_text().startswith("text,prediction,probability\n")


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_file_without_rows_leaves_no_file_that_nobody_can_read(
    tiny_predictors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\n")
    words = ["predict", str(tiny_predictors / "regression"), "-i", str(source)]
    assert main([*words, "-o", str(tmp_path / name)]) == 1
    assert "in.csv: there are no rows in it" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["in.csv"]


def test_options_of_the_server_are_those_of_serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("fastapi")
    given: dict[str, Any] = {}
    monkeypatch.setattr("ktlite.deploy.serving.serve", lambda path, **found: given.update(found))
    words = ["--cache", "100", "--limits", '{"texts": 5}', "--cors", "a", "b"]
    assert main(["serve", str(tmp_path), *words]) == 0
    assert given == {"cache": 100, "limits": {"texts": 5}, "cors": ["a", "b"]}


def test_version_of_operators_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_predictors: Path
) -> None:
    words = ["export", str(tiny_predictors / "regression"), str(tmp_path / "out")]
    given: dict[str, Any] = {}

    def export(self: Any, path: str, **found: Any) -> Any:
        given.update(found)
        raise ArgumentError("stop")

    monkeypatch.setattr("ktlite.predictor.Predictor.export", export)
    assert main([*words, "--target-opset", "16"]) == 2
    assert given == {"target_opset": 16}


@pytest.mark.parametrize("place", [1, 3])
def test_target_may_be_a_string_of_digits(
    tiny_predictors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: int
) -> None:
    predictor = load_predictor(tiny_predictors / "classification")
    predictor.preproc.task = predictor.preproc.task.renamed(["0", "1", "2"])
    predictor.save(tmp_path / "p")
    words = [str(tmp_path / "p"), "good film"]
    words[place:place] = ["--target", "1"]
    assert main(["explain", *words, "--method", "occlusion", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "1"


def test_evaluation_counts_what_is_right(
    tiny_predictors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_predictors / "classification"
    texts, labels = ["good film", "bad", "a very good room", "not"], ["neg", "pos", "unsure", "pos"]
    file = tmp_path / "data.csv"
    lines = zip(texts, labels, strict=True)
    file.write_text("text,label\n" + "".join(f"{t},{label}\n" for t, label in lines))
    words = ["--data", str(file), "--text", "text", "--label", "label"]
    assert main(["evaluate", str(folder), *words, "--json", "-q"]) == 0
    found = load_predictor(folder).predict(texts)
    right = np.mean([a == b for a, b in zip(found, labels, strict=True)])
    data = json.loads(capsys.readouterr().out)
    assert data["metrics"]["accuracy"] == pytest.approx(right)
    assert main(["evaluate", str(folder), *words, "--ci", "-q"]) == 0
    assert "confidence intervals" in capsys.readouterr().out


def test_conversion(golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new"
    words = ["convert", str(golden / "ktrain" / "multilabel"), "--out", str(new)]
    assert main(words) == 0
    assert "multilabel of toxic, threat" in capsys.readouterr().out
    assert load_predictor(new).get_classes() == ["toxic", "threat"]
    (new / "README.md").write_text("of an earlier run")
    assert main(words) == 2
    assert (new / "README.md").is_file()
    assert main([*words, "--overwrite"]) == 0
    assert not (new / "README.md").exists()


def test_explanation(
    tiny_predictors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    words = ["explain", str(tiny_predictors / "classification"), "the film was great"]
    assert main([*words, "--method", "occlusion", "--html", str(page), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["method"] == "occlusion"
    assert [word["word"] for word in data["words"]] == ["the", "film", "was", "great"]
    assert "film" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["predict", "no-such-folder", "text"], 1, "no such folder"),
        (["predict", "{folder}", "-i", "none.csv"], 1, "no such file"),
        (["predict", "{folder}", "text", "-i", "x.csv"], 2, "not both"),
        (["predict", "{folder}", "text", "--option", "n_best=2"], 2, "n_best"),
        (["predict", "{folder}", "text", "--option", "x"], 2, "NAME=VALUE"),
        (["predict", "{folder}", "text", "--block", "0"], 2, "1 or more"),
        (["predict", "{folder}", "text", "--devices", "CPU:0,GPU:7"], 2,
          "load_predictor: devices: GPU:7 not found"),
        (["predict", "{folder}", "-i", "{folder}", "-o", "x", "--devices", "GPU:7"], 2, "GPU:7"),
        (["predict", "{folder}", "text", "-o", "x.csv"], 2, "--output does not go with TEXT"),
        (["predict", "{folder}", "-i", "{folder}", "--format", "csv"], 2, "with a folder"),
        (["predict", "{folder}", "-i", "x.csv", "--pair"], 2, "--pair does not go with a file"),
        (["predict", "{folder}", "text", "--option", "batch_size=2"], 2, "--batch-size"),
        (["predict", "{folder}", "text", "--option", "coverage=0.9", "--option",
          "return_proba=true"], 2, "coverage goes without return_proba"),
        (["train"], 2, "--model is not given"),
        (["train", "--labels", "x"], 2, "Did you mean '--label"),
        (["train", "--model", "m", "--data", "d", "--out", "{folder}/.."], 2, "something else"),
        (["train", "--model", "m", "--data", "d", "--out", "new", "--fit", "fit", "--monitor",
          "loss", "--lr", "x"], 2, "invalid float"),
        (["evaluate", "{folder}"], 2, "--data"),
        (["convert", "{folder}", "new"], 1, "tf_model.preproc"),
        (["no-such-command"], 2, "no-such-command"),
        ([], 2, "COMMAND"),
    ],
)  # fmt: skip
def test_failures_say_why_and_have_their_codes(
    tiny_predictors: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = str(tiny_predictors / "classification")
    try:
        found = main([word.format(folder=folder) for word in words])
    except SystemExit as stop:
        found = int(str(stop.code))
    shown = capsys.readouterr()
    assert found == code
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_fit_takes_its_own_arguments_only(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "m", "--data", "d", "--out", "new", "--cycle-len", "1"]
    assert main(["train", *words]) == 2
    assert "cycle_len" in capsys.readouterr().err


def test_reader_that_goes_away_is_no_failure(tiny_predictors: Path, tmp_path: Path) -> None:
    file = tmp_path / "many.txt"
    file.write_text("good film\n" * 20_000)
    folder = tiny_predictors / "classification"
    words = f"{sys.executable} -m ktlite.cli predict {folder} -q --block 64 -i {file} | head -2"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 141
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["ktlite", "pred"], ["predict"]),
        (["ktlite", "train", "--text-c"], ["--text-column"]),
        (["ktlite", "train", "--fit", "auto"], ["autofit"]),
        (["ktlite", "predict", "model", "--output-format", "j"], ["jsonl"]),
        (["ktlite", "train", "--data", "rev"], []),
    ],
)
def test_bash_completes(line: list[str], expected: list[str], tmp_path: Path) -> None:
    script = command("completion", "bash").stdout
    words = " ".join(map(repr, line))
    (tmp_path / "complete.sh").write_text(
        f"{script}\nCOMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _ktlite\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", str(tmp_path / "complete.sh")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "label-columns" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "ktlite: stopped."),
        (PermissionError(13, "Permission denied"), 1, "Permission denied"),
        (DataError("row 3 is no text."), 1, "ktlite: row 3 is no text."),
        (ArgumentError("lr=-1."), 2, "ktlite: lr=-1."),
    ],
)
def test_errors_have_their_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    def fail(args: Any) -> Any:
        sys.stdout.write("half a result")
        raise error

    monkeypatch.setattr("ktlite.cli.folders.run_info", fail)
    assert main(["info", "somewhere"]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_what_is_no_number_is_null_in_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"a": float("nan"), "b": [1.5, float("inf")]}
    monkeypatch.setattr("ktlite.cli.folders.run_info", lambda args: ("", data))
    assert main(["info", "somewhere", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None]}
