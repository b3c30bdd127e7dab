"""The tokenizer of M2M100 (Fan et al., 2020, arXiv:2010.11125): a token for each language."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from ktlite.errors import CheckpointError, listing
from ktlite.inputs.languages import FIRST, before
from ktlite.inputs.numbered_pieces import Numbers, numbered, read_ids, read_model, writer
from ktlite.inputs.reading import Reading
from ktlite.inputs.tokenizer_files import Settings, name, token, with_class

M2M100 = "M2M100Tokenizer"
_MODEL, _IDS = "sentencepiece.bpe.model", "vocab.json"
_SPECIALS = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
# Their tokens have the ids behind vocab.json, in this order, and no file says so.
_LANGUAGES = {
    "m2m100": """
        af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu
        ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr
        ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr
        uk ur uz vi wo xh yi yo zh zu""",
    "wmt21": "en ha is ja cs ru zh de",
}


def read_m2m100(folder: Path, files: Mapping[str, bytes], settings: Settings, side: str) -> Reading:
    """Reads `sentencepiece.bpe.model` and `vocab.json`, as `M2M100Tokenizer` does.

    Args:
        folder: The checkpoint's, for messages.
        files: Its tokenizer's, by name.
        settings: What they say beside the vocabulary.
        side: Where texts that are too long are cut.

    Raises:
        CheckpointError: If a file is missing or damaged, or has no id for a special token.
    """
    missing = [file for file in (_MODEL, _IDS) if file not in files]
    which = settings.get("language_codes", "m2m100")
    if missing:
        raise CheckpointError(
            f"{folder}: {listing(missing)} of M2M100's tokenizer missing; expected {_MODEL} and "
            f"{_IDS}, or a tokenizer.json."
        )
    if which not in _LANGUAGES:
        raise CheckpointError(
            f"{folder}: language_codes={which!r} are not known here; expected "
            f"{listing(_LANGUAGES)}."
        )
    names = {use: name(settings.get(f"{use}_token")) or usual for use, usual in _SPECIALS.items()}
    own = read_ids(files[_IDS], folder / _IDS, names.values())
    model = read_model(files[_MODEL], folder / _MODEL)
    spoken = [f"__{code}__" for code in _LANGUAGES[which].split()]
    ids = {**own, **{text: len(own) + place for place, text in enumerate(spoken)}}
    rust = numbered(model, ids, names["unk"], {*names.values(), *spoken})
    out = writer(ids, model)
    for made in (rust, out):
        made.add_special_tokens([token(t, normalized=False) for t in (*names.values(), *spoken)])
    languages = before(
        "__(.+)__", FIRST, settings.get("src_lang") or "en", settings.get("tgt_lang")
    )
    return Reading(
        rust,
        with_class(files, settings, M2M100),
        side,
        ids[names["pad"]],
        numbers=Numbers(ids, names["unk"]),
        writer=out,
        languages=dataclasses.replace(languages, end=names["eos"]),
    )
