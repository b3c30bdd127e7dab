"""SentencePiece's files, read without its library."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktlite.inputs.sentencepiece_model import CONTROL, NORMAL, UNKNOWN, SentencePieceModel

ROOT = Path(__file__).parents[1] / "golden" / "tokens"


def test_pieces_and_settings_are_those_that_the_model_was_made_with() -> None:
    """`golden/make_tokens.py` made it: pieces 0 to 3 are special ones, the usual normalisation."""
    model = SentencePieceModel.parse((ROOT / "deberta-v2" / "spm.model").read_bytes())
    first = [(piece, kind) for piece, _, kind in model.pieces[:4]]
    assert first == [
        ("[PAD]", CONTROL), ("[CLS]", CONTROL), ("[SEP]", CONTROL), ("[UNK]", UNKNOWN)
    ]  # fmt: skip
    assert {kind for _, _, kind in model.pieces[4:]} == {NORMAL}
    assert all(score < 0 for _, score in model.scores[4:])
    assert model.unknown == 3
    assert model.is_unigram and model.dummy_prefix and model.remove_spaces
    assert not model.byte_fallback
    assert len(model.charsmap) > 200_000  # nmt_nfkc


def test_fields_of_a_hand_made_model() -> None:
    """By the encoding of protocol buffers: key = number * 8 + wire type."""
    piece = b"\x0a\x02ab" + b"\x15\x00\x00\x00\xc0" + b"\x18\x04"  # -2.0, type 4
    trainer = b"\x18\x02" + b"\x98\x02\x01"  # model type BPE; byte_fallback (field 35)
    normalizer = b"\x18\x00" + b"\x20\x00"
    content = b"".join(
        key + bytes([len(part)]) + part
        for key, part in ((b"\x0a", piece), (b"\x12", trainer), (b"\x1a", normalizer))
    )
    model = SentencePieceModel.parse(content)
    assert model == SentencePieceModel((("ab", -2.0, 4),), b"", False, False, True, False)
    assert model.user_defined == ["ab"]
    assert model.normalizers() == []


@pytest.mark.parametrize("content", [b"", b"\x0a", b"\x0a\x05ab", b"{}", b"\xff" * 9, b"\x0b\x01"])
def test_damaged_files_are_no_models(content: bytes) -> None:
    with pytest.raises(ValueError, match="it is no SentencePiece model"):
        SentencePieceModel.parse(content)
