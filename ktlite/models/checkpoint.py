"""Finds, reads and writes the files of a Hugging Face checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ktlite.errors import CheckpointError, did_you_mean, listing

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_FROM_HUB = [
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "*token*",
    "vocab*",
    "merges.txt",
    "*.model",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/*",
]
# Tensor by tensor: going through a model class would drop tensors or add random ones. The
# copies separate tensors that share memory, which safetensors refuses.
_CONVERT = (
    'python -c "import torch; from safetensors.torch import save_file; '
    "tensors = torch.load('{folder}/pytorch_model.bin', map_location='cpu', weights_only=True); "
    "save_file({{name: t.clone().contiguous() for name, t in tensors.items()}}, "
    "'{folder}/model.safetensors', metadata={{'format': 'pt'}})\""
)
_FLOATS = ("F64", "F32", "F16", "BF16")
# Checkpoints converted from the first TensorFlow BERT call scale and offset so.
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def find_checkpoint(name: str | os.PathLike[str], *, revision: str | None = None) -> Path:
    """Returns the local folder of a checkpoint, fetched from the Hub if it is a Hub name.

    Args:
        name: A folder, or a Hub name such as `"bert-base-uncased"` or `"org/model"`.
        revision: Branch, tag or commit on the Hub. Default: `main`.

    Raises:
        CheckpointError: If there is no such folder, or the Hub does not give it.

    Example:
        >>> find_checkpoint("models/my-bert")
        PosixPath('models/my-bert')
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(f"{folder} is a file; expected the checkpoint's folder.")
    text = os.fspath(name)
    if folder.is_absolute() or text.startswith((".", "~")) or text.count(os.sep) > 1:
        parent = folder.parent
        near = [p.name for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []
        raise CheckpointError(
            f"no checkpoint folder at {folder.absolute()}.{did_you_mean(folder.name, near)}"
        )
    return _download(text, revision)


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FROM_HUB))
    except Exception as error:  # the client's errors and its transport's share no base
        raise CheckpointError(
            f"{name!r} is no local folder (looked in {Path.cwd()}), and the Hugging Face Hub did "
            f"not give it: {type(error).__name__}: {error} Check the spelling; offline, pass the "
            "path of a downloaded checkpoint folder."
        ) from error


class CheckpointReader:
    """Reads tensors by name from one safetensors file or its shards, each when asked for.

    Args:
        folder: The checkpoint's folder.

    Raises:
        CheckpointError: If there are no safetensors files, one is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.folder = folder
        self._files: list[Any] = []
        self._where: dict[str, tuple[Any, str]] = {}
        for path in _weight_files(folder):
            try:
                file = safe_open(path, framework="np").__enter__()
            except (SafetensorError, OSError) as error:
                self.close()
                raise CheckpointError(
                    f"{path} is damaged or was not copied whole ({error}); fetch it again."
                ) from error
            self._files.append(file)
            for theirs in file.keys():  # noqa: SIM118 (safe_open is no mapping)
                name = theirs
                for old, new in _OLD_NAMES.items():
                    name = name.replace(old, new)
                self._where[name] = (file, theirs)

    def __enter__(self) -> CheckpointReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for file in self._files:
            file.__exit__(None, None, None)
        self._files = []

    def names(self) -> list[str]:
        """Returns all tensor names, under their present-day spelling."""
        return list(self._where)

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def shape(self, name: str) -> tuple[int, ...]:
        file, stored = self._where[name]
        return tuple(file.get_slice(stored).get_shape())

    def is_float(self, name: str) -> bool:
        file, stored = self._where[name]
        return file.get_slice(stored).get_dtype() in _FLOATS

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor in the precision it is stored in (bfloat16 as `ml_dtypes` has it)."""
        file, stored = self._where[name]
        return file.get_tensor(stored)


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if index.is_file():
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            shards = sorted(set(weight_map.values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{index} is damaged ({error!r}); fetch it again.") from error
        missing = [s for s in shards if not (folder / s).is_file()]
        if missing:
            raise CheckpointError(
                f"{folder}: {INDEX} lists shards that are not there: {listing(missing)}. "
                "Fetch the missing files."
            )
        return [folder / s for s in shards]
    raise CheckpointError(f"no {WEIGHTS} in {folder}. {_other_formats(folder)}")


def _other_formats(folder: Path) -> str:
    if (folder / "pytorch_model.bin").is_file():
        return (
            "There is a pytorch_model.bin, a pickle that could run code when read; ktlite does "
            "not open it. Convert it once where PyTorch is installed: "
            f"{_CONVERT.format(folder=folder.as_posix())}"
        )
    if (folder / "tf_model.h5").is_file():
        return (
            "There is only a tf_model.h5, the format of transformers' removed TensorFlow classes; "
            "ktlite reads safetensors."
        )
    found = sorted(p.name for p in folder.iterdir())
    return (
        f"Found: {listing(found) or 'nothing'}. If the checkpoint is published only as "
        "pytorch_model.bin, put that file there; the error then shows how to convert it."
    )


def write_weights(folder: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors to `model.safetensors`, marked as PyTorch's for `transformers` to open."""
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(whole, folder / WEIGHTS, metadata={"format": "pt"})


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    text = json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
