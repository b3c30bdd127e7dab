"""Options: what a checkpoint's files say, what a call adds, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.generation import Generation


def folder_with(tmp_path: Path, **files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


# Of a folder


def test_the_defaults_are_those_of_transformers() -> None:
    from transformers import GenerationConfig

    theirs = GenerationConfig()._get_default_generation_params()
    ours = Generation()
    for name in ("min_length", "do_sample", "early_stopping", "num_beams", "temperature", "top_k",
                 "top_p", "typical_p", "repetition_penalty", "length_penalty",
                 "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
                 "num_return_sequences"):  # fmt: skip
        assert getattr(ours, name) == theirs[name], name
    for name in ("bad_words_ids", "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens",
                 "begin_suppress_tokens"):  # fmt: skip
        assert theirs[name] is None
        assert not getattr(ours, name)


def test_every_field_of_transformers_is_read_refused_or_passed_over() -> None:
    import dataclasses

    from transformers import GenerationConfig

    from ktlite.generation.config_files import HARMLESS, OFF

    read = {field.name for field in dataclasses.fields(Generation)}
    theirs = {name for name in vars(GenerationConfig()) if not name.startswith("_")}
    assert theirs - read - OFF.keys() - HARMLESS == set()
    assert not read & (OFF.keys() | HARMLESS)
    assert not OFF.keys() & HARMLESS


CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "its own file": {"generation_config": {
        "bad_words_ids": [[58100]], "decoder_start_token_id": 58100, "eos_token_id": 0,
        "forced_eos_token_id": 0, "max_length": 512, "num_beams": 6, "pad_token_id": 58100,
        "renormalize_logits": True, "transformers_version": "4.32.0"}},
    "its own file counts alone": {
        "generation_config": {"do_sample": True, "eos_token_id": [1, 106], "temperature": 0.6},
        "config": {"num_beams": 4, "pad_token_id": 3, "bos_token_id": 2}},
    "the model's file": {"config": {
        "model_type": "bart", "bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2,
        "pad_token_id": 1, "forced_bos_token_id": 0, "forced_eos_token_id": 2, "max_length": 142,
        "min_length": 56, "num_beams": 4, "no_repeat_ngram_size": 3, "early_stopping": True,
        "length_penalty": 2.0, "vocab_size": 50264, "d_model": 1024,
        "task_specific_params": {"summarization": {"length_penalty": 1.0, "num_beams": 8}}}},
    "a decoder inside": {"config": {
        "model_type": "encoder-decoder", "eos_token_id": 102,
        "decoder": {"eos_token_id": 7, "pad_token_id": 0, "bos_token_id": 101, "num_beams": 3},
        "text_config": {"bos_token_id": 5}}},
    "an old BART": {"config": {"bos_token_id": 0, "force_bos_token_to_be_generated": True}},
    "nothing said": {"config": {"eos_token_id": None, "top_k": None, "vocab_size": 5}},
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGS)
def test_reads_what_transformers_reads(tmp_path: Path, case: str) -> None:
    import dataclasses

    from transformers import GenerationConfig

    folder = folder_with(tmp_path, **CONFIGS[case])
    if "generation_config" in CONFIGS[case]:
        theirs = GenerationConfig.from_pretrained(folder)
    else:
        theirs = GenerationConfig.from_pretrained(
            folder, config_file_name="config.json", _from_model_config=True
        )
    ours = Generation.of_folder(folder)
    for field in dataclasses.fields(Generation):
        expected = getattr(theirs, field.name, None)
        if expected is None:
            assert getattr(ours, field.name) == field.default, field.name
        else:
            wanted = Generation().with_(**{field.name: expected})
            assert getattr(ours, field.name) == getattr(wanted, field.name), field.name


def test_a_folder_that_says_nothing_has_the_defaults(tmp_path: Path) -> None:
    assert Generation.of_folder(tmp_path) == Generation()


@pytest.mark.parametrize("file", ["generation_config", "config"])
def test_searches_that_there_are_none_of_are_refused(tmp_path: Path, file: str) -> None:
    asked = {"num_beam_groups": 2, "diversity_penalty": 0.5, "penalty_alpha": 0.6}
    folder = folder_with(tmp_path, **{file: {"num_beams": 2, "guidance_scale": 1.0, **asked}})
    with pytest.raises(CheckpointError) as error:
        Generation.of_folder(folder)
    assert f"{file}.json: 3 problems" in str(error.value)
    assert "num_beam_groups=2 is not known to ktlite; expected 1." in str(error.value)


def test_values_that_cannot_be_are_refused_with_the_file(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, generation_config={"num_beams": 0, "top_p": 7})
    with pytest.raises(CheckpointError) as error:
        Generation.of_folder(folder)
    assert "generation_config.json: 2 problems" in str(error.value)
    assert "num_beams=0; expected a whole number of 1 or more." in str(error.value)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_files_that_are_no_objects_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"generation_config\.json"):
        Generation.of_folder(tmp_path)


def test_says_which_fields_it_does_not_know(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_with(
        tmp_path, generation_config={"num_beam": 4, "use_cache": True, "lang_to_id": {}}
    )
    with caplog.at_level(logging.WARNING, "ktlite"):
        assert Generation.of_folder(folder).num_beams == 1
    [record] = caplog.records
    assert "num_beam=4" in record.message
    assert "Did you mean 'num_beams'?" in record.message


def test_a_temperature_of_0_is_fine_where_nothing_is_drawn(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, generation_config={"temperature": 0.0, "pad_token_id": -1})
    greedy = Generation.of_folder(folder)
    assert greedy.pad_token_id is None
    with pytest.raises(ArgumentError, match=r"temperature=0\.0; expected a number above 0"):
        greedy.with_(do_sample=True)


def test_transformers_reads_what_is_written(tmp_path: Path) -> None:
    from transformers import GenerationConfig

    options = Generation(num_beams=4, top_k=None, eos_token_id=[3], bad_words_ids=[[4], [5, 6]],
                         suppress_tokens=[7, 8], early_stopping="never", seed=5,
                         forced_eos_token_id=[3, 4], max_new_tokens=9)  # fmt: skip
    folder = folder_with(tmp_path, generation_config=options.to_config())
    theirs = GenerationConfig.from_pretrained(folder)
    assert (theirs.num_beams, theirs.eos_token_id, theirs.top_k) == (4, 3, 0)
    assert theirs.bad_words_ids == [[4], [5, 6]]
    assert Generation.of_folder(folder) == options.with_(seed=0, top_k=0)
    assert Generation().to_config() == {}


# Of a call


def test_a_calls_arguments_count_first() -> None:
    file = Generation(num_beams=4, max_new_tokens=100, min_new_tokens=5, eos_token_id=2, top_k=10,
                      forced_bos_token_id=7)  # fmt: skip
    assert file.with_() == file
    assert file.with_(num_beams=1).num_beams == 1
    assert file.with_(top_k=None, forced_bos_token_id=None).top_k == 0
    assert file.with_(forced_bos_token_id=None).forced_bos_token_id is None
    assert file.with_(length_penalty=None).length_penalty == 1.0
    short = file.with_(max_length=30, min_length=3)
    assert (short.max_length, short.max_new_tokens) == (30, None)
    assert (short.min_length, short.min_new_tokens) == (3, None)


def test_two_lengths_in_a_call_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ktlite"):
        both = Generation().with_(max_length=30, max_new_tokens=5)
    assert "max_new_tokens is given as well, and counts in place of max_length" in caplog.text
    assert both.limits(np.array([10])).tolist() == [15]


@pytest.mark.parametrize(
    ("options", "positions", "expected"),
    [
        ({}, None, [23, 30]),
        ({}, 25, [23, 25]),
        ({"max_new_tokens": 4}, None, [7, 14]),
        ({"max_new_tokens": 4, "max_length": 12}, None, [7, 14]),
        ({"max_length": 12}, None, [12, 12]),
        ({"max_length": 40}, 16, [16, 16]),
    ],
)
def test_texts_end_where_transformers_ends_them(
    options: dict[str, Any], positions: int | None, expected: list[int]
) -> None:
    assert Generation(**options).limits(np.array([3, 10]), positions).tolist() == expected


def test_says_all_that_is_wrong_at_once() -> None:
    with pytest.raises(ArgumentError) as error:
        Generation().with_(num_beam=2, temperature=-1, bad_words_ids=[5], early_stopping="soon",
                           eos_token_id=-1, do_sample=1, length_penalty="long")  # fmt: skip
    message = str(error.value)
    for part in ("unknown argument 'num_beam'. Did you mean 'num_beams'?",
                 "temperature=-1; expected a number above 0.",
                 "bad_words_ids=(5,); expected lists of ids, one for each word",
                 "early_stopping='soon'; expected True, False or 'never'.",
                 "eos_token_id=(-1,); expected ids of tokens.", "do_sample=1; expected True or",
                 "length_penalty='long'; expected a number."):  # fmt: skip
        assert part in message, part


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_return_sequences": 2}, "would be the same text each time"),
        ({"num_return_sequences": 3, "num_beams": 2}, "expected at most num_beams=2"),
        ({"forced_eos_token_id": 2, "suppress_tokens": [1, 2]}, "is among suppress_tokens"),
        ({"forced_bos_token_id": 0, "suppress_tokens": [0]}, "is among suppress_tokens"),
        ({"max_new_tokens": 0}, "max_new_tokens=0; expected a whole number of 1 or more"),
        ({"num_beams": True}, "num_beams=True"),
        ({"typical_p": 0.0}, "typical_p=0.0; expected a number from above 0 to 1"),
        ({"min_p": 1.5}, "min_p=1.5; expected a number from 0 to 1"),
        ({"top_k": -1}, "top_k=-1"),
        ({"repetition_penalty": 0}, "repetition_penalty=0"),
        ({"pad_token_id": "</s>"}, "expected the id of a token"),
        ({"stop_strings": [""]}, "expected strings that are not empty"),
        ({"bad_words_ids": [[]]}, "bad_words_ids"),
        ({"bad_words_ids": "no"}, "bad_words_ids='no'"),
    ],
)
def test_values_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        Generation(**options)
    assert message in str(error.value)


def test_several_forced_ends_may_be_suppressed_in_part() -> None:
    assert Generation(forced_eos_token_id=[2, 3], suppress_tokens=[2]).suppress_tokens == (2,)


def test_what_a_decoder_starts_with_and_what_fills_up() -> None:
    assert Generation(decoder_start_token_id=0, bos_token_id=5).first_token() == 0
    assert Generation(bos_token_id=5).first_token() == 5
    with pytest.raises(ArgumentError, match="decoder_start_token_id"):
        Generation().first_token()
    assert Generation(pad_token_id=0, eos_token_id=3).fill == 0
    assert Generation(eos_token_id=[3, 4]).fill == 3
    assert Generation().fill == 0


def test_lists_and_arrays_become_tuples() -> None:
    options = Generation(eos_token_id=np.int64(3), suppress_tokens=np.array([1, 2]),
                         bad_words_ids=[np.array([4])], stop_strings="end")  # fmt: skip
    assert options.eos_token_id == (3,)
    assert (options.suppress_tokens, options.bad_words_ids) == ((1, 2), ((4,),))
    assert options.stop_strings == ("end",)
    assert hash(options) == hash(options.with_())
