"""Marian's tokenizer: one SentencePiece model for texts that are read, one for those written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ktlite.errors import CheckpointError, listing
from ktlite.inputs.languages import Languages
from ktlite.inputs.numbered_pieces import Numbers, numbered, read_ids, read_model, writer
from ktlite.inputs.reading import Reading
from ktlite.inputs.tokenizer_files import FILE, Settings, name, with_class

MARIAN = "MarianTokenizer"
SOURCE, _TARGET = "source.spm", "target.spm"
_IDS, _TARGET_IDS = "vocab.json", "target_vocab.json"
_SPECIALS = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}


def read_marian(folder: Path, files: Mapping[str, bytes], settings: Settings, side: str) -> Reading:
    """Reads `source.spm`, `target.spm` and `vocab.json`, as `MarianTokenizer` does.

    Args:
        folder: The checkpoint's, for messages.
        files: Its tokenizer's, by name.
        settings: What they say beside the vocabulary; with `separate_vocabs`, texts to be written
            have their ids in `target_vocab.json`.
        side: Where texts that are too long are cut.

    Raises:
        CheckpointError: If a file is missing or damaged, or has no id for a special token.
    """
    apart = bool(settings.get("separate_vocabs", False))
    needed = [SOURCE, _TARGET, _IDS, *[_TARGET_IDS] * apart]
    missing = [file for file in needed if file not in files]
    if missing:
        raise CheckpointError(
            f"{folder}: {listing(missing)} of Marian's tokenizer missing; expected "
            f"{listing(needed)}, as the checkpoint was published."
        )
    kept = {file: content for file, content in files.items() if file != FILE}
    kept = with_class(kept, settings, MARIAN)
    names = {use: name(settings.get(f"{use}_token")) or usual for use, usual in _SPECIALS.items()}

    def read(model: str, ids: str, targets: Reading | None = None) -> Reading:
        return _read(folder, kept, names, side, model, ids, targets)

    whole = read(SOURCE, _IDS, read(_TARGET, _TARGET_IDS if apart else _IDS))
    languages = Languages(">>(.+)<<", "{target} $A {end}", "$A {end}", names["eos"], required=False)
    return replace(whole, languages=languages) if languages.tokens(whole.rust) else whole


def _read(
    folder: Path,
    files: Mapping[str, bytes],
    names: Mapping[str, str],
    side: str,
    model_file: str,
    ids_file: str,
    targets: Reading | None,
) -> Reading:
    ids = read_ids(files[ids_file], folder / ids_file, names.values())
    model = read_model(files[model_file], folder / model_file)
    languages = [piece for piece in ids if piece.startswith(">>") and piece.endswith("<<")]
    rust = numbered(model, ids, names["unk"], {*names.values(), *languages})
    out = writer(ids, model)
    for made in (rust, out):
        _add(made, names.values(), languages)
    from tokenizers import processors

    end = names["eos"]
    rust.post_processor = processors.TemplateProcessing(
        single=f"$A:0 {end}:0", pair=f"$A:0 $B:0 {end}:0", special_tokens=[(end, ids[end])]
    )
    numbers = Numbers(ids, names["unk"])
    return Reading(rust, files, side, ids[names["pad"]], "", numbers, out, targets)


def _add(rust: Any, specials: Any, languages: list[str]) -> None:
    from tokenizers import AddedToken

    rust.add_special_tokens([AddedToken(token, normalized=False) for token in specials])
    # Texts to be translated into one of several languages begin with it.
    rust.add_tokens([AddedToken(token, normalized=False) for token in languages])
