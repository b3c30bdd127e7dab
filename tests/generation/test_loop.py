"""The loop: what the model is asked, draws, streams, and what ends a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError, KtliteError
from ktlite.generation import Generation, StopStrings, Written, generate, stream
from ktlite.generation.search import draw
from tests.generation.table import Table

VOCABULARY = 23
ENDS = (2, 5)


@pytest.fixture
def table() -> Table:
    return Table(3, VOCABULARY, ENDS, 1.0)


def write(table: Table, prompts: list[list[int]], how: Generation, **more: Any) -> Any:
    table.calls.clear()
    return generate(table.step, table.begin([[]] * len(prompts)), prompts, how, **more)


def ids(texts: Any) -> list[list[int]]:
    return [text.ids.tolist() for text in texts]


# What the model is asked


def test_starts_with_the_shortest_prompt_and_reads_the_others_on(table: Table) -> None:
    prompts = [[6, 7, 8, 9, 10], [6, 7], [9, 8, 7]]
    texts = write(table, prompts, Generation(max_new_tokens=4))
    assert table.calls == [(3, 2)] + [(3, 1)] * 4 + [(1, 1)] * 2
    alone = [write(table, [prompt], Generation(max_new_tokens=4))[0] for prompt in prompts]
    assert ids(texts) == ids(alone)
    assert [text.token_scores.tolist() for text in texts] == [
        text.token_scores.tolist() for text in alone
    ]


@pytest.mark.parametrize("how", [{"num_beams": 3}, {"do_sample": True, "num_return_sequences": 3}])
def test_reads_a_prompt_once_and_not_for_each_beam(table: Table, how: dict[str, Any]) -> None:
    write(table, [[6, 7, 8, 9]] * 2, Generation(max_new_tokens=3, **how))
    assert table.calls[0] == (2, 4)
    assert table.calls[1] == (6, 1)


@pytest.mark.parametrize("how", [{}, {"num_beams": 3}, {"do_sample": True}])
def test_asks_no_more_than_texts_need(table: Table, how: dict[str, Any]) -> None:
    """The last token is never read, and nothing is once all texts have ended."""
    options = Generation(max_new_tokens=6, **how)
    write(table, [[6, 7], [8, 9]], options)
    assert len(table.calls) == 6
    ending = options.with_(max_new_tokens=1000, eos_token_id=list(range(VOCABULARY)))
    assert {len(text) for text in ids(write(table, [[6, 7], [8, 9]], ending))} == {1}
    assert len(table.calls) == 1


def test_keeps_its_rows_where_the_model_needs_it(table: Table) -> None:
    prompts = [[6, 7, 8, 9, 10], [6], [9]]
    for how in (Generation(max_new_tokens=2), Generation(max_new_tokens=2, num_beams=2)):
        write(table, prompts, how, drop_finished=False)
        assert {rows for rows, _ in table.calls[1:]} == {3 * how.num_beams}


def test_no_prompts_are_no_texts(table: Table) -> None:
    assert write(table, [], Generation(num_beams=2)) == []
    assert table.calls == []


def test_lists_arrays_and_other_types_of_whole_numbers_are_prompts(table: Table) -> None:
    expected = ids(write(table, [[6, 7], [8]], Generation()))
    assert ids(write(table, [np.array([6, 7]), (8,)], Generation())) == expected  # type: ignore


# Scores


@pytest.mark.parametrize("how", [{}, {"num_beams": 3}, {"do_sample": True, "top_k": None}])
def test_scores_are_log_probabilities_of_the_tokens(table: Table, how: dict[str, Any]) -> None:
    how = Generation(max_new_tokens=5, eos_token_id=ENDS, length_penalty=0.7, **how)
    for prompt in ([6, 7], [8]):
        [text] = write(table, [prompt], how)
        logs = []
        for end in range(len(text.ids)):
            scores = table.of_text([*prompt, *text.ids[:end]]).astype(np.float64)
            logs.append(scores[text.ids[end]] - np.log(np.exp(scores).sum()))
        np.testing.assert_allclose(text.token_scores, logs, atol=2e-6)
        assert text.score == pytest.approx(sum(logs) / len(logs) ** 0.7, abs=2e-6)


def test_beams_find_no_worse_texts_than_greedy_search(table: Table) -> None:
    prompts = [[6 + i, 7] for i in range(10)]
    greedy = write(table, prompts, Generation(max_new_tokens=5))
    wide = write(table, prompts, Generation(max_new_tokens=5, num_beams=8))
    assert all(b.score >= g.score - 1e-6 for b, g in zip(wide, greedy, strict=True))
    assert any(b.score > g.score + 1e-6 for b, g in zip(wide, greedy, strict=True))


def test_beams_that_have_fewer_texts_than_asked_for_say_so(table: Table) -> None:
    how = Generation(max_new_tokens=1, num_beams=3, num_return_sequences=3, eos_token_id=2,
                     forced_eos_token_id=2)  # fmt: skip
    texts = write(table, [[6], [7]], how)
    assert ids(texts) == [[2], [], []] * 2
    assert [text.score for text in texts] == [0.0, -np.inf, -np.inf] * 2


# Draws


def test_draws_are_by_probability() -> None:
    """Numbers at equal distances give each token its share of them."""
    scores = np.random.default_rng(0).normal(size=(1, 50)).astype(np.float32) * 2
    scores[0, ::3] = -np.inf
    count = 4000
    uniform = (np.arange(count) + 0.5) / count
    tokens, logs = draw(np.repeat(scores, count, axis=0), uniform)
    probabilities = np.exp(scores[0].astype(np.float64))
    probabilities /= probabilities.sum()
    shares = np.bincount(tokens, minlength=50) / count
    np.testing.assert_allclose(shares, probabilities, atol=1.5 / count)
    np.testing.assert_allclose(logs, np.log(probabilities[tokens]), atol=1e-5)


def test_draws_at_both_ends_are_possible_ones() -> None:
    scores = np.array([[-np.inf, 1.0, 2.0, -np.inf]], np.float32)
    tokens, _ = draw(np.repeat(scores, 2, axis=0), np.array([0.0, np.nextafter(1.0, 0.0)]))
    assert tokens.tolist() == [1, 2]
    many = np.random.default_rng(0).normal(size=(500, 700)).astype(np.float32)
    many[:, 600:] = -np.inf
    tokens, _ = draw(many, np.full(500, np.nextafter(1.0, 0.0)))
    assert set(tokens.tolist()) <= {598, 599}  # rounding may leave nothing of the last one


@pytest.mark.parametrize("beams", [1, 3])
def test_draws_depend_on_seed_and_example_and_not_on_the_batch(table: Table, beams: int) -> None:
    how = Generation(max_new_tokens=8, do_sample=True, num_beams=beams, num_return_sequences=2)
    prompts = [[6, 7, 8], [9], [6, 7, 8], [11, 12]]
    together = ids(write(table, prompts, how))
    for place, prompt in enumerate(prompts):
        alone = write(table, [prompt], how, examples=[place])
        assert ids(alone) == together[2 * place : 2 * place + 2]
    assert ids(write(table, prompts, how)) == together
    assert together[0:2] != together[4:6]  # the same prompt, another example
    assert together[0] != together[1]
    assert ids(write(table, prompts, how.with_(seed=1))) != together


def test_more_tokens_do_not_change_those_before(table: Table) -> None:
    """Draws are made some at a time: 64 are one such time."""
    long = Generation(max_new_tokens=150, do_sample=True, num_return_sequences=2)
    short = long.with_(max_new_tokens=70)
    long_texts, short_texts = write(table, [[6]], long), write(table, [[6]], short)
    for a, b in zip(ids(long_texts), ids(short_texts), strict=True):
        assert a[:70] == b
    assert len({tuple(text[70:80]) for text in ids(long_texts)}) == 2


def test_beams_that_draw_follow_the_probabilities() -> None:
    """First tokens of the texts of two beams: two draws without putting back."""
    scores = np.log(np.array([[0.5, 0.3, 0.15, 0.05]], np.float32))

    def step(tokens: np.ndarray, position: int, state: Any, order: Any) -> Any:
        return np.repeat(scores, len(tokens), axis=0), None

    how = Generation(max_new_tokens=1, do_sample=True, num_beams=2, num_return_sequences=2)
    count = 3000
    texts = generate(step, None, [[0]] * count, how)
    # Four candidates are drawn of four, so that the best two are always the same.
    assert {tuple(t.ids) for t in texts[::2]} == {(0,)}
    how = how.with_(num_beams=1, num_return_sequences=1)
    texts = generate(step, None, [[0]] * count, how)
    shares = np.bincount([t.ids[0] for t in texts], minlength=4) / count
    np.testing.assert_allclose(shares, np.exp(scores[0]), atol=0.03)


def test_gumbel_draws_of_beams_are_draws_without_putting_back() -> None:
    """Of one beam's two candidates among many tokens: pairs have the shares that they should."""
    from ktlite.generation.beams import Beams
    from ktlite.generation.search import Start

    probabilities = np.array([0.5, 0.25, 0.15, 0.1])
    count = 6000
    ones = np.ones(count, np.intp)
    start = Start(np.zeros((count, 1), np.int32), ones, ones * 2, np.arange(count))
    how = Generation(do_sample=True, num_beams=2)
    beams = Beams(how, start, [])
    beams.candidates = 2
    totals = np.log(np.repeat(probabilities[None], count, axis=0)).astype(np.float32)
    drawn = beams._candidates(totals)
    assert (drawn[:, 0] < drawn[:, 1]).all()  # the more likely first
    found = np.zeros((4, 4))
    np.add.at(found, (drawn[:, 0], drawn[:, 1]), 1 / count)
    for a in range(4):
        for b in range(a + 1, 4):
            p, q = probabilities[a], probabilities[b]
            assert found[a, b] == pytest.approx(p * q / (1 - p) + q * p / (1 - q), abs=0.02)


# Streams and ends


@pytest.mark.parametrize("how", [{}, {"do_sample": True, "num_return_sequences": 2}])
def test_streams_what_generate_returns(table: Table, how: dict[str, Any]) -> None:
    options = Generation(max_new_tokens=6, eos_token_id=ENDS, **how)
    prompts = [[6, 7, 8], [9], [10, 11]]
    texts = write(table, prompts, options)
    table.calls.clear()
    written = list(stream(table.step, table.begin([[]] * 3), prompts, options))
    for row, text in enumerate(texts):
        of_row = [w for w in written if w.row == row]
        assert [w.token for w in of_row] == text.ids.tolist()
        assert [w.last for w in of_row] == [False] * (len(of_row) - 1) + [True]
        np.testing.assert_array_equal(np.float32([w.score for w in of_row]), text.token_scores)


def test_a_stream_computes_no_more_than_is_asked_for(table: Table) -> None:
    tokens = stream(table.step, table.begin([[]]), [[6, 7]], Generation(max_new_tokens=50))
    assert table.calls == []
    first = next(tokens)
    assert isinstance(first, Written) and first.row == 0
    next(tokens)
    assert len(table.calls) == 2


@pytest.mark.parametrize("beams", [1, 3])
def test_a_callback_ends_texts(table: Table, beams: int) -> None:
    seen = []

    def stop(example: int, written: np.ndarray) -> bool:
        seen.append((example, len(written)))
        return example == 1 and len(written) == 3

    how = Generation(max_new_tokens=6, num_beams=beams)
    texts = write(table, [[6, 7, 8, 9], [6], [7]], how, stop=stop)
    assert [len(text) for text in ids(texts)] == [6, 3, 6]
    assert {example for example, _ in seen} == {0, 1, 2}
    assert min(length for _, length in seen) == 1


def test_stop_strings_end_texts_where_they_come_up(table: Table) -> None:
    def decode(tokens: np.ndarray) -> str:
        return "".join(chr(ord("a") + int(token)) for token in tokens)

    [free] = write(table, [[6, 7]], Generation(max_new_tokens=12))
    text = decode(free.ids)
    how = Generation(max_new_tokens=12, stop_strings=["~", text[4:6]])
    found = decode(write(table, [[6, 7]], how, decode=decode)[0].ids)
    assert found == text[: text.find(text[4:6]) + 2]
    assert StopStrings(how.stop_strings, decode).cut(text) == text[: text.find(text[4:6])]
    assert StopStrings(["~"], decode).cut(text) == text
    never = write(table, [[6, 7]], how.with_(stop_strings="~"), decode=decode,
                  stop=lambda example, written: len(written) == 2)  # fmt: skip
    assert len(never[0].ids) == 2


def test_more_rules_come_after_those_of_the_options(table: Table) -> None:
    def only_the_example(scores: np.ndarray, prefixes: Any) -> np.ndarray:
        assert (scores[:, 2] == -np.inf).all()
        scores[:] = -np.inf
        scores[np.arange(len(scores)), prefixes.examples] = 0.0
        return scores

    how = Generation(max_new_tokens=2, suppress_tokens=[2])
    for beams in (1, 2):
        texts = write(table, [[6, 7], [8], [9]], how.with_(num_beams=beams),
                      rules=[only_the_example])  # fmt: skip
        assert ids(texts) == [[0, 0], [1, 1], [2, 2]]


# Errors


def test_says_all_that_is_wrong_with_a_call(table: Table) -> None:
    how = Generation(stop_strings="a")
    with pytest.raises(ArgumentError) as error:
        write(table, [[6], []], how, sources=[[1]], examples=[1, 2, 3])
    for part in ("4 problems", "prompt 1 has no tokens", "sources has 1 entries",
                 "examples has 3 entries", "stop_strings=('a',) needs decode="):  # fmt: skip
        assert part in str(error.value)


def test_prompts_that_leave_no_room_are_named(table: Table) -> None:
    with pytest.raises(ArgumentError, match=r"prompt 1 has 3 tokens, and 3 is the most"):
        write(table, [[6], [7, 8, 9]], Generation(max_length=3))
    with pytest.raises(ArgumentError, match=r"prompt 0 has 8 tokens"):
        write(table, [[6] * 8], Generation(max_new_tokens=3), positions=8)


@pytest.mark.parametrize("how", [{}, {"do_sample": True}, {"num_beams": 2}])
def test_scores_that_are_no_numbers_are_refused(how: dict[str, Any]) -> None:
    def step(tokens: np.ndarray, position: int, state: Any, order: Any) -> Any:
        scores = np.ones((len(tokens), 5), np.float32)
        scores[-1, 3] = np.nan
        return scores, None

    with pytest.raises(KtliteError, match="NaN"):
        generate(step, None, [[1], [2]], Generation(**how))


@pytest.mark.parametrize("how", [{}, {"do_sample": True}, {"num_beams": 2}])
def test_rules_that_leave_nothing_are_refused(table: Table, how: dict[str, Any]) -> None:
    nothing = Generation(suppress_tokens=range(VOCABULARY), **how)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no token is left"):
        write(table, [[6]], nothing)


def test_beams_cannot_be_streamed(table: Table) -> None:
    with pytest.raises(ArgumentError, match="num_beams=2"):
        stream(table.step, table.begin([[]]), [[6]], Generation(num_beams=2))
