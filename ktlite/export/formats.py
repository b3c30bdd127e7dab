"""The formats that there are, and what is written in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktlite._extras import is_installed, needs_extra
from ktlite.encodings.encodings import Encodings
from ktlite.errors import ExportError, Problems, did_you_mean
from ktlite.export.checking import inputs_to_compare
from ktlite.export.ct2_model import (
    CTranslate2Model,
    batches_to_compare,
    losses,
    write_ctranslate2,
)
from ktlite.export.exported import EMBEDDING
from ktlite.export.litert import LiteRTModel, write_litert
from ktlite.export.onnx_file import OnnxModel, write_onnx
from ktlite.export.saved_model import SavedModel, write_saved_model
from ktlite.inference.runner import Forward, Runner

KERAS = "huggingface"  # the format that Keras runs, and a predictor is saved in


@dataclass(frozen=True)
class Format:
    """A format that models are exported in.

    Args:
        runtime: What runs it, as `load_predictor(runtime=)` calls it.
        quantize: What `quantize` may be, beside None.
        write: Takes a model, a folder, `quantize` and the format's own options.
        open: Takes a folder and what its manifest says; returns what runs the model.
        why_not: Why there are no other values of `quantize`.
        options: Names of the format's own options.
        is_program: Whether what is opened can do more than compute, such as write files.
        writes_texts: Whether it is for models that write texts, and for no others.
        batches: Inputs to compare it with the model on: of the model, the encodings of some texts
            or None, and the length of the longest.
        compared: What of the outputs is compared.
        packages: What writing and opening it needs, by the names under which they are imported;
            the extra that has them is called like the format.
    """

    runtime: str
    quantize: tuple[str, ...]
    write: Callable[..., None]
    open: Callable[[Path, Mapping[str, Any]], Runner]
    why_not: str = ""
    options: tuple[str, ...] = ()
    is_program: bool = False
    writes_texts: bool = False
    batches: Callable[[Any, Encodings | None, int], list[dict[str, Any]]] = inputs_to_compare
    compared: Callable[[Any], Any] = lambda outputs: outputs
    packages: tuple[str, ...] = ()


def _write_checkpoint(model: Any, folder: Path, quantize: str | None = None) -> None:
    from ktlite.models.baselines import Baseline

    if quantize and isinstance(model, Baseline):
        raise ExportError(
            f"a checkpoint of a {type(model).__name__} holds float32 alone: leave quantize out."
        )
    model.save_pretrained(folder, tokenizer=False, **({"dtype": quantize} if quantize else {}))


def _open_checkpoint(folder: Path, facts: Mapping[str, Any]) -> Runner:
    from ktlite.models import from_pretrained

    return Forward(
        from_pretrained(
            folder,
            facts["head"],
            num_labels=facts.get("num_labels") or None,  # 0: the head has none
            dtype=facts["precision"],
            ignore_config_fields=facts["ignore_config_fields"],
        )
    )


def _with_config(write: Callable[..., None]) -> Callable[..., None]:
    """Makes a format's `write` put config.json beside it, for whoever wants the labels' names."""

    def both(model: Any, folder: Path, quantize: str | None = None, **options: Any) -> None:
        from ktlite.models.saving import write_config

        write(model, folder, quantize, **options)
        write_config(folder, model.hf_config())

    return both


FORMATS = {
    KERAS: Format(
        "keras",
        ("float16",),
        _write_checkpoint,
        _open_checkpoint,
        "PyTorch quantises a checkpoint to 8 bits when it loads it",
    ),
    "onnx": Format(
        "onnx",
        ("int8",),
        _with_config(write_onnx),
        OnnxModel,
        "ONNX Runtime has no 16-bit kernels for processors: it would be slower than float32",
        ("target_opset",),
        packages=("onnx", "tf2onnx", "onnxruntime"),
    ),
    "litert": Format(
        "litert",
        ("float16", "int8"),
        _with_config(write_litert),
        LiteRTModel,
        packages=("ai_edge_litert",),
    ),
    "saved_model": Format(
        "saved_model",
        (),
        _with_config(write_saved_model),
        SavedModel,
        "TensorFlow's operators take weights in the precision that they compute in",
        is_program=True,
    ),
    "ctranslate2": Format(
        "ctranslate2",
        ("int8", "float16"),
        write_ctranslate2,
        CTranslate2Model,
        options=("tokens",),
        writes_texts=True,
        batches=batches_to_compare,
        compared=losses,
        packages=("ctranslate2",),
    ),
}
#: ktrain's and Keras' names of the same.
_ALSO = {"ct2": "ctranslate2", "tflite": "litert", "tf_saved_model": "saved_model", "hf": KERAS}
RUNTIMES = {format.runtime: name for name, format in FORMATS.items()}


def find_format(name: Any, quantize: str | None = None, options: Iterable[str] = ()) -> str:
    """Returns the format of a name, which may be another library's name for it.

    Raises:
        ArgumentError: If there is none, or it has no such `quantize` or options.
    """
    found = _ALSO.get(name, name)
    problems = Problems("export")
    problems.choice("format", found, list(FORMATS))
    problems.raise_if_any()
    format = FORMATS[found]
    problems.add_unless(
        quantize is None or quantize in format.quantize,
        f"quantize={quantize!r} with format={found!r}; expected "
        f"{' or '.join([*map(repr, format.quantize), 'None'])}"
        f"{f' ({format.why_not})' if format.why_not else ''}."
        f"{did_you_mean(str(quantize), format.quantize)}",
    )
    problems.unknown([key for key in options if key not in format.options], format.options)
    problems.raise_if_any()
    return str(found)


def require_packages(name: str) -> None:
    """Raises ExportError unless what writes and opens a format is installed; imports nothing."""
    for package in FORMATS[name].packages:
        with needs_extra(name, f"format={name!r}", ExportError):
            if not is_installed(package):
                raise ModuleNotFoundError(name=package)


def model_facts(model: Any) -> dict[str, Any]:
    """Returns what a manifest says of a model of ktlite.models, as `Format.open` needs it."""
    facts = {
        "head": model.task_name,
        "ignore_config_fields": list(model.ignore_config_fields),
        "precision": model.dtype_policy.name,
    }
    if getattr(model, "writes", False):
        from ktlite.models.writing import positions_of

        facts["positions"] = positions_of(model)
    if model.task_name == EMBEDDING:
        head = model.spec.heads[EMBEDDING]
        width = model.spec.width
        facts["embedding"] = {
            "pooling": head.pooling, "normalize": head.normalize, "width": width
        }  # fmt: skip
    return facts
