"""Finds a Hugging Face checkpoint and reads its tensors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from ktlite._places import no_checkpoint
from ktlite.errors import CheckpointError, listing
from ktlite.models.tensor_files import TensorFile, open_tensors

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TF_WEIGHTS, TF_INDEX = "tf_model.h5", "tf_model.h5.index.json"
_FROM_HUB = [
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "*token*",
    "vocab*",
    "target_vocab.json",
    "merges.txt",
    "*.model",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/*",
    "generation_config.json",
    "*.spm",
    "chat_template*",
    "preprocessor_config.json",
    "processor_config.json",
]
# Asked for only where there is no safetensors file: most old repositories have both.
_FROM_HUB_OLD = [TF_WEIGHTS, TF_INDEX, "tf_model-*.h5"]
# Tensor by tensor: going through a model class would drop tensors or add random ones. The
# copies separate tensors that share memory, which safetensors refuses.
_CONVERT = (
    'python -c "import torch; from safetensors.torch import save_file; '
    "tensors = torch.load('{folder}/pytorch_model.bin', map_location='cpu', weights_only=True); "
    "save_file({{name: t.clone().contiguous() for name, t in tensors.items()}}, "
    "'{folder}/model.safetensors', metadata={{'format': 'pt'}})\""
)
_SAID = 400  # characters of what the Hub's client says of a failure
# Checkpoints converted from the first TensorFlow BERT call scale and offset so; and those of
# before PyTorch 2.0 the parts of a kernel that is kept as directions and lengths.
_OLD_NAMES = {
    "LayerNorm.gamma": "LayerNorm.weight",
    "LayerNorm.beta": "LayerNorm.bias",
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}


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
    _check_name(name)
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else _download(os.fspath(name), revision)


def _check_name(name: Any) -> None:
    if not isinstance(name, (str, os.PathLike)) or not os.fspath(name):
        what = repr(name) if isinstance(name, str) else f"of type {type(name).__name__}"
        raise CheckpointError(
            f"the checkpoint is {what}; expected its folder, or its name on the Hugging Face Hub "
            "such as 'bert-base-uncased'."
        )
    problem = no_checkpoint(name)
    if problem:
        raise CheckpointError(problem)


def find_config(name: str | os.PathLike[str], *, revision: str | None = None) -> Path:
    """Returns a folder with a checkpoint's `config.json`, which may have nothing else.

    Arguments and errors are those of `find_checkpoint`. Of a checkpoint on the Hub, no more than
    this small file is fetched.
    """
    _check_name(name)
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else _download(os.fspath(name), revision, ["config.json"])


def _download(name: str, revision: str | None, files: list[str] | None = None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        wanted = _FROM_HUB if files is None else files
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
        if files is None and not any((folder / file).is_file() for file in (WEIGHTS, INDEX)):
            snapshot_download(name, revision=revision, allow_patterns=_FROM_HUB_OLD)
    except Exception as error:  # the client's errors and its transport's share no base
        raise CheckpointError(
            f"{name!r} is no local folder (looked in {Path.cwd()}), and the Hugging Face Hub did "
            f"not give it: {type(error).__name__}: {_in_a_line(error)} Check the spelling; "
            "offline, pass the path of a downloaded checkpoint folder."
        ) from None  # a hundred lines of the client's own calls, which say no more
    return folder


def _in_a_line(error: Exception) -> str:
    """Returns what the client says, whose messages have several lines and may be long."""
    said = " ".join(str(error).split())
    said = said if len(said) <= _SAID else f"{said[:_SAID]} ..."
    return said if said.endswith((".", "!", "?")) else f"{said}."


class TensorReader(Protocol):
    """What weights are loaded from: a checkpoint, or a part of one."""

    folder: Path

    def names(self) -> list[str]:
        """Returns all tensor names, under their present-day spelling."""

    def __contains__(self, name: str) -> bool:
        """Says whether there is a tensor of this name."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading it."""

    def is_float(self, name: str) -> bool:
        """Says whether a tensor is floating point."""

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor in the precision it is stored in (bfloat16 as `ml_dtypes` has it)."""


class CheckpointReader:
    """Reads a checkpoint's tensors by name, each when it is asked for.

    They come from `model.safetensors` or its shards, or else from the `tf_model.h5` of
    transformers' removed TensorFlow classes or its shards.

    Args:
        folder: The checkpoint's folder.

    Raises:
        CheckpointError: If there are no such files, or one is missing or damaged.

    Example:
        >>> with CheckpointReader(Path("my-bert")) as reader:
        ...     reader.read("bert.embeddings.word_embeddings.weight").shape
        (30522, 768)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: list[TensorFile] = []
        self._where: dict[str, tuple[TensorFile, str]] = {}
        try:
            for path in _weight_files(folder):
                self._open(path)
        except CheckpointError:
            self.close()
            raise

    def _open(self, path: Path) -> None:
        file = open_tensors(path)
        self._files.append(file)
        for theirs in file.names():
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
            file.close()
        self._files = []

    def names(self) -> list[str]:
        return list(self._where)

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def shape(self, name: str) -> tuple[int, ...]:
        file, stored = self._where[name]
        return file.shape(stored)

    def is_float(self, name: str) -> bool:
        file, stored = self._where[name]
        return file.is_float(stored)

    def read(self, name: str) -> np.ndarray:
        file, stored = self._where[name]
        return file.read(stored)


def _weight_files(folder: Path) -> list[Path]:
    for whole, index in ((WEIGHTS, INDEX), (TF_WEIGHTS, TF_INDEX)):
        if (folder / whole).is_file():
            return [folder / whole]
        if (folder / index).is_file():
            return _shards(folder / index)
    raise CheckpointError(f"no {WEIGHTS} in {folder}. {_other_formats(folder)}")


def _shards(index: Path) -> list[Path]:
    folder = index.parent
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(weight_map.values()))
        missing = [s for s in shards if not (folder / s).is_file()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is damaged ({error!r}); fetch it again.") from error
    if missing:
        raise CheckpointError(
            f"{folder}: {index.name} lists shards that are not there: {listing(missing)}. "
            "Fetch the missing files."
        )
    return [folder / s for s in shards]


def _other_formats(folder: Path) -> str:
    if (folder / "pytorch_model.bin").is_file():
        return (
            "There is a pytorch_model.bin, a pickle that could run code when read; ktlite does "
            "not open it. Convert it once where PyTorch is installed: "
            f"{_CONVERT.format(folder=folder.as_posix())}"
        )
    found = sorted(p.name for p in folder.iterdir())
    return (
        f"Found: {listing(found) or 'nothing'}. If the checkpoint is published only as "
        "pytorch_model.bin, put that file there; the error then shows how to convert it."
    )
