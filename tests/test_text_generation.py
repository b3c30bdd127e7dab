"""Texts that go on: trained, validated, predicted, saved, as PyTorch has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.tasks import TextGeneration
from tests.writers import alphabets, chat_checkpoint, chats, checkpoint


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def learner(
    request: pytest.FixtureRequest, golden: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    folder = tmp_path_factory.mktemp("goes-on") / request.param
    made = ktlite.get_learner(
        checkpoint(golden, folder, request.param),
        alphabets(96, 0),
        alphabets(24, 1),
        task="text-generation",
        maxlen=16,
        batch_size=16,
        check=False,
        verbose=0,
    )
    made.fit_onecycle(1e-2, 5, verbose=0)
    return made


def test_what_follows_is_learned(learner: Any) -> None:
    figures = learner.metrics()
    assert figures["perplexity"] == pytest.approx(np.exp(figures["loss"]))
    assert figures["accuracy"] > 0.9
    prompts, follows = alphabets(4, 2)
    assert learner.get_predictor().predict(prompts) == follows
    found = learner.model.evaluate(learner._val.validation(), steps=1, return_dict=True, verbose=0)
    assert figures["loss"] == pytest.approx(found["loss"], rel=0.05)


@pytest.mark.torch
def test_loss_and_texts_are_those_of_pytorch(learner: Any, tmp_path: Path) -> None:
    """The loss of the tokens behind a prompt, and of all tokens of a text."""
    import torch
    from transformers import AutoModelForCausalLM

    predictor = learner.get_predictor()
    predictor.save(tmp_path / "saved")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    tokenizer = predictor.preproc.input
    prompts, follows = alphabets(9, 3)
    for given, texts in ((prompts, follows), (follows, [""] * 9)):
        total = count = 0.0
        for start, text in zip(given, texts, strict=True):
            first = [tokenizer.frame(1).specials[0], tokenizer.plain_ids([start])[0]]
            first = np.concatenate(first).astype("int64")
            rest = [*tokenizer.plain_ids([text])[0].tolist(), tokenizer.end_id]
            ids = torch.tensor([[*first.tolist(), *rest]])
            labels = ids.clone()
            if text:
                labels[0, : len(first)] = -100
            counted = int((labels[0, 1:] != -100).sum())
            with torch.no_grad():
                total += float(model(input_ids=ids, labels=labels).loss) * counted
                count += counted
                written = model.generate(ids[:, : len(first)], num_beams=2, max_new_tokens=6)[0]
            ours = predictor.predict(start, num_beams=2, max_new_tokens=6)
            assert ours == tokenizer.decode(written[len(first) :].numpy(), strip=False)
        data = (given, texts if any(texts) else None)
        assert dict(predictor.evaluate(data))["loss"] == pytest.approx(total / count, rel=1e-4)


def test_a_saved_predictor_goes_on_alike(learner: Any, tmp_path: Path) -> None:
    predictor, prompts = learner.get_predictor(), alphabets(5, 4)[0]
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    assert isinstance(loaded.preproc.task, TextGeneration)
    assert loaded.predict(prompts) == predictor.predict(prompts)
    assert loaded.predict("") == predictor.predict("")
    assert dict(loaded.evaluate(alphabets(8, 5))) == pytest.approx(
        dict(predictor.evaluate(alphabets(8, 5)))
    )


def test_worst_examples_are_shown(learner: Any, capsys: Any) -> None:
    learner.view_top_losses(1)
    shown = capsys.readouterr().out
    assert "given: " in shown
    assert "written: " in shown


@pytest.mark.parametrize("form", ["frame", "jsonl", "text", "lists"])
def test_texts_that_stand_by_themselves(golden: Path, tmp_path: Path, form: str) -> None:
    import pandas as pd

    folder = checkpoint(golden, tmp_path / "gpt2", "gpt2")
    texts = [" ".join(pair) for pair in zip(*alphabets(20, 6), strict=True)]
    data: Any = (texts, None)
    if form == "frame":
        data = pd.DataFrame({"text": texts, "other": 1})
    elif form == "jsonl":
        data = tmp_path / "texts.jsonl"
        data.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    elif form == "text":
        data = tmp_path / "texts.txt"
        data.write_text("\n".join(texts))
    learner = ktlite.get_learner(folder, data, task="text-generation", maxlen=16, verbose=0)
    assert sorted([*learner.train_data.items, *learner.val_data.items]) == sorted(texts)
    inputs, labels = learner.train_data.examples(np.arange(3), (0,))
    ids, there = inputs["input_ids"], inputs["attention_mask"] == 1
    for row in range(3):
        length = there[row].sum()
        assert (labels[row, : length - 1] == ids[row, 1:length]).all()
        assert (labels[row, length - 1 :] == -100).all()
        assert ids[row, length - 1] == learner.preproc.input.end_id
    learner.fit(1e-3, 1, verbose=0)


def test_the_prompt_does_not_count(golden: Path, tmp_path: Path, caplog: Any) -> None:
    folder = checkpoint(golden, tmp_path / "gpt2", "gpt2")
    frame = {"prompt": ["a b c", "d e f g h a b c"], "completion": ["d e", "d"]}
    data = ktlite.get_learner(
        folder,
        (frame["prompt"] * 5, frame["completion"] * 5),
        task="text-generation",
        maxlen=8,
        verbose=0,
    ).train_data
    assert "nothing is learned of" in caplog.text
    number = data.items.index("a b c")
    inputs, labels = data.examples(np.array([number]), (0,))
    counted = labels[0][labels[0] != -100]
    assert data.preproc.input.decode(counted) == "d e"
    assert counted[-1] == data.preproc.input.end_id


def test_adapters_are_trained_alone(golden: Path, tmp_path: Path) -> None:
    folder = checkpoint(golden, tmp_path / "llama", "llama")
    learner = ktlite.get_learner(
        folder, alphabets(64, 0), task="text-generation", maxlen=16, lora=8, verbose=0
    )
    trained = learner.model.trainable_variables
    assert trained and all("lora" in variable.path for variable in trained)
    before = learner.metrics()["loss"]
    learner.fit_onecycle(2e-2, 3, verbose=0)
    assert learner.metrics()["loss"] < before
    learner.save_adapters(tmp_path / "adapters")
    learner.get_predictor().save(tmp_path / "saved")
    prompts = alphabets(3, 7)[0]
    loaded = ktlite.load_predictor(tmp_path / "saved")
    assert loaded.predict(prompts) == learner.get_predictor().predict(prompts)


def test_what_cannot_be_is_said(golden: Path, tmp_path: Path) -> None:
    folder = checkpoint(golden, tmp_path / "gpt2", "gpt2")
    data = alphabets(20, 6)
    with pytest.raises(ArgumentError, match="learns by the cross-entropy of tokens"):
        ktlite.get_learner(folder, data, task="text-generation", loss="focal", maxlen=16)
    with pytest.raises(ArgumentError, match="window= does not go with"):
        ktlite.get_learner(folder, data, task="text-generation", window=8, verbose=0)
    with pytest.raises(ArgumentError, match="text_column is not given.*'a', 'b'"):
        import pandas as pd

        ktlite.get_learner(folder, pd.DataFrame({"a": ["x"], "b": ["y"]}), task="text-generation")
    with pytest.raises(DataError, match="expected a text to write"):
        ktlite.get_learner(folder, (data[0], [1] * 20), task="text-generation", maxlen=16)
    with pytest.raises(ArgumentError, match="num_beams"):
        TextGeneration(num_beams=0)


@pytest.mark.parametrize("form", ["lists", "jsonl", "frame"])
def test_replies_of_chats_are_learned(golden: Path, tmp_path: Path, form: str) -> None:
    """The tokens are those of `transformers`' `apply_chat_template`; each reply counts."""
    import pandas as pd
    from transformers import AutoTokenizer

    folder, data = chat_checkpoint(golden, tmp_path / "chat"), chats(30, 0)
    given: Any = (data, None)
    if form == "jsonl":
        given = tmp_path / "chats.jsonl"
        given.write_text("\n".join(json.dumps({"messages": chat}) for chat in data))
    elif form == "frame":
        given = pd.DataFrame({"messages": data})
    learner = ktlite.get_learner(folder, given, task="text-generation", maxlen=32, verbose=0)
    train, reference = learner.train_data, AutoTokenizer.from_pretrained(folder)
    for row in range(3):
        inputs, labels = train.examples(np.array([row]), (0,))
        whole = data[train.rows[row]]
        expected = reference.apply_chat_template(whole, return_dict=False)
        assert inputs["input_ids"][0][: len(expected)].tolist() == expected
        counted = labels[0][labels[0] != -100].tolist()
        replies = [one["content"] + "[SEP]" for one in whole if one["role"] == "assistant"]
        assert counted == reference(" ".join(replies), add_special_tokens=False)["input_ids"]
    if form != "lists":
        return
    learner.fit_onecycle(1e-2, 6, verbose=0)
    predictor = learner.get_predictor()
    prompts = [chat[:1] for chat in chats(3, 1)]
    assert predictor.predict(prompts[0]) == predictor.predict(prompts)[0]
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    assert loaded.predict(prompts) == predictor.predict(prompts)
    learner.view_top_losses(1)


def test_what_is_wrong_with_chats_is_said(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no chat template"):
        folder = checkpoint(golden, tmp_path / "plain", "llama")
        ktlite.get_learner(folder, (chats(9, 0), None), task="text-generation", maxlen=32)
    folder, data = chat_checkpoint(golden, tmp_path / "chat"), chats(20, 0)
    with pytest.raises(DataError, match="row 1: expected a list of messages.*got .*'user'"):
        wrong = [data[0], [{"role": "user", "content": 3}]]
        ktlite.get_learner(folder, (wrong, None), task="text-generation", maxlen=32)
    with pytest.raises(DataError, match="1 chat without a reply of the assistant, such as row 20"):
        silent = [*data, data[0][:1]]
        ktlite.get_learner(
            folder, (silent, None), task="text-generation", missing="error", maxlen=32
        )
    learner = ktlite.get_learner(folder, (data, None), task="text-generation", maxlen=32, verbose=0)
    with pytest.raises(ArgumentError, match=r"in lists: train_data=\(texts, None\)"):
        ktlite.get_learner(folder, ["a b c", "d e"], task="text-generation", maxlen=32)
    with pytest.raises(DataError, match="expected texts, or chats"):
        learner.get_predictor().predict(["a b", data[0][:1]])


def test_texts_that_are_cut_are_counted(golden: Path, tmp_path: Path) -> None:
    folder = checkpoint(golden, tmp_path / "gpt2", "gpt2")
    texts = ["a b c d e f g h", "a b", "c d", "e f"] * 10
    learner = ktlite.get_learner(
        folder, (texts, None), task="text-generation", maxlen=6, check=False, verbose=0
    )
    assert "25.0% of the texts are longer than 6 tokens" in str(learner.check())


@pytest.mark.parametrize("gap", [None, float("nan"), []])
def test_rows_without_a_chat_are_left_out(golden: Path, tmp_path: Path, gap: Any) -> None:
    import pandas as pd

    folder = chat_checkpoint(golden, tmp_path / "chat")
    frame = pd.DataFrame({"messages": [gap, *chats(20, 0), gap]})
    options = {"task": "text-generation", "maxlen": 32, "verbose": 0}
    learner = ktlite.get_learner(folder, frame, **options)
    assert len(learner.train_data) + len(learner.val_data) == 20
    assert learner.train_data.rows.min() >= 1
    with pytest.raises(DataError, match="2 chats without a reply of the assistant, such as row 0"):
        ktlite.get_learner(folder, frame, missing="error", **options)
