"""The model families, one declarative file each, and their registry."""

from __future__ import annotations

from ktlite.errors import ArgumentError, CheckpointError, did_you_mean, listing
from ktlite.models.families import (
    albert,
    ast,
    bart,
    bert,
    clip,
    deberta,
    deit,
    distilbert,
    electra,
    gemma3,
    gpt2,
    gpt_neox,
    hubert,
    llama,
    m2m_100,
    marian,
    mbart,
    mistral,
    modernbert,
    mpnet,
    opt,
    pegasus,
    qwen3,
    roberta,
    siglip,
    t5,
    vit,
    wav2vec2,
    whisper,
)
from ktlite.models.families.family import Family

__all__ = ["Family", "get_family", "register_family"]

_REGISTRY: dict[str, Family] = {}


def register_family(family: Family) -> Family:
    """Makes a family known, from inside the package or outside.

    Raises:
        ArgumentError: If one of its model types belongs to another family already.
    """
    taken = [t for t in family.model_types if _REGISTRY.get(t, family) is not family]
    if taken:
        raise ArgumentError(f"register_family: model_type {listing(taken)} is registered already.")
    _REGISTRY.update(dict.fromkeys(family.model_types, family))
    return family


def get_family(model_type: object) -> Family:
    """Returns the family of a config's `model_type`.

    Raises:
        CheckpointError: If ktlite has none for it; the message lists those it has.
    """
    if not isinstance(model_type, str) or model_type not in _REGISTRY:
        known = listing(sorted(_REGISTRY), limit=100)
        raise CheckpointError(
            f"model_type {model_type!r} is not supported; ktlite has {known}."
            f"{did_you_mean(model_type, _REGISTRY)} To add one, write a Family as in "
            "ktlite/models/families/bert.py and call ktlite.models.register_family(family)."
        )
    return _REGISTRY[model_type]


for family in (
    albert.FAMILY,
    ast.FAMILY,
    bart.FAMILY,
    bert.FAMILY,
    clip.FAMILY,
    siglip.FAMILY,
    deberta.FAMILY,
    deit.FAMILY,
    distilbert.FAMILY,
    electra.FAMILY,
    gemma3.FAMILY,
    gpt2.FAMILY,
    gpt_neox.FAMILY,
    hubert.FAMILY,
    *llama.FAMILIES,
    m2m_100.FAMILY,
    marian.FAMILY,
    mbart.FAMILY,
    mistral.FAMILY,
    modernbert.FAMILY,
    mpnet.FAMILY,
    opt.FAMILY,
    pegasus.FAMILY,
    qwen3.FAMILY,
    *roberta.FAMILIES,
    *t5.FAMILIES,
    vit.FAMILY,
    wav2vec2.FAMILY,
    whisper.FAMILY,
):
    register_family(family)
