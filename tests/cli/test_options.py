"""Options: those of the functions that they belong to, whatever these become."""

from __future__ import annotations

import argparse
import importlib
import inspect
import logging
import shlex
from typing import Any

import pytest

from ktlite.cli.main import main, make_parser
from ktlite.cli.options import Option, options_of, parsed
from ktlite.cli.wording import EXAMPLES, REST


@pytest.mark.parametrize(
    ("file", "owner", "name"),
    [
        ("workflow.py", None, "get_learner"),
        ("learner/fitting.py", "Fitting", "fit"),
        ("learner/fitting.py", "Fitting", "fit_onecycle"),
        ("learner/fitting.py", "Fitting", "autofit"),
        ("learner/rate_finding.py", "RateFinding", "lr_find"),
        ("predictor/explaining.py", "Explaining", "explain"),
    ],
)
def test_options_are_the_arguments_of_the_function(file: str, owner: str | None, name: str) -> None:
    module: Any = importlib.import_module("ktlite." + file.removesuffix(".py").replace("/", "."))
    function = getattr(getattr(module, owner) if owner else module, name)
    signature = inspect.signature(function)
    found = options_of(file, name, owner)
    assert list(found) == [argument for argument in signature.parameters if argument != "self"]
    for option in found.values():
        assert option.help, f"{option.name} is not in the docstring"
        assert option.help in " ".join(function.__doc__.split())


@pytest.mark.parametrize(
    ("annotation", "words", "value"),
    [
        ("int", ["3"], 3),
        ("int | None", ["3"], 3),
        ("float", ["5e-5"], 5e-5),
        ("str", ["7"], "7"),
        ("str | os.PathLike[str] | None", ["a b"], "a b"),
        ("Any", ["text"], "text"),
        ("Any", ["0"], 0),
        ("Any", ["question", "context"], ["question", "context"]),
        ("Any", ['{"spam": 2}'], {"spam": 2}),
        ("bool | str", ["true"], True),
        ("bool | str", ["auto"], "auto"),
        ("Sequence[str] | None", ["one"], ["one"]),
        ("Sequence[Any]", ["a", "2"], ["a", 2]),
    ],
)
def test_values_have_the_types_of_their_arguments(
    annotation: str, words: list[str], value: Any
) -> None:
    parser = argparse.ArgumentParser()
    Option("some_name", annotation, "None", "Help, 5 % of it.").add_to(parser)
    assert vars(parser.parse_args(["--some-name", *words])) == {"some_name": value}
    assert vars(parser.parse_args([])) == {}
    assert "5 % of it" in " ".join(parser.format_help().split())


@pytest.mark.parametrize(("flag", "value"), [("--resume", True), ("--no-resume", False)])
def test_switches_go_both_ways(flag: str, value: bool) -> None:
    parser = argparse.ArgumentParser()
    Option("resume", "bool", "False", "").add_to(parser)
    assert parser.parse_args([flag]).resume is value


def test_value_that_is_no_json_is_a_string() -> None:
    assert [parsed(v) for v in ("2.5", "null", "NA", "'x'")] == [2.5, None, "NA", "'x'"]


def _parsers() -> dict[str, argparse.ArgumentParser]:
    actions = make_parser()._actions
    return dict(next(a.choices for a in actions if isinstance(a, argparse._SubParsersAction)))


def test_every_option_has_words_for_the_command_line() -> None:
    for name, parser in _parsers().items():
        assert REST not in {group.title for group in parser._action_groups}, name
        for action in parser._actions:
            said = str(action.help)
            # What only makes sense in Python.
            for word in ("`", "Keras model", "learner.", " dict ", "tf.data", "Default: '"):
                assert word not in said or name == "completion", (name, action.dest, said)
        assert name == "completion" or "examples:" in parser.format_help()


def test_examples_are_commands() -> None:
    parsers = _parsers()
    for name, text in EXAMPLES.items():
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.partition("|")[2] or line, comments=True)
            words = (
                [word for word in words if word not in (">", "scored.csv")]
                if "|" in line
                else words
            )
            assert words[:2] == ["ktlite", name]
            parsers[name].parse_args(words[2:])


@pytest.mark.parametrize(
    "words", [["predict", "P", "-o", "x"], ["predict", "P", "--output", "x"],
              ["predict", "P", "--out", "x"]]
)  # fmt: skip
def test_the_output_has_one_name_and_keeps_its_old_ones(words: list[str]) -> None:
    parser = _parsers()[words[0]]
    assert parser.parse_args(words[1:]).output == "x"
    assert "--output " not in parser.format_help()


@pytest.mark.parametrize(("command", "old"), [("export", "place"), ("convert", "new")])
def test_the_second_folder_may_come_without_a_flag(command: str, old: str) -> None:
    parser = _parsers()[command]
    assert vars(parser.parse_args(["P", "x"]))[old] == "x"
    assert parser.parse_args(["P", "--out", "x"]).out == "x"
    with pytest.raises(SystemExit):  # neither
        main([command, "P"])


@pytest.mark.parametrize("words", [["info", "nowhere"], ["info", "nowhere", "--quiet"]])
def test_a_command_leaves_the_level_of_messages_as_it_was(words: list[str]) -> None:
    logger = logging.getLogger("ktlite")
    before = logger.level
    try:
        logger.setLevel(logging.WARNING)
        assert main(words) != 0
        assert logger.level == logging.WARNING
    finally:
        logger.setLevel(before)
