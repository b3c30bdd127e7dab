"""Files that say what a command is to do: YAML or TOML in, YAML out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ktlite._version import __version__
from ktlite.errors import ArgumentError, Problems

_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")


def read_run(path: str, known: Iterable[str]) -> dict[str, Any]:
    """Reads settings by the names of the options, with `-` or `_`.

    Raises:
        ArgumentError: If the file cannot be read, or names what is no option.
    """
    file = Path(path)
    if not file.is_file():
        raise ArgumentError(f"--config: there is no file {path!r}.")
    text = file.read_text(encoding="utf-8")
    settings = _toml(text, file) if file.suffix == ".toml" else _yaml(text, file)
    if not isinstance(settings, Mapping):
        raise ArgumentError(f"{file.name}: expected a setting a line, such as 'epochs: 2'.")
    named = {str(name).replace("-", "_"): value for name, value in settings.items()}
    names = list(known)
    problems = Problems(file.name)
    problems.unknown([name for name in named if name not in names], names)
    problems.raise_if_any()
    return named


def _yaml(text: str, file: Path) -> Any:
    import yaml

    try:
        return yaml.load(text, _with_exponents(yaml.SafeLoader)) or {}
    except yaml.YAMLError as error:
        raise ArgumentError(f"{file.name}: it is not YAML: {error}") from None


def _with_exponents(base: Any) -> Any:
    """Returns a loader or dumper that knows `5e-5` for a number: in YAML 1.1 it needs a dot."""
    resolvers = {first: [*known] for first, known in base.yaml_implicit_resolvers.items()}
    made: Any = type(base.__name__, (base,), {"yaml_implicit_resolvers": resolvers})
    made.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("+-0123456789"))
    return made


def _toml(text: str, file: Path) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ArgumentError(f"{file.name}: it is not TOML: {error}") from None


def write_run(path: Path, settings: Mapping[str, Any], command: str) -> None:
    """Writes the file that repeats a run, started where this one was."""
    import yaml

    dumper = _with_exponents(yaml.SafeDumper)
    text = yaml.dump(dict(settings), Dumper=dumper, sort_keys=False, allow_unicode=True)
    path.write_text(
        f"# Written by ktlite {__version__}. It repeats the run:\n"
        f"# {command} --config {path} --out NEW\n{text}",
        encoding="utf-8",
    )
