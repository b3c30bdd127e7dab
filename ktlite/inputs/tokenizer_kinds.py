"""The tokenizer classes of `transformers`: what each makes of its settings and older files.

Where a folder has `tokenizer.json`, that file says how texts are taken apart, and the settings
change in it what the class of `transformers` lets them change. Where it has the older files alone,
they are converted: WordPiece and byte-level BPE as `transformers` 4 and 5 do it, Unigram models as
SentencePiece does (version 5 loses a DeBERTa model's own normalisation).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ktlite.inputs.languages import FIRST, START, Languages, after, before
from ktlite.inputs.piece_vocabularies import (
    Files,
    albert_vocabulary,
    camembert_vocabulary,
    convert_pieces,
    fairseq_vocabulary,
    own_vocabulary,
    pegasus_vocabulary,
    spoken_vocabulary,
    t5_vocabulary,
)
from ktlite.inputs.tokenizer_files import Settings, name
from ktlite.inputs.tokenizer_parts import Part, members, part, put, sequence, with_fields

_BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ROBERTA = {"unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>", "mask": "<mask>"}
_ONE_SEP = ("{cls}:0 $A:0 {sep}:0", "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1")
_TWO_SEPS = ("{cls}:0 $A:0 {sep}:0", "{cls}:0 $A:0 {sep}:0 {sep}:0 $B:0 {sep}:0")
_T5 = {"unk": "<unk>", "eos": "</s>", "pad": "<pad>"}
_SPOKEN = {**_T5, "bos": "<s>", "mask": "<mask>"}
_ENDED = ("$A:0 {eos}:0", "$A:0 {eos}:0 $B:0 {eos}:0")


@dataclass(frozen=True)
class Kind:
    """A class of `transformers`.

    Args:
        specials: Its special tokens where no setting names others, by what they are for.
        frame: What it puts around one text and around two, as `TemplateProcessing` takes it.
        settle: Puts settings into a Rust tokenizer; says whether that changed it.
        convert: Makes the Rust tokenizer of older files; None if they are not there.
        rebuilt: Whether `transformers` 5, which makes this class anew from the vocabulary of
            `tokenizer.json`, makes the same of a Rust tokenizer.
        mask_takes_space: Whether the mask token takes the space before it with it.
        types: Whether models of the class tell texts of a pair apart.
        languages: What it says of languages, where texts are of one of several.
    """

    specials: Mapping[str, str]
    frame: tuple[str, str]
    settle: Callable[[Any, Settings], bool]
    convert: Callable[[Files, Settings, Mapping[str, str]], Any]
    rebuilt: Callable[[Any], bool]
    mask_takes_space: bool = False
    types: bool = False
    languages: Callable[[Settings], Languages] | None = None

    def names(self, settings: Settings) -> dict[str, str]:
        """Returns the special tokens by what they are for."""
        return {
            use: name(settings.get(f"{use}_token")) or usual for use, usual in self.specials.items()
        }


def kind_of(settings: Settings) -> Kind | None:
    """Returns the kind of a tokenizer; None where `tokenizer.json` is all there is to it."""
    return KINDS.get(class_of(settings))


def class_of(settings: Settings) -> str:
    """Returns the class of `transformers` that reads a tokenizer, without "Fast"; "" if none is."""
    usual = _CLASS_OF.get(settings.model_type, "")
    if usual == _AS_IT_IS:  # `transformers` does not believe another class here
        return usual
    found = (settings.tokenizer_class or usual).removesuffix("Fast")
    return {"MT5Tokenizer": "T5Tokenizer"}.get(found, found)


# Settings


def _settle_wordpiece(rust: Any, settings: Settings) -> bool:
    wanted = {
        "lowercase": ("do_lower_case", True),
        "strip_accents": ("strip_accents", None),
        "handle_chinese_chars": ("tokenize_chinese_chars", True),
    }
    whole = part(rust, "normalizer") or {"type": "BertNormalizer", "clean_text": True}
    alone = whole["type"] == "BertNormalizer"  # beside others the file knows better what it is

    def change(member: Part) -> Part:
        if member.get("type") != "BertNormalizer":
            return {}
        return {
            field: settings.get(setting, default)
            for field, (setting, default) in wanted.items()
            if alone or setting in settings.values
        }

    return put(rust, "normalizer", with_fields(whole, change))


def _settle_byte_level(rust: Any, settings: Settings) -> bool:
    whole = part(rust, "pre_tokenizer")
    alone = whole is not None and whole["type"] == "ByteLevel"
    if not alone and "add_prefix_space" not in settings.values:
        return False
    space = bool(settings.get("add_prefix_space", False))
    fields = {"add_prefix_space": space}
    return put(rust, "pre_tokenizer", with_fields(
        whole, lambda member: fields if member.get("type") == "ByteLevel" else {}
    ))  # fmt: skip


def _settle_metaspace(rust: Any, settings: Settings, otherwise: str = "never") -> bool:
    if settings.get("add_prefix_space") is None:
        return False
    scheme = "always" if settings.get("add_prefix_space") else otherwise

    def change(member: Part) -> Part:
        return {"prepend_scheme": scheme} if member.get("type") == "Metaspace" else {}

    return put(rust, "pre_tokenizer", with_fields(part(rust, "pre_tokenizer"), change))


def _settle_albert(rust: Any, settings: Settings) -> bool:
    splitters = members(part(rust, "pre_tokenizer"))
    if [splitter["type"] for splitter in splitters] == ["Metaspace"]:
        splitters = [{"type": "WhitespaceSplit"}, *splitters]  # or spaces at the end are a token
    split = put(rust, "pre_tokenizer", sequence("pre_tokenizer", splitters))
    return _settle_albert_normalizer(rust, settings) or split


def _settle_albert_normalizer(rust: Any, settings: Settings) -> bool:
    lower, keep = settings.get("do_lower_case", True), settings.get("keep_accents", False)
    found = members(part(rust, "normalizer"))
    kinds = [member["type"] for member in found]
    wanted = {"Lowercase": bool(lower), "StripAccents": not keep}
    if all((kind in kinds) == there for kind, there in wanted.items()):
        return _settle_metaspace(rust, settings)
    rest = [m for m in found if m["type"] not in ("Lowercase", "StripAccents", "NFKD")]
    before = [member for member in rest if member.get("pattern") in _QUOTES]
    accents = [] if keep else [{"type": "NFKD"}, {"type": "StripAccents"}]
    case = [{"type": "Lowercase"}] if lower else []
    after = [member for member in rest if member not in before]
    put(rust, "normalizer", sequence("normalizer", [*before, *accents, *case, *after]))
    _settle_metaspace(rust, settings)
    return True


def _settle_deberta(rust: Any, settings: Settings) -> bool:
    changed = _settle_metaspace(rust, settings, "first")
    for which, kind, setting, new in (
        ("normalizer", "Lowercase", "do_lower_case", {"type": "Lowercase"}),
        ("pre_tokenizer", "Punctuation", "split_by_punct", _PUNCTUATION),
    ):
        found = members(part(rust, which))
        rest = [member for member in found if member["type"] != kind]
        wanted = bool(settings.get(setting, False))
        if wanted != (len(rest) < len(found)):
            changed |= put(rust, which, sequence(which, [new, *rest] if wanted else rest))
    return changed


_PUNCTUATION = {"type": "Punctuation", "behavior": "Isolated"}
_QUOTES = ({"String": "``"}, {"String": "''"})


# Older files


def _convert_wordpiece(files: Files, settings: Settings, names: Mapping[str, str]) -> Any:
    if "vocab.txt" not in files:
        return None
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    lines = files["vocab.txt"].decode("utf-8").removesuffix("\n").split("\n")
    vocab = {line.rstrip("\r"): number for number, line in enumerate(lines)}
    rust = Tokenizer(models.WordPiece(vocab, unk_token=names["unk"]))
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoders.WordPiece("##")
    return rust


def _convert_byte_level(files: Files, settings: Settings, names: Mapping[str, str]) -> Any:
    if not {"vocab.json", "merges.txt"} <= set(files):
        return None
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    lines = files["merges.txt"].decode("utf-8").replace("\r", "").split("\n")
    pairs = [
        (first, second)
        for first, _, second in (line.partition(" ") for line in lines if line[:8] != "#version")
        if second
    ]
    vocab = json.loads(files["vocab.json"])
    rust = Tokenizer(models.BPE(vocab, pairs, fuse_unk=False))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    return rust


_ASCII_PUNCTUATION = r"[!-/:-@\[-`{-~]"


def _convert_siglip(files: Files, settings: Settings, names: Mapping[str, str]) -> Any:
    """As SigLIP's own code prepares its texts: in lower case, without ASCII's punctuation."""
    rust = convert_pieces("spiece.model", own_vocabulary)(files, settings, names)
    if rust is None:
        return None
    from tokenizers import Regex, normalizers, pre_tokenizers

    lower = [normalizers.Lowercase()] if settings.get("do_lower_case", True) else []
    own = [
        normalizers.Replace(Regex(_ASCII_PUNCTUATION), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ]
    rust.normalizer = normalizers.Sequence([*lower, *own, rust.normalizer])
    # `transformers` puts it there, whatever the model says.
    rust.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    return rust


# What version 5 of `transformers` makes anew


def _is_plain_wordpiece(rust: Any) -> bool:
    normalizer, splitter = part(rust, "normalizer"), part(rust, "pre_tokenizer")
    return (
        normalizer is not None
        and normalizer["type"] == "BertNormalizer"
        and bool(normalizer["clean_text"])
        and splitter == {"type": "BertPreTokenizer"}
        and getattr(rust.model, "continuing_subword_prefix", "") == "##"
        and getattr(rust.model, "max_input_chars_per_word", 0) == 100
    )


def _is_plain_byte_level(rust: Any) -> bool:
    splitter = part(rust, "pre_tokenizer")
    return (
        part(rust, "normalizer") is None
        and splitter is not None
        and splitter["type"] == "ByteLevel"
        and splitter.get("use_regex", True)
        and not getattr(rust.model, "ignore_merges", False)
        and not getattr(rust.model, "fuse_unk", False)
    )


def _never(rust: Any) -> bool:
    return False


# The classes


def _wordpiece(specials: Mapping[str, str], frame: tuple[str, str], **more: Any) -> Kind:
    return Kind(specials, frame, _settle_wordpiece, _convert_wordpiece, _is_plain_wordpiece, **more)


def _unigram(
    specials: Mapping[str, str],
    frame: tuple[str, str],
    settle: Callable[[Any, Settings], bool],
    file: str,
    vocabulary: Callable[..., Any],
    **more: Any,
) -> Kind:
    return Kind(specials, frame, settle, convert_pieces(file, vocabulary), _never, **more)


def _settle_nothing(rust: Any, settings: Settings) -> bool:
    return False


def _spoken(pattern: str, codes: str, first: bool, source: str, option: str) -> Kind:
    """Returns a kind of a checkpoint of several languages.

    Args:
        pattern: What codes of languages are like.
        codes: The module of `transformers` that lists them.
        first: Whether they stand in front of a text, or behind its end.
        source: The language of texts that are read, where nothing else is said.
        option: Of generation, what the language of texts to be written is.
    """

    def languages(settings: Settings) -> Languages:
        frame = before if first and not settings.get("legacy_behaviour") else after
        return frame(pattern, option, settings.get("src_lang") or source, settings.get("tgt_lang"))

    return Kind(
        _SPOKEN, _ENDED, _settle_nothing,
        convert_pieces("sentencepiece.bpe.model", spoken_vocabulary(codes)), _never,
        mask_takes_space=True, languages=languages,
    )  # fmt: skip


_bert = _wordpiece(_BERT, _ONE_SEP, types=True)
_roberta = Kind(
    _ROBERTA, _TWO_SEPS, _settle_byte_level, _convert_byte_level, _is_plain_byte_level, True
)

KINDS = {
    "BertTokenizer": _bert,
    "ElectraTokenizer": _bert,
    "DistilBertTokenizer": _wordpiece(_BERT, _ONE_SEP),
    "MPNetTokenizer": _wordpiece({**_ROBERTA, "unk": "[UNK]"}, _TWO_SEPS, mask_takes_space=True),
    "RobertaTokenizer": _roberta,
    "BartTokenizer": _roberta,
    "LongformerTokenizer": _roberta,
    "AlbertTokenizer": _unigram(
        {**_BERT, "unk": "<unk>", "pad": "<pad>"}, _ONE_SEP, _settle_albert, "spiece.model",
        albert_vocabulary, mask_takes_space=True, types=True,
    ),
    "DebertaV2Tokenizer": _unigram(
        _BERT, _ONE_SEP, _settle_deberta, "spm.model", own_vocabulary, types=True
    ),
    "XLMRobertaTokenizer": _unigram(
        _ROBERTA, _TWO_SEPS, _settle_metaspace, "sentencepiece.bpe.model", fairseq_vocabulary,
        mask_takes_space=True,
    ),
    "CamembertTokenizer": _unigram(
        _ROBERTA, _TWO_SEPS, _settle_metaspace, "sentencepiece.bpe.model", camembert_vocabulary,
        mask_takes_space=True,
    ),
    "SiglipTokenizer": Kind(
        {"unk": "<unk>", "eos": "</s>", "pad": "</s>"}, _ENDED,
        _settle_nothing, _convert_siglip, _never,
    ),
    "T5Tokenizer": _unigram(_T5, _ENDED, _settle_nothing, "spiece.model", t5_vocabulary),
    "PegasusTokenizer": _unigram(
        {**_T5, "mask": "<mask_2>"}, ("$A:0 {eos}:0", "$A:0 $B:0 {eos}:0"), _settle_nothing,
        "spiece.model", pegasus_vocabulary,
    ),
    "MBartTokenizer": _spoken("[a-z]{2}_[A-Z]{2}", "mbart", False, "en_XX", START),
    "MBart50Tokenizer": _spoken("[a-z]{2}_[A-Z]{2}", "mbart50", True, "en_XX", FIRST),
    "NllbTokenizer": _spoken("[a-z]{3}_[A-Z][a-z]{3}", "nllb", True, "eng_Latn", FIRST),
}  # fmt: skip

_AS_IT_IS = "TokenizersBackend"
_CLASS_OF = {
    "albert": "AlbertTokenizer",
    "bert": "BertTokenizer",
    "camembert": "CamembertTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "m2m_100": "M2M100Tokenizer",
    "marian": "MarianTokenizer",
    "mbart": "MBartTokenizer",
    "modernbert": _AS_IT_IS,
    "mpnet": "MPNetTokenizer",
    "mt5": "T5Tokenizer",
    "pegasus": "PegasusTokenizer",
    "roberta": "RobertaTokenizer",
    "siglip": "SiglipTokenizer",
    "t5": "T5Tokenizer",
    "umt5": "T5Tokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
