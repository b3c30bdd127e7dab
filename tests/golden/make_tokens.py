"""Writes `tokens/`: vocabularies as they are published, and what reference libraries make of them.

The references are the tokenizers that the models were made with: for WordPiece and byte-level BPE
the fast ones of `transformers` 4; for ALBERT, CamemBERT, DeBERTa and XLM-R its slow ones, on top
of SentencePiece itself. The vocabularies are tiny, the texts are in five languages. To write it
again (other vocabularies may come out: the trainers decide ties at random):

    pip install transformers==4.57.6 sentencepiece==0.2.3 protobuf
    python tests/golden/make_tokens.py
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
OUT = HERE / "tokens"

TEXTS = [
    "The film was GREAT, and I would see it again!",
    "Half of them didn't like it; 9,50 dollars are 1,000 cents.",
    "Der Straßenbahnfahrer grüßte, Über-Ängste überwand er nie.",
    "Schöne Zimmer, aber das Frühstück kostet 12,- Euro.",
    "L'été dernier, nous avons mangé une crème brûlée à Nîmes.",
    "Ça va très bien, merci beaucoup: c'est l'œuvre d'un maître.",
    "房间很干净，服务也很好，下次还会再来。",
    "我在Paris住了3天,早餐一般。",
    "Комната была чистой, а завтрак вкусным.",
    "Это был лучший фильм года, ЁЛКИ и ёжики!",
]
ODD = [
    "",
    "   ",
    "two  spaces and a tab\tand a line\nmore ",
    "no\u00a0break, wide\u3000space and zero\u200bwidth",
    "\uff21\uff22\uff23 \uff11\uff12\uff13 \ufb01ne \u2122 \u00bd price",
    "cafe\u0301 and caf\u00e9, Zoe\u0308",
    "an emoji \U0001f642 and soft\u00adhyphens",
    "a {mask} b, and {mask}.",
    "``quoted'' text",
    "  spaces before",
]
PAIRS = [(TEXTS[0], TEXTS[6]), (TEXTS[3], TEXTS[9])]
# What the small maps of characters hold: sources and what they become, in hexadecimal.
RULES = {
    "A0": "20", "3000": "20", "9": "20", "A": "20", "200B": "", "AD": "", "FF21": "41",
    "FF22": "42", "FF23": "43", "FF11": "31", "FF12": "32", "FF13": "33", "FB01": "66 69",
    "2122": "54 4D", "BD": "31 2F 32", "FF0C": "2C", "65 301": "E9", "65 308": "EB",
}  # fmt: skip
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]


def corpus() -> list[str]:
    """Returns the texts that the vocabularies are learned from: as they are, and lower-cased."""
    texts = [*TEXTS, *(odd for odd in ODD if "{" not in odd), "TM 1/2 fine ABC 123"]
    return [form for text in texts for form in (text, text.lower()) for _ in range(20)]


def wordpiece(specials: list[str]) -> bytes:
    rust = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    rust.normalizer = normalizers.BertNormalizer(lowercase=False)
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=420, special_tokens=specials, show_progress=False
    )
    rust.train_from_iterator(corpus(), trainer)
    vocab = sorted(rust.get_vocab(), key=rust.get_vocab().get)
    return ("\n".join(vocab) + "\n").encode()


def byte_level() -> dict[str, bytes]:
    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=[*ROBERTA_SPECIALS, "<mask>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    rust.train_from_iterator([*corpus(), *["## # heading"] * 40], trainer)
    model = json.loads(rust.to_str())["model"]
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    return {
        "vocab.json": json.dumps(model["vocab"], ensure_ascii=False).encode(),
        "merges.txt": f"#version: 0.2\n{merges}\n".encode(),
    }


def unigram(rules: bool, sentences: list[str] | None = None, **options: Any) -> bytes:
    """Trains a SentencePiece model, with a small map of characters or the usual one."""
    written = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rules.tsv"
        file.write_text("".join(f"{source}\t{to}\n" for source, to in RULES.items()))
        how = {"normalization_rule_tsv": str(file)} if rules else {}
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(sentences or corpus()),
            model_writer=written,
            hard_vocab_limit=False,
            character_coverage=1.0,
            minloglevel=2,
            num_threads=1,
            **how,
            **options,
        )
    return written.getvalue()


def vocabularies() -> dict[str, dict[str, bytes]]:
    """Returns the files of each family's vocabulary."""
    bert = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
    fairseq = unigram(True, vocab_size=330, unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    albert = unigram(
        True, vocab_size=330, pad_id=0, unk_id=1, bos_id=2, eos_id=3,
        control_symbols=["[MASK]"], **{**bert, "pad_piece": "<pad>"},
    )  # fmt: skip
    deberta = unigram(
        False, vocab_size=330, pad_id=0, bos_id=1, eos_id=2, unk_id=3, unk_piece="[UNK]", **bert
    )
    return {
        "bert": {"vocab.txt": wordpiece(BERT_SPECIALS)},
        "mpnet": {"vocab.txt": wordpiece([*ROBERTA_SPECIALS, "[UNK]", "<mask>"])},
        "roberta": byte_level(),
        "albert": {"spiece.model": albert},
        "xlm-roberta": {"sentencepiece.bpe.model": fairseq},
        "camembert": {"sentencepiece.bpe.model": fairseq},
        "deberta-v2": {"spm.model": deberta},
    }


# Folders: of which vocabulary, the model_type, and what lies beside it. `SIZE` stands for the
# first id that is free.
def settings(**values: Any) -> dict[str, Any]:
    return {"tokenizer_config.json": values}


SIZE = 99_999
TOKEN = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
SPECIAL = {"content": "[DRUG]", "special": True, **TOKEN}
MASK = {"content": "<mask>", "__type": "AddedToken", **TOKEN, "lstrip": True}
DRUG = {"added_tokens.json": {"[DRUG]": SIZE}}
MAP = {"special_tokens_map.json": {"additional_special_tokens": ["[DRUG]"]}}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    *(
        (family, model, beside)
        for family, model in (
            ("bert", "bert"), ("bert", "electra"), ("bert", "distilbert"), ("mpnet", "mpnet"),
        )
        for beside in (
            {},
            settings(do_lower_case=True),
            settings(do_lower_case=False),
            settings(do_lower_case=False, strip_accents=True),
            settings(do_lower_case=True, strip_accents=False),
            *[settings(do_lower_case=False, tokenize_chinese_chars=False)] * (family == "bert"),
            {**settings(do_lower_case=False), **DRUG},
            {**settings(do_lower_case=False), **DRUG, **MAP},
            settings(added_tokens_decoder={str(SIZE): SPECIAL}),
        )
    ),
    *(
        ("roberta", "roberta", beside)
        for beside in (
            {},
            settings(add_prefix_space=True),
            settings(add_prefix_space=False),
            {**settings(), **DRUG},
            settings(mask_token=MASK),
        )
    ),
    *(
        ("albert", "albert", beside)
        for beside in (
            {},
            settings(do_lower_case=True),
            settings(do_lower_case=False),
            settings(do_lower_case=False, keep_accents=True),
            {**settings(), **DRUG},
        )
    ),
    *(
        (family, family, beside)
        for family in ("xlm-roberta", "camembert")
        for beside in ({}, settings(), *[{**settings(), **DRUG}] * (family == "xlm-roberta"))
    ),
    *(
        ("deberta-v2", "deberta-v2", beside)
        for beside in (
            {},
            settings(do_lower_case=False),
            settings(do_lower_case=True),
            {"added_tokens.json": {"[MASK]": SIZE}},
        )
    ),
]  # fmt: skip


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    made = vocabularies()
    for family, files in made.items():
        if family == "camembert":  # the files of XLM-R
            continue
        (OUT / family).mkdir(parents=True)
        for name, content in files.items():
            (OUT / family / name).write_bytes(content)
    cases = []
    for family, model, beside in CASES:
        cases.append(case(made[family], family, model, beside, fast=False))
        # Beside tokenizer.json version 4 does not read added_tokens.json.
        if beside.get("added_tokens.json") != DRUG["added_tokens.json"]:
            cases.append(case(made[family], family, model, beside, fast=True))
    text = json.dumps(cases, ensure_ascii=False, separators=(",", ":"))
    (OUT / "tokens.json").write_text(text.replace('{"family"', '\n{"family"') + "\n", "utf-8")


def case(
    files: dict[str, bytes], family: str, model: str, beside: dict[str, Any], *, fast: bool
) -> dict[str, Any]:
    """Returns what lies beside a folder's vocabulary, and the ids of texts.

    With `fast`, the vocabulary is the tokenizer.json that transformers 4 makes of the older files
    without settings.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        (folder / "config.json").write_text(json.dumps({"model_type": model}))
        if fast:
            AutoTokenizer.from_pretrained(folder).save_pretrained(folder / "fast")
            made = folder / "fast" / "tokenizer.json"
            target = OUT / family / f"{model}-tokenizer.json"
            target.parent.mkdir(exist_ok=True)
            shutil.copy(made, target)
        wordpiece = not any(name.endswith(".model") for name in files)
        size = len(AutoTokenizer.from_pretrained(folder, use_fast=wordpiece))
        size -= "[MASK]" in beside.get("added_tokens.json", {})  # which is there in any case
        beside = json.loads(json.dumps(beside).replace(str(SIZE), str(size)))
        if wordpiece and fast:
            for file in files:
                (folder / file).unlink()
            made.rename(folder / "tokenizer.json")
        for file, content in beside.items():
            (folder / file).write_text(json.dumps(content))
        reference = AutoTokenizer.from_pretrained(folder, use_fast=wordpiece)
        texts = [text.replace("{mask}", reference.mask_token) for text in (*TEXTS, *ODD)]
        texts += ["take [DRUG] twice"] * ("DRUG" in str(beside))
        texts = [text for text in texts if decided(text, files)]
        pairs = [pair for pair in PAIRS if all(decided(text, files) for text in pair)]
        return {
            "family": family,
            "model_type": model,
            "file": "tokenizer.json" if fast else "older",
            "beside": beside,
            "texts": texts,
            "pairs": pairs,
            "ids": [reference(text)["input_ids"] for text in texts],
            "pair_ids": [reference(*pair)["input_ids"] for pair in pairs],
        }


def decided(text: str, files: dict[str, bytes]) -> bool:
    """Says whether a Unigram model finds one way to split a text likelier than all others.

    Of equally likely ones SentencePiece takes that which rounding favours.
    """
    contents = [files[name] for name in files if name.endswith((".model", ".spm"))]
    for content in contents:
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
        for form in (text, text.lower()):
            try:
                found = model.nbest_encode(form, nbest_size=2) if form.strip() else []
            except RuntimeError:  # BPE, which knows one way alone
                break
            best = [sum(map(model.get_score, ids)) for ids in found]
            if len(best) == 2 and abs(best[0] - best[1]) < 1e-3:
                return False
    return True


if __name__ == "__main__":
    main()
