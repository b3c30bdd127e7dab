"""Texts in pieces, as they are written: together what `predict` returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.encodings.targets import SourceEncodings
from ktlite.errors import ArgumentError, DataError
from ktlite.predictor import Predictor
from ktlite.tasks import Translation
from ktlite.tasks.pieces import Pieces
from tests.writers import alphabets, byte_checkpoint, chat_checkpoint, chats, checkpoint, reversals

OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_new_tokens": 30, "min_new_tokens": 30},
    {"max_new_tokens": 30, "do_sample": True, "seed": 3, "top_k": 0},
    {"max_new_tokens": 30, "do_sample": True, "seed": 4, "stop_strings": ["b", "d e"]},
]


def predictor_of(folder: Path, data: Any, task: Any) -> Predictor:
    learner = ktlite.get_learner(
        folder, data, task=task, maxlen=48, batch_size=16, check=False, verbose=0
    )
    return learner.get_predictor()


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def chatting(golden: Path, top: Path) -> Predictor:
    return predictor_of(chat_checkpoint(golden, top / "chat"), (chats(20, 0), None), GOES_ON)


@pytest.fixture(scope="module")
def spelling(golden: Path, top: Path) -> Predictor:
    """It writes bytes at random."""
    return predictor_of(
        byte_checkpoint(golden, top / "bytes"), (["été", "日本"] * 8, None), GOES_ON
    )


@pytest.fixture(scope="module")
def translating(golden: Path, top: Path) -> Predictor:
    return predictor_of(checkpoint(golden, top / "t5", "t5"), reversals(20, 0), "translation")


GOES_ON = "text-generation"


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["chatting", "spelling", "translating"])
def test_pieces_are_what_predict_returns(
    request: pytest.FixtureRequest, name: str, options: dict[str, Any]
) -> None:
    predictor = request.getfixturevalue(name)
    for text in [*alphabets(1, 3)[0], "é"]:
        expected = predictor.predict(text, **options)
        pieces = list(predictor.stream(text, **options))
        assert "".join(pieces) == expected
        assert all(pieces)
        if options.get("do_sample") and "stop_strings" not in options:
            assert len(pieces) > 3
        assert not any(stop in expected for stop in options.get("stop_strings", ()))


@pytest.mark.parametrize("num_beams", [1, 2])
def test_what_is_drawn_of_a_text_depends_on_its_place_alone(
    chatting: Predictor, num_beams: int
) -> None:
    """Not on the texts beside it, nor on the batches that they are sorted into."""
    drawn = {"do_sample": True, "top_k": 0, "max_new_tokens": 12, "num_beams": num_beams}
    short = chatting.predict(["a", "b", "c d e f g h", "d"], **drawn)
    long = chatting.predict(["a b c d e f g h", "b", "e", "d"], **drawn)
    assert [short[1], short[3]] == [long[1], long[3]]
    assert len(set(chatting.predict(["b"] * 4, **drawn))) > 1


def test_what_is_written_is_not_explained(chatting: Predictor) -> None:
    with pytest.raises(ArgumentError, match="explain: text-generation writes texts"):
        chatting.explain("a b")


def test_a_chat_is_one_example(chatting: Predictor) -> None:
    chat = chats(1, 4)[0][:1]
    assert "".join(chatting.stream(chat, max_new_tokens=9)) == chatting.predict(
        chat, max_new_tokens=9
    )
    with pytest.raises(DataError, match="2 examples in a list; expected one"):
        chatting.stream([chat, chat])


def test_texts_end_before_stop_strings(chatting: Predictor) -> None:
    """By hand: what is written without them, up to the first; and no token more is computed."""
    asked = {"max_new_tokens": 30, "min_new_tokens": 30, "do_sample": True, "top_k": 0}
    whole = chatting.predict("a b", **asked)
    words = whole.split()
    stop = f"{words[9]} {words[10]}"
    expected = whole[: whole.index(stop)]
    assert chatting.predict("a b", stop_strings=[stop], **asked) == expected
    assert chatting.predict(["a b"], stop_strings=stop, **asked) == [expected]
    pieces = list(chatting.stream("a b", stop_strings=[stop], **asked))
    assert "".join(pieces) == expected


def test_stop_strings_of_the_task_go_with_the_predictor(
    golden: Path, top: Path, tmp_path: Path
) -> None:
    folder = checkpoint(golden, tmp_path / "t5", "t5")
    options: dict[str, Any] = {"max_new_tokens": 30, "min_new_tokens": 30}
    options |= {"do_sample": True, "top_k": 0}
    plain = predictor_of(folder, reversals(20, 0), Translation(**options))
    whole = plain.predict("a b")
    stop = whole.split()[2]
    task = Translation(stop_strings=[stop], **options)
    predictor = predictor_of(folder, reversals(20, 0), task)
    assert predictor.predict("a b") == whole[: whole.index(stop)].strip()
    predictor.evaluate(reversals(4, 1))
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    assert loaded.predict("a b") == "".join(loaded.stream("a b")) == predictor.predict("a b")


def test_who_stops_asking_stops_the_model(
    chatting: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = chatting.model._ready_stepper()
    steps = []

    class Counted(type(stepper)):  # type: ignore[misc]
        def __call__(self, *arguments: Any) -> Any:
            steps.append(1)
            return super().__call__(*arguments)

    monkeypatch.setattr(stepper, "__class__", Counted)
    pieces = chatting.stream("a b c", max_new_tokens=40, min_new_tokens=40)
    assert not steps
    next(pieces)
    next(pieces)
    begun = len(steps)
    assert 2 <= begun < 10
    del pieces
    assert len(steps) == begun


def test_what_cannot_be_streamed_is_refused_at_once(
    chatting: Predictor, tiny_predictors: Path
) -> None:
    with pytest.raises(ArgumentError, match="num_beams=2; tokens of beams are not settled"):
        chatting.stream("a b", num_beams=2)
    with pytest.raises(ArgumentError, match="unknown argument 'max_tokens'"):
        chatting.stream("a b", max_tokens=2)
    with pytest.raises(ArgumentError, match="writes one text for each"):
        chatting.predict("a b", num_return_sequences=2, do_sample=True)
    with pytest.raises(DataError):
        chatting.stream(3)
    classifier = ktlite.load_predictor(tiny_predictors / "classification")
    with pytest.raises(ArgumentError, match="a classification task writes no text.*predict gives"):
        classifier.stream("a b")
    with pytest.raises(ArgumentError, match="a classification task writes no text"):
        classifier.stream("a b", max_new_tokens=3)
    model = chatting.model
    with pytest.raises(ArgumentError, match="2 inputs.*expected one text of one input"):
        model.stream({"input_ids": np.ones((2, 3), "int32")})


def sources(tokenizer: Any) -> SourceEncodings:
    from ktlite.inputs.sequences import encode_sources

    return encode_sources(tokenizer, ["a"])


TEXT = "a é 日本 👩‍👩‍👧 \n\n z"


@pytest.mark.parametrize("kind", ["bytes of texts", "bytes of SentencePiece"])
@pytest.mark.parametrize("cut", range(8))
def test_pieces_are_whole_characters(spelling: Predictor, kind: str, cut: int) -> None:
    """Of tokens that are a byte each, also where the text ends amid a character."""
    data = TEXT.encode()
    data = data[: len(data) - cut]
    tokenizer = spelling.preproc.input
    if kind == "bytes of texts":
        ids = tokenizer.plain_ids([TEXT])[0][: len(data)]
        made = sources(tokenizer)
    else:
        from tokenizers import Tokenizer, decoders, models

        vocab = {f"<0x{number:02X}>": number for number in range(256)}
        rust = Tokenizer(models.BPE(vocab, [], byte_fallback=True))
        rust.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
        other = type(tokenizer).__new__(type(tokenizer))
        other._rust = other._writer = rust
        ids = np.frombuffer(data, "uint8").astype("int32")
        base = vars(sources(tokenizer))
        made = SourceEncodings(**{**base, "decode": lambda x: other.decode(x, strip=False),
                                  "settled": other.settled})  # fmt: skip
    whole = made.decode(ids)
    assert cut or whole == TEXT
    pieces = Pieces(made, made.decode)
    found = [*map(pieces.add, ids), pieces.rest()]
    assert "".join(found) == whole
    assert not any("\ufffd" in piece for piece in found[:-1])
    if kind == "bytes of texts":
        assert sum(map(bool, found)) > 10
