"""The rows of a separated-values file, all of them, whatever its quotes are like.

Quoting follows RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180): a field that
opens with a quote ends at the quote before the next separator or line end. In a
file that was written without regard to it, one stray quote makes a parser
swallow all lines up to the next one. Here such lines are found and read as they stand.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LINE_END = r"(?:\r?\n|\Z)"
LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")

# Prose is full of commas and semicolons; these it hardly ever has.
RARE_IN_PROSE = "\t|"

# Characters: a quote that nothing closes for so long is none.
LONGEST_RECORD = 2**24


@dataclass(frozen=True)
class CsvTable:
    """The wanted columns of a file.

    Attributes:
        frame: One row per record, one column per wanted field, named by its position.
        too_long: bool [n], True for a record with more fields than there are columns; its
            cells are missing.
        too_long_line: The 1-based line of the first such record; 0: there is none.
        stray: Lines with quotes that do not pair, which were read as they stand.
    """

    frame: pd.DataFrame
    too_long: np.ndarray
    too_long_line: int = 0
    stray: int = 0

    def complete_rows(self) -> int:
        """Returns how many rows have neither too few fields nor too many."""
        return int((self.frame.notna() & (self.frame != "")).all(axis=1).sum())


def split_header(text: str, sep: str) -> tuple[list[str], str]:
    r"""Returns the fields of the first line that is not blank, and the text after it.

    Example:
        >>> split_header("text,label\nGood,1\n", ",")
        (['text', 'label'], 'Good,1\n')
    """
    text = re.sub(r"\A(?: *[\r\n])+", "", text)
    record = re.match(_record(sep), text)
    if record is None:  # its quotes do not pair
        line, _, rest = text.partition("\n")
        return line.rstrip("\r").split(sep), rest
    line = record[0].rstrip("\r\n")
    fields = re.findall(f"({_field(sep)}){re.escape(sep)}", line + sep) if line else []
    names = [f[1:-1].replace('""', '"') if f.startswith('"') else f for f in fields]
    return names, text[record.end() :]


def read_table(text: str, sep: str, width: int, columns: Collection[int]) -> CsvTable:
    """Reads columns of separated text without header, as many sound rows as there are.

    Args:
        text: The decoded file, after its header.
        sep: The character between fields.
        width: How many fields a record has.
        columns: Positions of the columns to read.

    Returns:
        The table, all cells str as they stand. A record with too few fields ends in empty
        ones; one with too many is marked, since nobody can say which of its separators is part of
        a text.
    """
    if _is_sound(text, sep, width):
        return _parse(text, sep, width, columns)
    # Quotes may join lines into one record, or be stray: the reading with more rows is right.
    whole, stray = _mend_quotes(text, sep)
    table = _parse(whole, sep, width, columns)
    lines = [_mend_quotes(line, sep) for line in LINE.findall(text)]
    by_line = "".join(line for line, _ in lines)
    if by_line != whole:
        other = _parse(by_line, sep, width, columns)
        if other.complete_rows() > table.complete_rows():
            table, stray = other, sum(count for _, count in lines)
    return replace(table, stray=stray)


def read_rows(text: str, sep: str, width: int) -> tuple[list[list[str]], int]:
    r"""Reads all columns as they stand, without pandas: what `read_table` gives as strings.

    Args:
        text: The decoded file, after its header.
        sep: The character between fields.
        width: How many fields a record has.

    Returns:
        A list of `width` strings a record, and the 1-based line of the first record with more
        fields; 0 where there is none.

    Example:
        >>> read_rows('"Good, but long",1\nBad\n', ",", 2)
        ([['Good, but long', '1'], ['Bad', '']], 0)
    """
    if _is_sound(text, sep, width):
        rows, too_long_line = _split(text, sep, width)
    else:  # as in read_table
        whole, _ = _mend_quotes(text, sep)
        rows, too_long_line = _split(whole, sep, width)
        by_line = "".join(_mend_quotes(line, sep)[0] for line in LINE.findall(text))
        if by_line != whole:
            other, its_line = _split(by_line, sep, width)
            if _complete(other, width) > _complete(rows, width):
                rows, too_long_line = other, its_line
    return [row[:width] for row in rows], too_long_line


def split_records(parts: Iterable[str], sep: str) -> Iterator[str]:
    """Cuts text that comes in parts where records end, as `read_table` reads them.

    Args:
        parts: The decoded file, cut anywhere.
        sep: The character between fields.

    Yields:
        Text that ends with a record; the last may lack its line end.
    """
    record_or_line = re.compile(rf"(?P<record>{_record(sep)})|(?P<line>[^\n]*){LINE_END}")
    s = re.escape(sep)
    unclosed = re.compile(rf'(?:{_field(sep)}{s})*"[^"]*(?:""[^"]*)*"?\Z')
    rest = ""
    for part in parts:
        rest += part
        end = rest.rfind("\n") + 1
        if '"' in rest and len(rest) < LONGEST_RECORD:
            last, end = end, 0
            while end < last:
                found = record_or_line.match(rest, end)
                assert found is not None  # a line always is one
                if found.end() > last or (not found["record"] and unclosed.match(rest, end)):
                    break  # what ends it may come yet
                end = found.end()
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _field(sep: str) -> str:
    """Returns the pattern of one field: quoted (with doubled quotes in it), bare or empty."""
    s = re.escape(sep)
    return rf'(?:"[^"]*(?:""[^"]*)*"|[^"{s}\r\n][^{s}\r\n]*|)'


def _record(sep: str) -> str:
    """Returns the pattern of one record, its line end included."""
    return rf"{_field(sep)}(?:{re.escape(sep)}{_field(sep)})*{LINE_END}"


def _is_sound(text: str, sep: str, width: int) -> bool:
    """True if the quotes of `text` can be trusted."""
    if '"' not in text:
        return True
    if sep in RARE_IN_PROSE:
        counts = {line.count(sep) for line in LINE.findall(text) if line.strip("\r\n")}
        if counts == {width - 1}:  # each line is a row: no quote may join two
            return False
    field_and_end = rf"{_field(sep)}(?:{re.escape(sep)}|{LINE_END})"
    return not re.sub(field_and_end, "", text)


def _mend_quotes(text: str, sep: str) -> tuple[str, int]:
    """Makes the quotes plain characters in each line that does not begin a sound record.

    Returns:
        The text and the number of lines that were changed.
    """
    if '"' not in text:
        return text, 0
    stray = 0

    def literal(match: re.Match[str]) -> str:
        nonlocal stray
        if match["record"] is not None:
            return match[0]
        stray += 1
        cells = match["line"].replace('"', '""').split(sep)
        return sep.join(f'"{cell}"' for cell in cells) + match["end"]

    record_or_line = rf"(?P<record>{_record(sep)})|(?P<line>[^\r\n]+)(?P<end>{LINE_END})"
    return re.sub(record_or_line, literal, text), stray


def _split(text: str, sep: str, width: int) -> tuple[list[list[str]], int]:
    """Returns the fields of each record of sound text, and the first line with too many.

    There are `width` fields, or more where not all of these are empty.
    """
    s, blank = re.escape(sep), " \t".replace(sep, "")
    field = re.compile(rf'(?:"(?P<quoted>[^"]*(?:""[^"]*)*)"|(?P<bare>[^{s}\r\n]*))'
                       rf"(?P<end>{s}|\r\n?|\n|\Z)")  # fmt: skip
    rows: list[list[str]] = []
    row: list[str] = []
    start = too_long_line = 0
    for match in field.finditer(text):
        quoted = match["quoted"]
        row.append(match["bare"] if quoted is None else quoted.replace('""', '"'))
        if match["end"] == sep:
            continue
        if len(row) > 1 or quoted is not None or row[0].strip(blank):  # else the line is blank
            if not too_long_line and any(row[width:]):
                too_long_line = text.count("\n", 0, start) + 1
            rows.append(row if any(row[width:]) else (row + [""] * width)[:width])
        row, start = [], match.end()
    return rows, too_long_line


def _complete(rows: Iterable[list[str]], width: int) -> int:
    """Returns how many rows have neither too few fields nor too many."""
    return sum(len(row) == width and all(row) for row in rows)


def _parse(text: str, sep: str, width: int, columns: Collection[int]) -> CsvTable:
    import pandas as pd

    # One column more than there should be shows which records are too long. The line of
    # separators tells the parser that there is such a column.
    frame = pd.read_csv(
        io.StringIO(f"{sep * width}\n{text}"),
        sep=sep,
        header=0,
        names=[str(position) for position in range(width + 1)],
        usecols=[*columns, width],
        index_col=False,
        dtype=object,
        keep_default_na=False,
        na_filter=False,
        low_memory=False,
    ).rename(columns=int)
    too_long = (frame.pop(width) != "").to_numpy()
    if not too_long.any():
        return CsvTable(frame, too_long)
    frame[too_long] = None
    blank = " \t\r\n".replace(sep, "")  # pandas skips lines of these
    records = (match for match in re.finditer(_record(sep), text) if match[0].strip(blank))
    first = next(itertools.islice(records, int(too_long.argmax()), None))
    return CsvTable(frame, too_long, text[: first.start()].count("\n") + 1)
