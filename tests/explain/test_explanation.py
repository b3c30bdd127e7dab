"""Explanations to look at: HTML that no text can break out of, and text for terminals."""

from __future__ import annotations

import html
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from ktlite.encodings.tokens import TokenEncodings
from ktlite.explain import Explanation
from ktlite.inputs.word_parts import WordParts
from ktlite.inputs.words import Words, split_words

NO_TOKENS = TokenEncodings(np.zeros(0, "int32"), np.zeros(1, "int64"), None, 1)
EVIL = "<script>alert('x')</script> & \"ok\" <img src=x onerror=1>"


def explanation(*texts: str, scores: list[float] | None = None) -> Explanation:
    words = tuple(split_words(text) for text in texts)
    count = sum(map(len, words))
    given = np.linspace(-1, 2, count) if scores is None else np.array(scores)
    return Explanation(
        WordParts(words, [], NO_TOKENS, 0),
        given,
        np.ones(count, bool),
        0,
        EVIL,
        "pos",
        0.75,
        "occlusion",
        1.0,
        None,
    )


class Reader(HTMLParser):
    """Reads text and tags, as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self.titles, self.styles = "", [], [], []  # type: ignore[var-annotated]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        assert set(values) <= {"style", "title", "class"}
        self.titles += [values["title"]] if "title" in values else []
        self.styles.append(values.get("style", ""))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_html_shows_the_text_and_no_text_becomes_a_tag() -> None:
    found = explanation(EVIL, "good\n  film")
    reader = read(found._repr_html_())
    assert set(reader.tags) == {"div", "p", "span"}
    assert reader.text.count(EVIL) == 2  # the text and the target
    assert "good\n  film" in reader.text
    assert reader.titles == [f"{score:+.4f}" for score in found.scores]
    assert "http" not in found._repr_html_() and "url(" not in found._repr_html_()


def test_colours_are_by_sign_and_strength() -> None:
    reader = read(explanation("one two three", scores=[2.0, -1.0, 0.0])._repr_html_())
    shown = [style for style in reader.styles if "rgba" in style][2:]  # after the legend
    colours = [re.search(r"rgba\((\d+),\d+,\d+,([\d.]+)\)", style) for style in shown]
    red, alpha = zip(*[(int(m[1]), float(m[2])) for m in colours if m], strict=True)
    assert red[0] < 128 < red[1]  # blue, orange
    assert alpha == (0.6, 0.3, 0.0)
    assert ["underline" in style for style in shown] == [False, True, False]


def test_printed_it_is_the_text_and_the_strongest_words(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a fine film"
    shown = str(explanation(text, scores=[0.0, 2.0, -1.0])).splitlines()
    assert "probability 0.750" in shown[0] and "predicted pos" in shown[0]
    assert shown[1] == text
    assert shown[2].split() == ["+2.0000", "█" * 20, "fine"]
    assert shown[3].split() == ["-1.0000", "█" * 10, "film"]
    # What speaks against the target stands left of where the others begin, and what they are below.
    assert shown[3].rindex("█") < shown[2].index("█")
    assert shown[-1].strip() == f"differences of logits: + speaks for {EVIL[:40]}..., - against it"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = str(explanation(text, scores=[0.0, 2.0, -1.0])).splitlines()[1]
    assert coloured.count("\x1b[97;48;5;") == 2
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == text
    bars = [re.findall(r"\x1b\[38;5;(\d+)m█", line) for line in str(
        explanation(text, scores=[0.0, 2.0, -1.0])).splitlines()]  # fmt: skip
    for_it, against = (number for found in bars for number in found)
    assert for_it != against
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in str(explanation(text))


def test_words_that_are_left_out_of_the_list_are_counted() -> None:
    words = [f"w{number}" for number in range(13)]
    scores = [float(number) for number in range(13)]
    shown = str(explanation(" ".join(words), scores=scores)).splitlines()
    assert [line.split()[-1] for line in shown[2:12]] == words[:2:-1]
    assert shown[12].strip() == "the strongest 10 of 13 words"
    assert shown[13].strip().startswith("differences of logits")
    assert "strongest" not in str(explanation(" ".join(words[:10]), scores=scores[:10]))


def test_control_characters_do_not_reach_the_terminal() -> None:
    words = Words("a\x1b[31mb c", ((0, 7), (8, 9)))
    found = Explanation(
        WordParts((words,), [], NO_TOKENS, 0),
        np.ones(2),
        np.ones(2, bool),
        0,
        "a\x1b[31mb",
        "p",
        None,
        "lime",
        1.0,
        None,
    )
    assert "\x1b" not in str(found)
    assert "\x1b" not in html.unescape(str(found))


def test_nothing_to_show_is_shown() -> None:
    found = explanation("", scores=[])
    assert "probability" in str(found) and "<p" in found._repr_html_()
    assert found.words == [] and found.to_frame().empty
