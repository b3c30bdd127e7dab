"""`from_pretrained`: from a name to a model, or to an error that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.errors import CheckpointError
from ktlite.models import from_config, from_pretrained

TASK = "text-classification"
TOLERANCE = 1e-5
Config = dict[str, Any]
Tensors = dict[str, np.ndarray]
Writer = Callable[..., Path]


@pytest.fixture
def folder(config: Config, tensors: Tensors, write_checkpoint: Writer) -> Path:
    return write_checkpoint(config, tensors)


def test_name_may_be_a_string_or_a_path(folder: Path, batch: Tensors) -> None:
    first, second = from_pretrained(folder, TASK), from_pretrained(str(folder), TASK)
    np.testing.assert_array_equal(first(batch), second(batch))
    assert not first.compiled


def test_hub_name_is_loaded_at_its_revision(
    folder: Path, batch: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(name: str, *, revision: str | None, **kwargs: Any) -> str:
        asked.append((name, revision))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    model = from_pretrained("org/tiny-bert", TASK, revision="v2")
    assert asked == [("org/tiny-bert", "v2")]
    np.testing.assert_array_equal(model(batch), from_pretrained(folder, TASK)(batch))


def test_task_and_labels_choose_the_output(folder: Path, batch: Tensors) -> None:
    assert from_pretrained(folder)(batch).shape == (3, 40, 32)
    assert from_pretrained(folder, TASK)(batch).shape == (3, 3)
    assert from_pretrained(folder, TASK, num_labels=1)(batch).shape == (3, 1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_type": None}, "has no field 'model_type'"),
        ({"model_type": "brt"}, "model_type 'brt' is not supported; ktlite has albert, bert, "),
        ({"hidden_act": "gelu_nwe"}, "hidden_act='gelu_nwe' is not known"),
        ({"hidden_size": "32"}, "hidden_size='32' is of type str, expected int"),
        ({"hidden_size": 0}, "hidden_size=0; expected at least 1"),
        ({"num_attention_heads": 5}, "hidden_size=32 is not divisible by num_attention_heads=5"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps='1e-12' is of type str, expected float"),
        ({"is_decoder": True}, "is_decoder=True is not supported"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"id2label": 3}, "id2label=3 is of type int"),
        ({"rotary_dim": 8, "alibi": True}, "does not know for model_type 'bert': rotary_dim, ali"),
    ],
)
def test_config_error_names_file_and_field(
    config: Config, tensors: Tensors, write_checkpoint: Writer, fields: Config, said: str
) -> None:
    folder = write_checkpoint({**config, **fields}, tensors)
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder, TASK)
    assert str(caught.value).startswith(str(folder / "config.json"))
    assert said in str(caught.value)


def test_unknown_fields_can_be_accepted(
    config: Config, tensors: Tensors, batch: Tensors, write_checkpoint: Writer
) -> None:
    strange = {**config, "my_note": 1, "other_note": 2}
    folder = write_checkpoint(strange, tensors)
    with pytest.raises(CheckpointError, match=r"ignore_config_fields=\['my_note', 'other_note'\]"):
        from_pretrained(folder, TASK)
    with pytest.raises(CheckpointError, match=r"'bert': other_note\."):
        from_pretrained(folder, TASK, ignore_config_fields=["my_note"])
    accepted = ["my_note", "other_note"]
    assert from_config(strange, TASK, ignore_config_fields=accepted).num_labels == 3
    model = from_pretrained(folder, TASK, ignore_config_fields=accepted)
    np.testing.assert_array_equal(
        model(batch), from_pretrained(write_checkpoint(config, tensors, "usual"), TASK)(batch)
    )


def test_config_without_model_type_is_refused() -> None:
    with pytest.raises(CheckpointError, match="model_type None is not supported"):
        from_config({"hidden_size": 32})


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder, TASK)
    assert f"no {file} in {folder}" in str(caught.value)


def test_checkpoint_of_another_size_than_its_config_is_refused(
    config: Config, tensors: Tensors, write_checkpoint: Writer
) -> None:
    folder = write_checkpoint({**config, "hidden_size": 64}, tensors)
    with pytest.raises(CheckpointError, match=r"11 problems[\s\S]*for 25 more tensors\."):
        from_pretrained(folder, TASK)


# A real checkpoint


@pytest.mark.checkpoint
def test_real_checkpoint_survives_saving(
    minilm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = from_pretrained(minilm)
    assert caplog.messages == []
    first.save_pretrained(tmp_path)
    for ours, theirs in zip(first.weights, from_pretrained(tmp_path).weights, strict=True):
        np.testing.assert_array_equal(theirs.numpy(), ours.numpy(), err_msg=ours.path)


@pytest.mark.checkpoint
@pytest.mark.torch
def test_real_checkpoint_gives_the_hidden_states_of_pytorch(minilm: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = [
        "A warm, funny, engaging film.",
        "The plot is thin and the jokes are thinner still. " * 12,
        "好",
    ]
    tokens = AutoTokenizer.from_pretrained(minilm)(texts, padding=True, return_tensors="np")
    mask = tokens["attention_mask"] == 1
    assert mask.shape[1] > 100
    theirs = AutoModel.from_pretrained(minilm).eval()
    with torch.no_grad():
        inputs = {name: torch.tensor(value) for name, value in tokens.items()}
        expected = theirs(**inputs).last_hidden_state.numpy()
    found = np.asarray(from_pretrained(minilm)(dict(tokens)))
    np.testing.assert_allclose(found[mask], expected[mask], rtol=0, atol=TOLERANCE)
