"""Writes the files of a Hugging Face checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite._tensor_writing import save_tensors
from ktlite.errors import CheckpointError, Problems, listing
from ktlite.models.checkpoint import INDEX, WEIGHTS
from ktlite.storage import flush

PRECISIONS = ("float32", "float16", "bfloat16")
CONFIG, GENERATION = "config.json", "generation_config.json"
#: What a checkpoint's folder may hold of its tokenizer, in any of its forms.
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model",
    "spm.model", "source.spm", "target.spm", "target_vocab.json", "chat_template.jinja",
)  # fmt: skip
_SHARDS = "model-*-of-*.safetensors"
_UNFINISHED = ".ktlite-saving-"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@contextmanager
def replaced_checkpoint(folder: Path) -> Iterator[Path]:
    """Puts a whole new checkpoint into a folder whose other files stay.

    The body writes into a hidden folder below. When it ends, its files move up, and the
    weights of another layout that were there (one file, shards, an index) go. `config.json`
    goes first and comes last: until the new files are written, the old checkpoint is whole,
    and what is left if the machine stops while they move has no config and does not load.

    Args:
        folder: The checkpoint's folder; made if it is missing.

    Yields:
        The empty folder to write into.

    Example:
        >>> with replaced_checkpoint(Path("my-bert")) as new:
        ...     write_weights(new, tensors)
        ...     write_config(new, config)
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder) as name:
        new = Path(name)
        yield new
        flush(new)
        (folder / CONFIG).unlink(missing_ok=True)
        for path in folder.iterdir():
            if path.name in (WEIGHTS, INDEX) or fnmatch(path.name, _SHARDS):
                path.unlink()
        for path in sorted(new.iterdir(), key=lambda path: path.name == CONFIG):
            os.replace(path, folder / path.name)


def write_weights(
    folder: Path, tensors: Mapping[str, np.ndarray], max_shard_size: int | None = None
) -> None:
    """Writes tensors as `transformers` does, marked as PyTorch's.

    Args:
        folder: Where to write.
        tensors: By Hugging Face names.
        max_shard_size: In bytes: larger weights are split into numbered files with an index;
            a single tensor never is. Default: one file.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    total = sum(tensor.nbytes for tensor in tensors.values())
    split = split_state_dict_into_shards_factory(
        dict(tensors),
        get_storage_size=lambda tensor: tensor.nbytes,
        filename_pattern=WEIGHTS.replace(".", "{suffix}."),
        max_shard_size=max_shard_size or total,
    )
    for file, names in split.filename_to_tensors.items():
        save_tensors({name: tensors[name] for name in names}, folder / file, {"format": "pt"})
    if split.is_sharded:
        parameters = sum(tensor.size for tensor in tensors.values())
        index = {
            "metadata": {"total_parameters": parameters, **split.metadata},
            "weight_map": split.tensor_to_filename,
        }
        _write_json(folder / INDEX, index)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes `config.json`."""
    _write_json(folder / CONFIG, config)


def write_generation(folder: Path, source: Path | None) -> None:
    """Copies how the checkpoint that a model came from writes texts, if a file of it says so.

    Args:
        folder: Where to write.
        source: The checkpoint's folder, which may be gone; None: the model is not from one.
    """
    if source is not None and (source / GENERATION).is_file():
        shutil.copyfile(source / GENERATION, folder / GENERATION)


def write_tokenizer(folder: Path, source: Path | None) -> None:
    """Copies the tokenizer of the checkpoint that a model came from, or says that there is none.

    A tokenizer that is there stays.

    Args:
        folder: Where to write.
        source: The checkpoint's folder, which may be gone; None: the model is not from one.
    """
    there = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    known = [] if source is None else [n for n in TOKENIZER_FILES if (source / n).is_file()]
    if there:
        return
    for name in known:
        shutil.copyfile(source / name, folder / name)  # type: ignore[operator]
    if not known:
        logger.info(
            "%s: written without a tokenizer, which is not known here; learner.save_model(folder) "
            "and preproc.tokenizer.save(folder) write it.",
            folder,
        )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def read_options(dtype: str | None, max_shard_size: int | str | None) -> int | None:
    """Checks the options of `save_pretrained` and returns the size in bytes.

    Raises:
        ArgumentError: If one is not understood.
    """
    problems = Problems("save_pretrained")
    if dtype is not None:
        problems.choice("dtype", dtype, PRECISIONS)
    size = _bytes(max_shard_size)
    problems.add_unless(
        max_shard_size is None or size > 0,
        f"max_shard_size={max_shard_size!r}; expected a number of bytes, or a string such as "
        f"'5GB' (units: {listing(_UNITS)}).",
    )
    problems.raise_if_any()
    return size or None


def _bytes(size: Any) -> int:
    """Returns a size in bytes; 0 if it is none."""
    if isinstance(size, int) and not isinstance(size, bool):
        return max(size, 0)
    text = size.strip().upper() if isinstance(size, str) else ""
    number, unit = text[:-2].strip(), _UNITS.get(text[-2:], 0)
    return int(number) * unit if number.isdecimal() else 0


def cast(tensors: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """Returns tensors in another precision.

    Raises:
        CheckpointError: If values do not fit into it: float16 ends at 65504.
    """
    import ml_dtypes

    target = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    with np.errstate(over="ignore"):  # looked for below
        done = {name: tensor.astype(target) for name, tensor in tensors.items()}
    lost = [
        name
        for name, tensor in tensors.items()
        if np.isfinite(tensor).all() and not np.isfinite(done[name]).all()
    ]
    if lost:
        raise CheckpointError(
            f"save_pretrained: values beyond the range of {dtype} in {listing(lost)}; save as "
            "float32 or bfloat16."
        )
    return done
