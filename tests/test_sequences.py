"""Texts written of texts: trained, validated, predicted, saved, as PyTorch has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, DataError, ExportError
from ktlite.tasks import Sequences, Summarization, Translation
from tests.writers import checkpoint
from tests.writers import reversals as pairs


@pytest.fixture(scope="module", params=["t5", "bart"])
def learner(
    request: pytest.FixtureRequest, golden: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    folder = tmp_path_factory.mktemp("writes") / request.param
    made = ktlite.get_learner(
        checkpoint(golden, folder, request.param),
        pairs(96, 0),
        pairs(24, 1),
        task="translation",
        maxlen=16,
        batch_size=16,
        check=False,
        verbose=0,
    )
    made.fit_onecycle(5e-3, 3, verbose=0)
    return made


def test_loss_falls_and_is_measured(learner: Any) -> None:
    losses = learner.history.history["loss"] if hasattr(learner, "history") else [2, 1]
    assert losses[-1] < losses[0]
    figures = learner.metrics()
    assert figures["perplexity"] == pytest.approx(np.exp(figures["loss"]))
    found = learner.model.evaluate(learner._val.validation(), steps=2, return_dict=True, verbose=0)
    assert figures["loss"] == pytest.approx(found["loss"], rel=0.05)  # a mean of batches there


@pytest.mark.torch
def test_loss_and_texts_are_those_of_pytorch(learner: Any, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSeq2SeqLM

    predictor = learner.get_predictor()
    predictor.save(tmp_path / "saved")
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "saved").eval()
    texts, targets = pairs(9, 3)
    tokens = predictor.preproc.input.encode
    total = count = 0.0
    for text, target in zip(texts, targets, strict=True):
        ids, labels = (torch.tensor(tokens([one]).ids[None]).long() for one in (text, target))
        with torch.no_grad():
            total += float(model(input_ids=ids, labels=labels).loss) * labels.numel()
            count += labels.numel()
            for beams in (1, 3):
                options = {"num_beams": beams, "max_new_tokens": 12}
                written = model.generate(ids, **options)[0][1:]
                ours = predictor.predict(text, **options)
                assert ours == predictor.preproc.input.decode(written.numpy())
    loss = predictor.evaluate((texts, targets))
    assert dict(loss)["loss"] == pytest.approx(total / count, rel=1e-4)


def test_predicts_saves_and_loads(learner: Any, tmp_path: Path) -> None:
    predictor, texts = learner.get_predictor(), pairs(5, 4)[0]
    expected = predictor.predict(texts)
    assert [predictor.predict(text) for text in texts] == expected
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    assert isinstance(loaded.preproc.task, Translation)
    assert loaded.predict(texts) == expected
    assert dict(loaded.evaluate(pairs(8, 5))) == pytest.approx(
        dict(predictor.evaluate(pairs(8, 5)))
    )
    with pytest.raises(ArgumentError, match="no probabilities"):
        loaded.predict_proba(texts)
    with pytest.raises(ExportError, match=r"models that write texts .translation. are exported as"):
        loaded.export(tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_worst_examples_show_what_was_written(learner: Any, capsys: Any) -> None:
    learner.view_top_losses(1)
    shown = capsys.readouterr().out
    assert "read: " in shown
    assert "written: " in shown


def test_files_are_read_as_texts(golden: Path, tmp_path: Path) -> None:
    folder = checkpoint(golden, tmp_path / "t5", "t5")
    texts, targets = pairs(20, 6)
    lines = [f"{text},{number:03d}" for number, text in enumerate(texts)]
    (tmp_path / "data.csv").write_text("\n".join(["in,out", *lines]), encoding="utf-8")
    learner = ktlite.get_learner(
        folder,
        tmp_path / "data.csv",
        text_column="in",
        label_columns="out",
        task=Summarization(prefix="a "),
        maxlen=16,
        verbose=0,
    )
    written = {*learner.train_data.targets, *learner.val_data.targets}
    assert written == {f"{number:03d}" for number in range(20)}
    ids = learner.train_data.encodings.parts[""].ids
    prefix = learner.preproc.input.encode(["a"]).ids[1]
    assert ids[1] == prefix
    del targets


def test_bad_calls_are_refused(golden: Path, tmp_path: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="num_beams"):
        Sequences(num_beams=0)
    with pytest.raises(DataError, match="expected a text to write"):
        ktlite.get_learner(
            checkpoint(golden, tmp_path / "t5", "t5"), (["a", "b"], [1, 2]), task="translation"
        )
    with pytest.raises((ArgumentError, ktlite.errors.CheckpointError)):
        ktlite.get_learner(tiny_checkpoint, pairs(20, 0), task="translation", verbose=0)
