"""Reads `preprocessor_config.json` strictly: every field is used, or known to be harmless."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktlite.errors import CheckpointError, Problems, did_you_mean, listing
from ktlite.inputs.settings import read_json, read_settings

_PART = "image_processor"

_HALF = [0.5, 0.5, 0.5]
_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": {"shortest_edge": 224},
    "do_center_crop": True,
    "crop_size": 224,
    "default_to_square": False,
}
_COMMON = {
    "do_resize": True,
    "size": 224,
    "resample": 2,
    "do_center_crop": False,
    "crop_size": None,
    "default_to_square": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": _HALF,
    "image_std": _HALF,
}
#: What a processor does where its file says nothing, by its name in `transformers`.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "ViT": _COMMON,
    "DeiT": {**_COMMON, "resample": 3, "size": 256, "do_center_crop": True, "crop_size": 224},
    "CLIP": {**_COMMON, **_CLIP},
    "Bit": {**_COMMON, **_CLIP},
    "Siglip": {
        **_COMMON,
        "resample": 3,
        "size": {"height": 224, "width": 224},
        "default_to_square": False,
    },
}
# Files of old say no processor: then it is that of the model.
_OF_MODEL = {
    "vit": "ViT",
    "deit": "DeiT",
    "clip": "CLIP",
    "dinov2": "Bit",
    "siglip": "Siglip",
}
_NAMED = re.compile(r"(\w+?)(ImageProcessor|FeatureExtractor)(Fast|Pil)?")
_TYPES = ("image_processor_type", "feature_extractor_type")
# Without effect on the values, or on those of a picture that is in RGB already.
_HARMLESS = frozenset(
    """
    auto_map data_format device disable_grouping do_convert_rgb image_seq_length input_data_format
    pad_size processor_class return_tensors transformers_version
    """.split()  # noqa: SIM905
)
# What these processors do not do; other ones, with other numbers, do.
_ABSENT = ("crop_pct", "do_flip_channel_order", "do_pad", "use_square_size")


def read_fields(folder: Path, *, any_size: bool = False) -> dict[str, Any] | None:
    """Returns the arguments of `ImageProcessor` for a checkpoint, or None if it has no such file.

    Args:
        folder: The checkpoint's folder.
        any_size: Whether a file that gives pictures of unequal size will do.

    Raises:
        CheckpointError: If a file is damaged, has a field that is not known or a value that is
            not supported. All of them are told.
    """
    found = read_settings(folder, _PART)
    if found is None:
        return None
    config, path = found
    return _fields(config, path, _model_config(folder).get("model_type"), any_size)


def image_size(folder: Path) -> tuple[int, int] | None:
    """Returns the height and width that the checkpoint's model reads, if its `config.json` says.

    Raises:
        CheckpointError: If the file is damaged, or `image_size` is no size.
    """
    config = _model_config(folder)
    value = (config.get("vision_config") or config).get("image_size")
    if value is None:
        return None
    sizes = value if isinstance(value, list) else [value, value]
    if len(sizes) != 2 or not all(type(size) is int and size > 0 for size in sizes):
        raise CheckpointError(
            f"{folder / 'config.json'}: image_size={value!r}; expected a number of pixels, or "
            "[height, width]."
        )
    return sizes[0], sizes[1]


def _model_config(folder: Path) -> dict[str, Any]:
    return read_json(folder / "config.json") or {}


def _fields(config: Mapping[str, Any], path: Path, model: Any, any_size: bool) -> dict[str, Any]:
    problems = Problems(str(path), CheckpointError)
    name = _processor(config, model, problems)
    defaults = _DEFAULTS[name]
    reader = _Reader(config, defaults, problems)
    square = reader.flag("default_to_square")
    resized, cropped = reader.flag("do_resize"), reader.flag("do_center_crop")
    size = reader.size("size", square)
    crop = reader.size("crop_size", True)
    resample = reader.get("resample")
    if type(resample) is not int or not 0 <= resample <= 5:
        problems.add(f"resample={resample!r}; expected a whole number from 0 to 5.")
    rescale = reader.number("rescale_factor") if reader.flag("do_rescale") else None
    mean, std = reader.channels("image_mean"), reader.channels("image_std")
    problems.add_unless(all(std), f"image_std={std}; expected numbers above 0.")
    for absent in _ABSENT:
        problems.add_unless(
            not config.get(absent),
            f"{absent}={config.get(absent)!r} is not supported; {name}ImageProcessor of "
            "transformers does not read it.",
        )
    known = [*defaults, *_HARMLESS, *_ABSENT, *_TYPES]
    unknown = [key for key in config if key not in known and not key.startswith("_")]
    hints = "".join(did_you_mean(key, known) for key in unknown[:3])
    problems.add_unless(
        not unknown,
        f"fields that ktlite does not know: {listing(unknown)}.{hints} They may change what the "
        "model is given. Take them out of the file if they do not.",
    )
    if cropped and crop is None:
        problems.add("do_center_crop is true, and there is no crop_size.")
    elif cropped and isinstance(crop, int):
        problems.add(f"crop_size={config.get('crop_size')!r}; expected height and width.")
    elif not cropped and isinstance(size, int) and not any_size:
        problems.add(
            f"size={config.get('size')!r} without do_center_crop gives pictures of unequal size, "
            "which the model cannot read. Name one: size=224."
        )
    problems.raise_if_any()
    whole = (size, size) if isinstance(size, int) else size
    return {
        "size": crop if cropped else whole,
        "resize": size if resized else None,
        "resample": resample,
        "crop": cropped,
        "rescale": rescale,
        "mean": mean if reader.flag("do_normalize") else None,
        "std": std,
        "kind": f"{name}ImageProcessor",
    }


def _processor(config: Mapping[str, Any], model: Any, problems: Problems) -> str:
    given = next((config[key] for key in _TYPES if config.get(key) is not None), None)
    if given is None:
        return _OF_MODEL.get(str(model), "ViT")
    found = _NAMED.fullmatch(str(given))
    if found is None or found[1] not in _DEFAULTS:
        known = [f"{name}ImageProcessor" for name in _DEFAULTS]
        problems.choice("image_processor_type", given, known)
        return "ViT"
    return found[1]


class _Reader:
    """Hands out fields, or the processor's defaults where they are absent; notes what is wrong."""

    def __init__(
        self, config: Mapping[str, Any], defaults: Mapping[str, Any], problems: Problems
    ) -> None:
        self.config = config
        self.defaults = defaults
        self.problems = problems

    def get(self, name: str) -> Any:
        value = self.config.get(name)
        return self.defaults[name] if value is None else value

    def flag(self, name: str) -> bool:
        value = self.get(name)
        self.problems.add_unless(isinstance(value, bool), f"{name}={value!r}; expected a boolean.")
        return bool(value)

    def number(self, name: str) -> float:
        value = self.get(name)
        if not _is_number(value) or value <= 0:
            self.problems.add(f"{name}={value!r}; expected a number above 0.")
            return 1.0
        return float(value)

    def channels(self, name: str) -> tuple[float, ...]:
        """Returns a number a channel."""
        value = self.get(name)
        values = [value] * 3 if _is_number(value) else value
        if isinstance(values, list) and len(values) == 3 and all(map(_is_number, values)):
            return tuple(map(float, values))
        self.problems.add(f"{name}={value!r}; expected three numbers: red, green, blue.")
        return (1.0, 1.0, 1.0)

    def size(self, name: str, square: bool) -> tuple[int, int] | int | None:
        """Returns height and width, or the length of the shorter side."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, dict) and set(value) == {"height", "width"}:
            sizes = [value["height"], value["width"]]
        elif isinstance(value, dict) and set(value) == {"shortest_edge"}:
            sizes = [value["shortest_edge"]]
        elif isinstance(value, list) and len(value) == 2:
            sizes = value
        else:
            sizes = [value] * (2 if square else 1)
        if not all(type(size) is int and size > 0 for size in sizes):
            self.problems.add(
                f"{name}={value!r} is not supported; expected pixels: a number, "
                "{'height': 224, 'width': 224} or {'shortest_edge': 224}."
            )
            return (1, 1)
        return (sizes[0], sizes[1]) if len(sizes) == 2 else sizes[0]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
