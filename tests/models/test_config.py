"""Reading a config: every field is used or known to be harmless, none is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader, label_count, read_config

# The file


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{'model_type': 'bert'}", "is not valid JSON"),
        (b'{"model_type": "bert"', "is not valid JSON"),
        (b"", "is not valid JSON"),
        (b'{"model_type": "\xff"}', "is not valid JSON"),
        (b'["bert"]', "holds list, expected a JSON object"),
        (b'{"hidden_size": 32}', "has no field 'model_type'"),
        (b'{"model_type": 7}', "has no field 'model_type'"),
    ],
)
def test_damaged_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_config(tmp_path)
    assert str(tmp_path / "config.json") in str(caught.value)
    assert said in str(caught.value)


def test_missing_file_is_named_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(CheckpointError, match=r"no config\.json in .*Found: adapter_config\.json"):
        read_config(tmp_path)


def test_empty_folder_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Found: nothing"):
        read_config(tmp_path)


def test_file_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(
        '{"model_type": "bert", "id2label": {"0": "好"}}'.encode()
    )
    assert read_config(tmp_path) == {"model_type": "bert", "id2label": {"0": "好"}}


# The fields


@pytest.mark.parametrize(
    ("field", "default", "expected"),
    [
        ({}, 768, 768),
        ({"x": None}, 768, 768),  # HF writes null for "not set"
        ({"x": 32}, 768, 32),
        ({"x": 0.25}, 0.1, 0.25),
        ({"x": 0}, 0.1, 0.0),  # JSON writers drop the ".0"
        ({"x": "relu"}, "gelu", "relu"),
        ({"x": False}, True, False),
        ({"x": [1]}, None, [1]),
    ],
)
def test_field_or_default(field: dict[str, Any], default: Any, expected: Any) -> None:
    value = ConfigReader(field).get("x", default)
    assert value == expected
    assert type(value) is type(expected)


def test_whole_number_is_a_fine_default_for_another_rate() -> None:
    reader = ConfigReader({"hidden_dropout_prob": 0, "classifier_dropout": 0.1})
    assert reader.get("classifier_dropout", reader.get("hidden_dropout_prob", 0.1)) == 0.1


@pytest.mark.parametrize(
    ("value", "default", "said"),
    [
        ("32", 768, "hidden='32' is of type str, expected int"),
        (32.0, 768, "hidden=32.0 is of type float, expected int"),
        (True, 768, "hidden=True is of type bool, expected int"),
        (True, 0.1, "hidden=True is of type bool, expected float"),
        ("0.1", 0.1, "hidden='0.1' is of type str, expected float"),
        (1, True, "hidden=1 is of type int, expected bool"),
        (["gelu"], "gelu", "is of type list, expected str"),
    ],
)
def test_wrong_type_is_refused(value: Any, default: Any, said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        ConfigReader({"hidden": value}).get("hidden", default)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [0, -1])
def test_size_is_at_least_one(value: int) -> None:
    with pytest.raises(CheckpointError, match=f"layers={value}; expected at least 1"):
        ConfigReader({"layers": value}).size("layers", 12)
    assert ConfigReader({"layers": 1}).size("layers", 12) == 1
    assert ConfigReader({}).size("layers", 12) == 12


def test_a_size_that_may_be_null_is_null_only_where_the_file_says_so() -> None:
    assert ConfigReader({"window": None}).optional_size("window", 4096) is None
    assert ConfigReader({}).optional_size("window", 4096) == 4096
    assert ConfigReader({}).optional_size("window", None) is None
    reader = ConfigReader({"window": 5})
    assert reader.optional_size("window", None) == 5
    reader.finish()
    for value in (0, "5", 5.0, True):
        with pytest.raises(CheckpointError, match="window="):
            ConfigReader({"window": value}).optional_size("window", 4096)


def test_choice_names_the_nearest() -> None:
    known = ["gelu", "relu"]
    assert ConfigReader({}).choice("act", "gelu", known) == "gelu"
    assert ConfigReader({"act": "relu"}).choice("act", "gelu", known) == "relu"
    with pytest.raises(CheckpointError) as caught:
        ConfigReader({"act": "relu6"}).choice("act", "gelu", known)
    assert str(caught.value) == (
        "config field act='relu6' is not known; expected one of 'gelu', 'relu'. "
        "Did you mean 'relu'?"
    )


def test_expected_value_is_the_first_where_absent() -> None:
    assert ConfigReader({}).expect("is_decoder", False) is False
    assert ConfigReader({"kind": "b"}).expect("kind", "a", "b") == "b"


def test_unsupported_value_is_refused() -> None:
    reader = ConfigReader({"model_type": "bert", "is_decoder": True})
    with pytest.raises(CheckpointError, match=r"is_decoder=True is not supported.*expected False"):
        reader.expect("is_decoder", False)


def test_unread_fields_are_refused_with_hint_and_way_out() -> None:
    reader = ConfigReader({"model_type": "bert", "hidden_sizes": 32, "rotary": True})
    reader.get("hidden_size", 768)
    with pytest.raises(CheckpointError) as caught:
        reader.finish()
    message = str(caught.value)
    assert "'bert': hidden_sizes, rotary." in message
    assert "Did you mean 'hidden_size'?" in message
    assert "ignore_config_fields=['hidden_sizes', 'rotary']" in message


@pytest.mark.parametrize("field", ["hidden_size", "transformers_version", "_name_or_path", "mine"])
def test_read_harmless_private_and_ignored_fields_are_fine(field: str) -> None:
    reader = ConfigReader({"model_type": "bert", field: 1}, ignore=["mine"])
    reader.get("hidden_size", 768)
    reader.finish()


# Labels


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 2),
        ({"id2label": None, "num_labels": None}, 2),
        ({"num_labels": 5}, 5),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, 3),
        ({"id2label": {"0": "a"}, "num_labels": 4}, 1),
        ({"id2label": {}, "num_labels": 4}, 4),
    ],
)
def test_label_count(fields: dict[str, Any], count: int) -> None:
    assert label_count(fields) == count


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"id2label": 3}, "id2label=3"),
        ({"id2label": ["a", "b"]}, "id2label="),
        ({"num_labels": "three"}, "num_labels='three'"),
        ({"num_labels": 0}, "num_labels=0"),
    ],
)
def test_label_fields_that_make_no_sense_are_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        label_count(fields)
    assert named in str(caught.value)
