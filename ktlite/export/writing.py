"""Writes a model in a format, and opens it again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ktlite._logging import logger, results
from ktlite.encodings.encodings import Encodings
from ktlite.errors import ArgumentError, ExportError
from ktlite.export.checking import compare
from ktlite.export.formats import FORMATS, find_format, model_facts, require_packages
from ktlite.inference.runner import Forward, Runner
from ktlite.storage import (
    MANIFEST,
    atomic_folder,
    check_replaceable,
    read_manifest,
    write_manifest,
)


class Export(NamedTuple):
    """What was exported.

    Args:
        path: The folder.
        format: Its format.
        quantize: What the weights are stored in; None: float32.
        size: Bytes of all its files.
        difference: The largest difference of one of its outputs from the model's.
        scale: The model's largest output, to compare that with.
    """

    path: Path
    format: str
    quantize: str | None
    size: int
    difference: float
    scale: float

    def __str__(self) -> str:
        kind = f"{self.format}, {self.quantize}" if self.quantize else self.format
        return (
            f"{self.path}: {kind}, {self.size / 1e6:.1f} MB, outputs differ by "
            f"{self.difference:.2g} at most (the largest is {self.scale:.3g})."
        )


def export_model(
    model: Any,
    path: str | os.PathLike[str],
    format: str = "onnx",
    quantize: str | None = None,
    *,
    texts: Encodings | None = None,
    longest: int | None = None,
    beside: Callable[[Path, Runner], dict[str, Any]] | None = None,
    **options: Any,
) -> Export:
    """Exports a model that has no predictor: a bare encoder, a masked language model, ...

    `Predictor.export`, which says what formats there are, adds tokenizer and labels.

    Args:
        model: A model of ktlite.models.
        path: The folder. An earlier export that is there is replaced, nothing else.
        format: A name in `FORMATS`.
        quantize: What the weights are stored in.
        texts: To compare the outputs of, beside random tokens.
        longest: Tokens of the longest text. Default: what the model can take, at most 128.
        beside: Writes more into the folder; returns what its manifest is to say. It is given the
            runner of what was written.
        **options: Of the format.

    Returns:
        What was written, and how far its outputs are from the model's; it is shown, too.

    Raises:
        ArgumentError: If there is no such format, or something else is at `path`.
        ExportError: If the format cannot express the model, or the export gives other numbers.
            Nothing is written then.

    Example:
        >>> model = ktlite.load_model("my-bert", task="masked-lm")
        >>> ktlite.export.export_model(model, "my-bert-onnx").difference
        4.1e-06
    """
    name = check_export(path, format, quantize, options)
    folder = Path(path)
    what = f"the {name} export" + (f" with quantize={quantize!r}" if quantize else "")
    if longest is None:
        ragged = any(field.is_ragged for field in model.fields)
        longest = min(model.spec.max_positions, 128) if ragged else 1  # where all are alike: any
    with atomic_folder(folder, replace=_is_export) as new:
        logger.info("export: writing the model in the format %s", name)
        FORMATS[name].write(model, new, quantize, **options)
        batches = FORMATS[name].batches(model, texts, longest)
        logger.info("export: comparing its outputs with the model's, %d batches", len(batches))
        facts = {"format": name, "quantize": quantize, **model_facts(model)}
        opened = FORMATS[name].open(new, {**facts, "num_labels": model.num_labels})
        found = compare(Forward(model), opened, batches, what, quantize, FORMATS[name].compared)
        more = beside(new, opened) if beside else {}
        write_manifest(new, {**facts, "difference": found.largest, **more})
        size = folder_size(new)
    written = Export(folder, name, quantize, size, found.largest, found.scale)
    results.info("%s", written)
    return written


def check_export(
    path: str | os.PathLike[str],
    format: str,
    quantize: str | None = None,
    options: Iterable[str] = (),
) -> str:
    """Returns the format, or raises for what could not be written, before a model is loaded.

    Args:
        path: Where to write.
        format: As for `export_model`; so is `quantize`.
        quantize: What the weights are stored in.
        options: The names of the format's options that are given.

    Raises:
        ArgumentError: If there is no such format, or something else is at `path`.
        ExportError: If a package is missing.
    """
    name = find_format(format, quantize, options)
    if Path(path).suffix in (".onnx", ".tflite"):
        raise ArgumentError(
            f"export: path={str(path)!r} is the name of a file; expected that of a folder, which "
            "has what belongs to the model beside it."
        )
    check_replaceable(Path(os.path.realpath(path)), _is_export)
    require_packages(name)
    return name


def open_model(path: str | os.PathLike[str]) -> Runner:
    """Opens what `export_model` wrote, in its own runtime.

    Args:
        path: The folder; it may have been moved. A SavedModel is a program, which may read and
            write files: open those that you trust.

    Returns:
        A function of inputs by name, int [batch, length]: the outputs, an array or a dict.

    Raises:
        PredictorError: If the folder is missing, damaged, or of a newer ktlite.
        ExportError: If the runtime is not installed, or cannot open the model.

    Example:
        >>> ktlite.export.open_model("my-bert-onnx")({"input_ids": ids, "attention_mask": mask})
    """
    manifest = read_manifest(path)
    if manifest.get("format") not in FORMATS:
        raise ExportError(f"{path} is no export: Predictor.export and export_model write them.")
    return FORMATS[manifest["format"]].open(Path(path), manifest)


def folder_size(folder: Path) -> int:
    """Returns the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _is_export(folder: Path) -> bool:
    """Says whether an export is there.

    Raises:
        ArgumentError: If it is what `save` wrote, which cannot be got back.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    if not isinstance(manifest, dict):
        return False
    if "preprocessor" in manifest and "difference" not in manifest:
        raise ArgumentError(
            f"export: {str(folder)!r} is a saved predictor, which an export does not replace. "
            "Choose another name."
        )
    return "difference" in manifest
