"""Whoever may read a folder can read what is written into it: modes are those of the umask."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

import ktlite
from ktlite import text
from ktlite._tensor_writing import save_tensors
from ktlite.cli.main import main
from ktlite.sklearn import TextClassifier

TEXTS = ["a good film", "a bad film", "great", "not good"] * 3
LABELS = ["good", "bad", "good", "bad"] * 3

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


def checkpoints(learner: ktlite.Learner, at: Path) -> None:
    learner.fit(1e-3, 1, checkpoint_folder=at, verbose=0)
    learner.fit(1e-3, 2, checkpoint_folder=at / "more", verbose=0)


def plain_model(learner: ktlite.Learner, at: Path) -> None:
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    data = (np.zeros((4, 3), "float32"), np.zeros((4, 2), "float32"))
    ktlite.get_learner(model, data).save_model(at)


def figures(learner: ktlite.Learner, at: Path) -> None:
    at.mkdir()
    learner.report(at / "report.html")
    learner.validate(save_path=at / "report.txt", verbose=0)
    learner.plot(return_fig=True).savefig(at / "loss.png")
    learner.card.write(at)


def stored_tokens(checkpoint: Path, at: Path) -> None:
    table = at / "reviews.csv"
    at.mkdir()
    rows = [f"{t},{label}\n" for t, label in zip(TEXTS, LABELS, strict=True)]
    table.write_text("text,label\n" + "".join(rows))
    ktlite.get_learner(
        checkpoint, table, text_column="text", label_columns="label", maxlen=12, verbose=0,
        cache_folder=at / "tokens",
    )  # fmt: skip


def documents(at: Path) -> None:
    pytest.importorskip("bm25s")
    text.SimpleQA.initialize_index(at)
    text.SimpleQA.index_from_list(TEXTS, at)


def commands(predictors: Path, at: Path) -> None:
    at.mkdir()
    predictor, rows = str(predictors / "classification"), at / "rows.csv"
    rows.write_text("text\ngood\nbad\n")
    new = at / "new"
    new.mkdir()
    (new / "rows.csv").write_text("text\ngood\nbad\n")
    for line in (
        ["predict", predictor, "-i", str(rows), "-o", str(at / "out.jsonl")],
        ["predict", predictor, "-i", str(new), "-o", str(at / "out")],
        ["explain", predictor, "a good film", "--html", str(at / "explained.html")],
    ):
        assert main([*line, "--quiet"]) == 0, line


@dataclass
class Made:
    """What writes files."""

    checkpoint: Path
    predictors: Path
    learner: ktlite.Learner
    few: ktlite.FewShotClassifier
    estimator: TextClassifier

    @functools.cached_property
    def predictor(self) -> ktlite.Predictor:
        return self.learner.get_predictor()


@pytest.fixture(scope="module")
def made(tiny_checkpoint: Path, tiny_predictors: Path) -> Made:
    data, checkpoint = (TEXTS, LABELS), tiny_checkpoint
    options: dict[str, Any] = {"maxlen": 12, "lora": 2, "batch_size": 4, "verbose": 0}
    learner = ktlite.get_learner(checkpoint, data, data, **options)
    learner.fit(1e-3, 1, verbose=0)
    few = ktlite.FewShotClassifier(checkpoint, 12).fit(TEXTS, LABELS, verbose=0)
    estimator = TextClassifier(checkpoint, epochs=1, maxlen=12).fit(TEXTS, LABELS)
    return Made(checkpoint, tiny_predictors, learner, few, estimator)


def search(few: ktlite.FewShotClassifier, at: Path) -> None:
    found = ktlite.SemanticSearch(few.embedder)
    found.add(TEXTS, verbose=0)
    found.save(at)


WRITERS: dict[str, Callable[[Made, Path], Any]] = {
    "predictor": lambda it, at: it.predictor.save(at),
    "predictor again": lambda it, at: [it.predictor.save(at), it.predictor.save(at)],
    "model": lambda it, at: it.learner.save_model(at),
    "shards": lambda it, at: it.predictor.model.save_pretrained(at, max_shard_size="20KB"),
    "plain model": lambda it, at: plain_model(it.learner, at),
    "adapters": lambda it, at: it.learner.save_adapters(at),
    "checkpoints": lambda it, at: checkpoints(it.learner, at),
    "figures": lambda it, at: figures(it.learner, at),
    "search": lambda it, at: search(it.few, at),
    "few-shot": lambda it, at: it.few.save(at),
    "estimator": lambda it, at: it.estimator.save(at),
    "tokens": lambda it, at: stored_tokens(it.checkpoint, at),
    "tokenizer": lambda it, at: text.train_tokenizer(TEXTS, at, vocab_size=60, verbose=0),
    "documents": lambda it, at: documents(at),
    "commands": lambda it, at: commands(it.predictors, at),
}
EXPORTS = [("huggingface", None), ("saved_model", None), ("litert", None), ("onnx", None),
           ("onnx", "int8")]  # fmt: skip


def check_modes(folder: Path, umask: int) -> None:
    """Checks that all below a folder is as it were if it had been made with `open` and `mkdir`."""
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    wrong = {
        str(path.relative_to(folder)): f"{mode:03o}"
        for path, mode in found.items()
        if not path.is_symlink() and mode != (0o777 if path.is_dir() else 0o666) & ~umask
    }
    assert not wrong
    assert len(found) > 1


@contextlib.contextmanager
def under(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077], ids="{:03o}".format)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_written_has_the_mode_that_the_umask_asks_for(
    made: Made, tmp_path: Path, writer: str, umask: int
) -> None:
    made.predictor  # noqa: B018 - made with the usual umask
    with under(umask):
        WRITERS[writer](made, tmp_path / "new")
    check_modes(tmp_path / "new", umask)


@pytest.mark.parametrize(("format", "quantize"), EXPORTS)
def test_exports_have_the_mode_that_the_umask_asks_for(
    made: Made, tmp_path: Path, format: str, quantize: str | None
) -> None:
    with under(0o027):
        made.predictor.export(tmp_path / "new", format, quantize)
    check_modes(tmp_path / "new", 0o027)


def test_a_replaced_file_has_the_mode_that_the_umask_asks_for_now(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    for umask in (0o077, 0o022):
        with under(umask):
            save_tensors({"w": np.zeros((2, 3)).T, "scalar": np.float32(7.0)}, file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
    assert load_file(file)["w"].shape == (3, 2)
    assert load_file(file)["scalar"].shape == ()


def test_one_module_alone_writes_safetensors() -> None:
    """The library's own function leaves files that their owner alone can read."""
    package = Path(ktlite.__file__).parent
    users = [p.name for p in package.rglob("*.py") if "import save_file" in p.read_text("utf-8")]
    assert sorted(users) == ["_tensor_writing.py", "checkpoint.py"]  # in a hint for a shell
