"""What ktlite raises, and the helpers that word its messages.

Each error says what was received, what was expected and what to do. Checks
collect everything that is wrong before they raise, so that a user mends a call
once and not once per argument.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class KtliteError(ValueError):
    """Base of all errors that ktlite raises on purpose."""


class ArgumentError(KtliteError):
    """A call with arguments that cannot work."""


class DataError(KtliteError):
    """Texts or labels that cannot be trained on or predicted."""


class CheckpointError(KtliteError):
    """A model checkpoint that is missing, damaged or not understood."""


class TrainingError(KtliteError):
    """A training that cannot go on: its loss is no number."""


class ExportError(KtliteError):
    """A model that a format cannot express, or an export that gives other numbers."""


class ProcessError(KtliteError):
    """A process in which TensorFlow cannot compute: it was forked after TensorFlow had."""


class PredictorError(KtliteError):
    """A predictor folder that is missing, damaged, foreign or too new."""


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Returns `" Did you mean 'x'?"` for the nearest known name, or `""`.

    Example:
        >>> did_you_mean("txt", ["text", "label"])
        " Did you mean 'text'?"
    """
    candidates = {str(k).lower(): str(k) for k in known}
    hits = difflib.get_close_matches(str(name).lower(), list(candidates), n=1, cutoff=0.5)
    return f" Did you mean {candidates[hits[0]]!r}?" if hits else ""


def listing(items: Iterable[object], limit: int = 10) -> str:
    """Returns `"a, b, c, ... (12 in all)"`, at most `limit` items long."""
    names = [str(i) for i in items]
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, ... ({len(names)} in all)"


def a(noun: str) -> str:
    """Returns `"a text"`, `"an image"`."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def plural(count: int, noun: str) -> str:
    """Returns `"1 row"`, `"2 rows"`, `"1,204 patches"`."""
    if count == 1:
        return f"{count:,} {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith('tch') else 's'}"


class Problems:
    """Collects what is wrong with a call, then raises it all at once.

    Example:
        >>> problems = Problems("fit_onecycle")
        >>> problems.add_unless(lr > 0, f"lr must be positive, got {lr}.")
        >>> problems.raise_if_any()
    """

    def __init__(self, where: str, error: type[KtliteError] = ArgumentError) -> None:
        self.where = where
        self.error = error
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        self.found.append(problem)

    def add_unless(self, fine: bool, problem: str) -> None:
        if not fine:
            self.found.append(problem)

    def choice(self, name: str, value: object, known: Sequence[object]) -> None:
        """Records a problem unless `value` is one of `known`."""
        if value not in known:
            expected = listing(repr(k) for k in known)
            self.add(f"{name}={value!r} is not known; expected one of {expected}."
                     f"{did_you_mean(value, known)}")  # fmt: skip

    def unknown(self, keywords: Iterable[str], known: Sequence[str]) -> None:
        """Records a problem for each keyword: none of them is an argument."""
        for keyword in keywords:
            self.add(f"unknown argument {keyword!r}.{did_you_mean(keyword, known)}")

    def raise_if_any(self) -> None:
        """Raises `self.error` with every recorded problem, if there is one."""
        if len(self.found) == 1:
            raise self.error(f"{self.where}: {self.found[0]}")
        if self.found:
            lines = "\n".join(f"  - {problem}" for problem in self.found)
            raise self.error(f"{self.where}: {len(self.found)} problems\n{lines}")
