"""What may be wrong with data before it is trained on, and what to do about it."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite.encodings.indexed import items_of, noun_of, source_rows_of
from ktlite.errors import listing, plural
from ktlite.inputs.token_checks import shown_share
from ktlite.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5  # rows that a finding names
# From these shares on, a finding is not "ok".
_REPEATED, _LEAKED = 0.01, 0.005
_LOST = 2  # times the loss of guessing
_UNBALANCED = 10  # times that the largest class is larger than the smallest


@dataclass(frozen=True)
class Finding:
    """One line of `Checks`.

    Args:
        check: What was looked at.
        found: What was found.
        advice: What to do about it; empty where it is fine.
    """

    check: str
    found: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        return not self.advice


class Checks(Sequence[Finding]):
    """The findings about data; a table where it is shown.

    Example:
        >>> checks = learner.check()
        >>> checks.ok
        False
        >>> checks.problems[0].advice
        'take them out of one of the two: figures look too good.'
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._findings = tuple(findings)

    def __getitem__(self, number: Any) -> Any:
        return self._findings[number]

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    @property
    def problems(self) -> list[Finding]:
        """The findings that something should be done about."""
        return [finding for finding in self if not finding.ok]

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def to_frame(self) -> pd.DataFrame:
        """Returns a data frame with the columns check, ok, found and advice."""
        import pandas as pd

        rows = [(f.check, f.ok, f.found, f.advice) for f in self]
        return pd.DataFrame(rows, columns=["check", "ok", "found", "advice"])

    def __repr__(self) -> str:
        return f"checks: {self._summary()}\n{as_table(self)}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'ok' if f.ok else '<b>look</b>'}</td><td>{html.escape(f.check)}</td>"
            f'<td style="text-align: left">{html.escape(f.found)}</td>'
            f'<td style="text-align: left">{html.escape(f.advice)}</td></tr>'
            for f in self
        )
        head = "<tr><th></th><th>check</th><th>found</th><th>what to do</th></tr>"
        return f"<p><b>Checks</b>: {self._summary()}</p><table>{head}{rows}</table>"

    def _summary(self) -> str:
        count = len(self.problems)
        return f"{count} of {len(self)} to look at" if count else f"all {len(self)} are fine"


def as_table(findings: Sequence[Finding]) -> str:
    """Returns findings as lines of text, each advice below what it is about."""
    width = max((len(f.check) for f in findings), default=0)
    indent = " " * (width + 10)
    lines = []
    for f in findings:
        head = f"  {'ok  ' if f.ok else 'look'}  {f.check:<{width}}  "
        lines += textwrap.wrap(f.found, 100, initial_indent=head, subsequent_indent=indent)
        if f.advice:
            lines += textwrap.wrap(f"-> {f.advice}", 100, initial_indent=indent,
                                   subsequent_indent=indent + "   ")  # fmt: skip
    return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Split:
    """What checks look at in a data set.

    Args:
        name: What users call it.
        data: A `Dataset`, or other data whose rows have numbers.
        examples: int64 [examples], a number for each: the same for equal ones.
        targets: What is true of them; None where it is not known.
    """

    name: str
    data: Any
    examples: np.ndarray
    targets: np.ndarray | None

    @classmethod
    def of(cls, name: str, data: Any, targets: np.ndarray | None) -> Split:
        texts = items_of(data)
        keys = _rows(data) if texts is None else map(data.preproc.input.key, texts)
        examples = np.fromiter(map(hash, keys), "int64")
        return cls(name, data, examples, targets)

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def noun(self) -> str:
        return noun_of(self.data)

    def some(self, chosen: np.ndarray) -> str:
        """Names the first of some examples, by their rows in the source."""
        rows = source_rows_of(self.data)
        numbers = np.flatnonzero(chosen)[: _SHOWN + 1]
        if rows is not None:
            numbers = np.asarray(rows)[numbers]
        more = ", ..." if len(numbers) > _SHOWN else ""
        return f"{'rows' if len(numbers) > 1 else 'row'} {listing(numbers[:_SHOWN])}{more}"


def _rows(data: Any) -> Iterator[bytes]:
    """Yields the bytes of each row of arrays; nothing of data that has none."""
    import keras

    columns = [np.asarray(c) for c in keras.tree.flatten(getattr(data, "x", ()))]
    if columns and not any(c.dtype == object for c in columns):
        for row in range(len(data)):
            yield b"".join(c[row].tobytes() for c in columns)


def check_data(
    train: Split, val: Split | None, task: Task | None, longest: int | None = None
) -> list[Finding]:
    """Looks at training and validation data; what does not apply is left out.

    Args:
        train: The training data.
        val: The validation data.
        task: What the targets mean; None where it is not known.
        longest: The longest that the model can read; None where that is not known.
    """
    splits = [split for split in (train, val) if split is not None and len(split)]
    found: list[Finding] = []
    for split in splits:
        found += _repeated(split)
    if len(splits) == 2:
        found += _leaked(*splits)
    for split in splits:
        found += _conflicts(split)
    if task is not None:
        found += _classes(splits, task)
    for split in splits:
        found += _not_finite(split)
    if items_of(train.data) is not None:
        named = {split.name: split.data for split in splits}
        found += [Finding(*line) for line in train.data.preproc.input.checks(named, longest)]
    return found


def _repeated(split: Split) -> list[Finding]:
    _, first, counts = np.unique(split.examples, return_index=True, return_counts=True)
    check, size = f"repeated in {split.name}", plural(len(split), split.noun)
    extra = np.ones(len(split), bool)
    extra[first] = False
    if not extra.any():
        return [Finding(check, f"none of {size}")]
    what = f"{extra.sum():,} of {size} ({shown_share(extra.mean())}), such as {split.some(extra)}"
    if len(counts) == 1:
        return [Finding(check, f"all {size} are equal", "check which column the data is read of.")]
    advice = f"leave them out, unless they stand for how often such {split.noun}s come."
    return [Finding(check, what, advice if extra.mean() >= _REPEATED else "")]


def _leaked(train: Split, val: Split) -> list[Finding]:
    check, both = "in both splits", np.isin(val.examples, train.examples)
    if not both.any():
        return [Finding(check, f"no {val.noun} of {val.name} is in {train.name}")]
    what = (
        f"{both.sum():,} of {plural(len(val), val.noun)} of {val.name} "
        f"({shown_share(both.mean())}) are in {train.name} too, such as {val.some(both)}"
    )
    advice = "take them out of one of the two: figures look too good."
    return [Finding(check, what, advice if both.mean() >= _LEAKED else "")]


def _conflicts(split: Split) -> list[Finding]:
    """Looks for equal examples with different targets."""
    if split.targets is None:
        return []
    numbers = np.unique(split.examples, return_inverse=True)[1]
    answers = np.unique(
        np.fromiter((hash(_plain(t)) for t in split.targets), "int64", len(split)),
        return_inverse=True,
    )[1]
    pairs = np.unique(np.stack([numbers, answers], axis=1), axis=0)[:, 0]
    torn = np.bincount(pairs, minlength=numbers.max() + 1) > 1
    check, hit = f"labels of equal {split.noun}s in {split.name}", torn[numbers]
    if not hit.any():
        return [Finding(check, "they agree")]
    what = (
        f"{plural(int(torn.sum()), split.noun)} with several labels, such as in {split.some(hit)}"
    )
    return [Finding(check, what, "decide which label is right; learner.top_losses() has more.")]


def _plain(target: Any) -> Any:
    """Returns a target in a form that can be hashed."""
    return target.tobytes() if isinstance(target, np.ndarray) else target


def _classes(splits: Sequence[Split], task: Task) -> list[Finding]:
    """Looks at how often each class is there."""
    found: list[Finding] = []
    for split in splits:
        counts = None if split.targets is None else task.class_counts(split.targets)
        if counts is None:
            return found
        names = [str(name) for name in task.classes]
        missing = [name for name, count in zip(names, counts, strict=True) if not count]
        check = f"classes in {split.name}"
        if missing:
            what = f"{len(missing)} of {len(names)} are not there: {listing(missing, 6)}"
            advice = f"they cannot be learned: add such {split.noun}s."
            if split is not splits[0]:
                advice = (
                    f"their figures are not measured: add such {split.noun}s, or raise val_pct."
                )
            found.append(Finding(check, what, advice))
            continue
        least, most = int(counts.argmin()), int(counts.argmax())
        size = plural(int(counts[least]), "example")
        what = f"{len(names)} classes of {size} each"
        if len(names) == 1:
            what = f"1 class of {size}"
        elif counts[least] < counts[most]:
            what = (
                f"{len(names)} classes; {names[least]} has {size}, {names[most]} {counts[most]:,}"
            )
        uneven = split is splits[0] and counts[most] > _UNBALANCED * counts[least]
        advice = (
            "accuracy says little: look at f1_macro, and try class_weight='balanced' or "
            "loss='focal'."
        )
        found.append(Finding(check, what, advice if uneven else ""))
    return found


def _not_finite(split: Split) -> list[Finding]:
    """Looks for NaN and infinity among the numbers of arrays."""
    import keras

    if items_of(split.data) is not None:
        return []
    columns = [np.asarray(c) for c in keras.tree.flatten(getattr(split.data, "x", ()))]
    floats = [c.reshape(len(c), -1) for c in columns if c.dtype.kind == "f"]
    if not floats:
        return []
    wrong = ~np.all([np.isfinite(c).all(axis=1) for c in floats], axis=0)
    check = f"NaN in {split.name}"
    if not wrong.any():
        return [Finding(check, "none")]
    what = f"{plural(int(wrong.sum()), 'row')} with NaN or infinity, such as {split.some(wrong)}"
    return [Finding(check, what, "fill them in or leave them out: the loss would be NaN.")]


def check_first_loss(loss: float, chance: float) -> Finding:
    """Compares the loss before training with that of guessing.

    Args:
        loss: Of a batch, by the loss that the model was compiled with.
        chance: Of a model that gives all classes the same probability.
    """
    check, what = "loss at the start", f"{loss:.3f}; guessing has {chance:.3f}"
    if not np.isfinite(loss):
        return Finding(check, what, "the model's outputs are no numbers: load its weights again.")
    if loss > _LOST * chance:
        advice = (
            "the head is sure of wrong answers: it may be of other labels, or the loss takes "
            "probabilities where the model gives logits (from_logits=)."
        )
        return Finding(check, what, advice)
    if loss < 0.7 * chance:
        what += "; the head knows something already"
    return Finding(check, what)
