"""Writes `writers/`: tokenizers of models that write texts, as they are published, and their ids.

The references are the slow tokenizers of `transformers` 4, on top of SentencePiece itself. The
vocabularies are tiny, the texts are those of `make_tokens.py`. To write it again:

    pip install transformers==4.57.6 sentencepiece==0.2.3 protobuf
    python tests/golden/make_writers.py

`writers.json` has for each folder the texts, the ids of those that are read and of those that are
to be written, what is made of the latter when they are decoded, and the id of their language.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import sentencepiece
from make_tokens import ODD, TEXTS, decided, unigram
from transformers import AutoTokenizer
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB_CODES

HERE = Path(__file__).parent
OUT = HERE / "writers"

HELD_OUT = [
    "A cheaper room would do; we'll see!",
    "Wo ist der Bahnhof, bitte? Über die Brücke.",
    "服务员很好，早餐也不错。",
    "Где находится вокзал?",
    "Où est la gare, s'il vous plaît?",
    "a </s> b <unk> c <pad> d",
    "a <extra_id_0> b <mask_1> c <mask> d",
    "日本 ### and ## or ☂☂",
]


def marian(apart: bool) -> dict[str, bytes]:
    """Returns the files of a Marian checkpoint, whose vocabulary lacks some of the pieces."""
    how: dict[str, Any] = {"unk_id": 1, "eos_id": 0, "bos_id": -1, "pad_id": -1}
    # The one knows no "#" and no Chinese, the other is of BPE.
    source = unigram(True, vocab_size=200, sentences=TEXTS[:6], **how)
    target = unigram(True, vocab_size=260, model_type="bpe", **how)
    languages = [">>deu<<", ">>fra<<", ">>zho_Hans<<"]
    of_source, of_target = pieces(source), [*pieces(target), "##", "日本"]
    names = [*languages, *of_source] if apart else [*languages, *of_source, *of_target]
    beside = {"source_lang": "en", "target_lang": "mul", "separate_vocabs": apart}
    files = {
        "source.spm": source,
        "target.spm": target,
        "vocab.json": vocabulary(names, apart),
        "tokenizer_config.json": json.dumps(beside).encode(),
    }
    return {**files, "target_vocab.json": vocabulary(of_target, apart)} if apart else files


def pieces(model: bytes) -> list[str]:
    """Returns the pieces of a model but every ninth."""
    known = sentencepiece.SentencePieceProcessor(model_proto=model)
    count = known.get_piece_size()
    normal = [i for i in range(count) if not known.is_control(i) and not known.is_unknown(i)]
    return [known.id_to_piece(i) for i in normal if i % 9]


def vocabulary(names: list[str], apart: bool) -> bytes:
    """Returns a vocabulary file; of two the special tokens have the same ids."""
    first, last = ["</s>", "<unk>"], ["<pad>"]
    listed = [*first, *last, *names] if apart else dict.fromkeys([*first, *names, *last])
    return json.dumps({name: i for i, name in enumerate(listed)}, ensure_ascii=False).encode()


def settings(**values: Any) -> bytes:
    return json.dumps(values).encode()


FAIRSEQ: dict[str, Any] = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}
GOOGLE: dict[str, Any] = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
SPIECE = {"spiece.model": unigram(True, vocab_size=260, **GOOGLE)}
SPOKEN = {"sentencepiece.bpe.model": unigram(True, vocab_size=260, **FAIRSEQ)}
BPE = {"sentencepiece.bpe.model": unigram(True, vocab_size=260, model_type="bpe", **FAIRSEQ)}
M2M100 = ["<s>", "<pad>", "</s>", "<unk>", *pieces(BPE["sentencepiece.bpe.model"])]
CODES = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]


def nllb(**values: Any) -> dict[str, bytes]:
    """Returns NLLB's files; as published they say the ids of languages, and of the mask behind."""
    known = sentencepiece.SentencePieceProcessor(model_proto=BPE["sentencepiece.bpe.model"])
    first = known.get_piece_size() + 1
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    specials = {0: "<s>", 1: "<pad>", 2: "</s>", 3: "<unk>"}
    added = {**specials, **dict(enumerate([*NLLB_CODES, "<mask>"], first))}
    said = {
        str(number): {"content": text, **plain, "lstrip": text == "<mask>", "special": True}
        for number, text in added.items()
    }
    how = {"tokenizer_class": "NllbTokenizer", "added_tokens_decoder": said, **values}
    return {**BPE, "tokenizer_config.json": settings(**how)}


# Folder -> model_type, files, and what is said to the reference.
FOLDERS: dict[str, tuple[str, dict[str, bytes], dict[str, Any]]] = {
    "marian": ("marian", marian(apart=False), {}),
    "marian-apart": ("marian", marian(apart=True), {}),
    "t5": ("t5", SPIECE, {}),
    "mt5": (
        "mt5",
        {**SPIECE, "tokenizer_config.json": settings(tokenizer_class="T5Tokenizer", extra_ids=0)},
        {},
    ),
    "pegasus": ("pegasus", SPIECE, {}),
    "mbart": ("mbart", SPOKEN, {"src_lang": "de_DE", "tgt_lang": "en_XX"}),
    "mbart50": (
        "mbart",
        {**SPOKEN, "tokenizer_config.json": settings(tokenizer_class="MBart50Tokenizer")},
        {"src_lang": "de_DE", "tgt_lang": "fr_XX"},
    ),
    "nllb": ("m2m_100", nllb(), {"src_lang": "deu_Latn", "tgt_lang": "fra_Latn"}),
    "nllb-legacy": (
        "m2m_100",
        nllb(legacy_behaviour=True),
        {"src_lang": "deu_Latn", "tgt_lang": "fra_Latn"},
    ),
    "m2m_100": (
        "m2m_100",
        {
            **BPE,
            "vocab.json": json.dumps({piece: i for i, piece in enumerate(M2M100)}).encode(),
            "special_tokens_map.json": settings(additional_special_tokens=CODES),
        },
        {"src_lang": "de", "tgt_lang": "fr"},
    ),
}


def token_of(name: str, said: dict[str, Any]) -> str:
    code = said.get("tgt_lang", "</s>")
    return f"__{code}__" if name == "m2m_100" else code


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    cases = []
    for name, (model_type, files, said) in FOLDERS.items():
        folder = OUT / name
        folder.mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        config = {"model_type": model_type, "vocab_size": 1000}
        (folder / "config.json").write_text(json.dumps(config) + "\n")
        reference = AutoTokenizer.from_pretrained(folder, use_fast=False, **said)
        texts = [*TEXTS, *(odd for odd in ODD if "{" not in odd), *HELD_OUT]
        texts = [text for text in texts if decided(text, files)]
        if name == "marian":
            texts += [">>fra<< Where is the station?", ">>zho_Hans<<A film."]
        written = [reference(text_target=text)["input_ids"] for text in texts]
        case = {
            "folder": name,
            "said": said,
            "texts": texts,
            "ids": [reference(text)["input_ids"] for text in texts],
            "target_ids": written,
            "first": reference.convert_tokens_to_ids(token_of(name, said)),
            "decoded": [reference.decode(ids, skip_special_tokens=True) for ids in written],
        }
        cases.append(case)
    lines = [json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases]
    (OUT / "writers.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


if __name__ == "__main__":
    main()
