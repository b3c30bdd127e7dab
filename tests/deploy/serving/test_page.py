"""The page, in a real browser: what people see is what the predictor says, and nothing else."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ktlite.predictor import Predictor

pytestmark = pytest.mark.browser
Get = Callable[[str], Predictor]
ATTACK = "<img src=x onerror=document.title='caught'> & \"quotes\""
TEXTS = ["The film was great!", ATTACK, "bad 😀 film"]
QUESTION, CONTEXT = "Who was good?", "The film was good 😀. Ann Lee made it."


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as p:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update",
                 "--disable-sync"]  # fmt: skip
        opened = p.chromium.launch(executable_path=found, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any, serving: Callable[..., Any], predictors: Get) -> Iterator[Any]:
    """Opens the page of a task's server; fails where it asks elsewhere or complains."""
    problems: list[str] = []
    contexts = []

    def go(task: str, wide: int = 1000, **options: Any) -> Any:
        client = serving(predictors(task), **options)
        contexts.append(browser.new_context(viewport={"width": wide, "height": 800}))
        page = contexts[-1].new_page()
        home = f"http://127.0.0.1:{client.port}/"
        page.on("request", lambda r: r.url.startswith((home, "blob:")) or problems.append(r.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: m.type == "error" and problems.append(m.text))
        page.goto(home)
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == []


def predict(page: Any, first: str, second: str | None = None) -> Any:
    page.wait_for_selector("#form:not([hidden])")
    page.fill("#first", first)
    if second is not None:
        page.fill("#second", second)
    page.focus("#first")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#rows li")
    return page.locator("#rows > li")


def test_texts_get_their_labels_and_explanations(visit: Any, predictors: Get) -> None:
    page = visit("classification")
    rows = predict(page, "\n".join(["", *TEXTS, " "]))
    assert rows.count() == len(TEXTS)
    assert rows.locator(".text").all_inner_texts() == TEXTS
    assert rows.locator(".name.chosen").all_inner_texts() == predictors("classification").predict(
        TEXTS
    )
    assert (page.locator("#rows img").count(), page.title()) == (0, "predictor")
    rows.nth(1).get_by_text("Explain").click()
    page.wait_for_selector(".why mark")
    words = predictors("classification").explain(ATTACK).words
    assert page.locator(".why mark").all_inner_texts() == words
    assert page.locator(".why .text").inner_text() == ATTACK
    rows.nth(1).get_by_text("Hide").click()
    assert not page.locator(".why").is_visible()


def test_table_in_table_out(visit: Any, predictors: Get, tmp_path: Path) -> None:
    texts = [f"film {i}, {'good ' * (i % 9)}" for i in range(150)]
    texts[3], texts[7] = "", 'of "two\nlines"; 房间'
    written = io.StringIO()
    table = csv.writer(written, delimiter=";")
    table.writerow(["id", "review", "stars"])
    table.writerows([i, text, 5] for i, text in enumerate(texts))
    (tmp_path / "table.csv").write_text(written.getvalue(), encoding="utf-8")
    page = visit("classification")
    page.wait_for_selector("#form:not([hidden])")
    page.set_input_files("#file", tmp_path / "table.csv")
    page.wait_for_selector("#table-form:not([hidden])")
    assert page.locator("#column option:checked").inner_text() == "review"
    assert page.locator("#table-go").inner_text() == "Predict 149 rows"
    page.click("#table-go")
    page.wait_for_selector("#rows li")
    assert page.locator("#rows > li").count() == 100
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["review"] for row in rows] == texts
    expected = predictors("classification").predict(texts)
    expected[3] = ""
    assert [row["prediction"] for row in rows] == expected
    assert float(rows[0]["probability of neg"]) == pytest.approx(
        predictors("classification").predict_proba(texts[0])[0], abs=1e-5
    )


def test_text_file_is_a_text_a_line(visit: Any, tmp_path: Path) -> None:
    texts = ["A fine, warm film", "Dull, slow"]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    page = visit("classification")
    page.wait_for_selector("#form:not([hidden])")
    page.set_input_files("#file", tmp_path / "texts.txt")
    page.wait_for_selector("#table-form:not([hidden])")
    assert page.locator("#preview li").all_inner_texts() == texts


def test_other_classes_after_a_reload_are_said(
    visit: Any, predictors: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit("classification")
    predict(page, TEXTS[0])
    monkeypatch.setattr(Predictor, "get_classes", lambda self: ["0", "1", "2"])
    page.click("#go")
    page.wait_for_selector("#message:not([hidden])")
    assert "other classes" in page.locator("#message").inner_text()
    assert not page.locator("#results").is_visible()


def test_several_labels_and_numbers(visit: Any, predictors: Get) -> None:
    rows = predict(visit("multilabel"), TEXTS[0])
    shares = dict(predictors("multilabel").predict(TEXTS[0]))
    shown = rows.locator(".bars span").all_inner_texts()
    assert dict(zip(shown[::2], shown[1::2], strict=True)) == {
        str(name): f"{100 * share:.1f} %" for name, share in shares.items()
    }
    rows = predict(visit("regression"), TEXTS[0])
    number = float(rows.locator(".number").inner_text())
    assert number == pytest.approx(predictors("regression").predict(TEXTS[0]), rel=1e-3)


def test_entities_are_marked_where_they_are(visit: Any, predictors: Get) -> None:
    text = "😀 Ann Lee left Bonn <b>."
    rows = predict(visit("token-classification"), text)
    found = predictors("token-classification").predict(text, merge_tokens=True)
    assert rows.locator("mark").all_inner_texts() == [words + kind for words, kind, _ in found]
    assert found


def test_answers_are_marked_in_the_context(visit: Any, predictors: Get) -> None:
    predictor = predictors("question-answering")
    rows = predict(visit("question-answering"), QUESTION, CONTEXT)
    best = predictor.predict((QUESTION, CONTEXT), n_best=3)
    assert rows.locator(".name").all_inner_texts() == [answer or "no answer" for answer in best]
    assert rows.locator(".answer").all_inner_texts() == best[:1]


def test_pairs(visit: Any, predictors: Get) -> None:
    page = visit("pairs")
    page.wait_for_selector("#form:not([hidden])")
    page.check("#pairs")
    rows = predict(page, "a film\nbad", "good\nbetter")
    expected = predictors("pairs").predict([("a film", "good"), ("bad", "better")])
    assert rows.locator(".name.chosen").all_inner_texts() == expected
    page.fill("#second", "one")
    page.click("#go")
    assert "each needs its partner" in page.locator("#message").inner_text()


def test_keyboard_alone_and_a_phone(visit: Any) -> None:
    page = visit("classification", wide=360)
    page.wait_for_selector("#form:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "first"
    page.keyboard.type("A" + "very" * 60 + "long word")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "go"
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows li")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_interface_page(visit: Any) -> None:
    page = visit("question-answering")
    page.click("text=API")
    page.wait_for_selector("section")
    assert {"/predict", "/reload"} <= set(page.locator("h2 code").all_inner_texts())
    assert "n_best" in page.locator("section").first.inner_text()


def test_key_is_asked_for(browser: Any, serving: Callable[..., Any], predictors: Get) -> None:
    client = serving(predictors("classification"), api_key="secret")
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{client.port}/")
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message:not([hidden])")
    assert page.locator("#message").inner_text() == "That is not the key."
    page.fill("#key", "secret")
    page.keyboard.press("Enter")
    assert predict(page, "A film").count() == 1
    page.close()


def test_texts_that_are_written_are_shown(
    browser: Any, serving: Callable[..., Any], chatting: Predictor
) -> None:
    """As they are, each below what it goes on with; and nothing is offered that they have not."""
    client = serving(chatting)
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{client.port}/")
    rows = predict(page, "a b c\nf g")
    assert page.locator("#about").inner_text() == "Goes on with a text"
    shown = [text.split() for text in rows.locator(".text").all_inner_texts()]
    written = [text.split() for text in chatting.predict(["a b c", "f g"])]
    assert shown == [["a", "b", "c"], written[0], ["f", "g"], written[1]]
    assert rows.get_by_text("Explain").count() == 0
    assert not page.locator("#pairs-label").is_visible()
    page.close()
