"""The files in which sentence-transformers keeps how a text's vector is made.

`modules.json` lists the steps after the tokenizer: the transformer, pooling, perhaps scaling to
length 1 (https://sbert.net/docs/sentence_transformer/usage/custom_models.html). The longest text
is in `sentence_bert_config.json`, from version 5.4 on in the tokenizer's own settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktlite._logging import logger
from ktlite.errors import CheckpointError, listing

MODULES, POOLING, LENGTH = "modules.json", "1_Pooling", "sentence_bert_config.json"
_PROMPTS, _TOKENIZER = "config_sentence_transformers.json", "tokenizer_config.json"
# Names that the file `LENGTH` has had, by the kind of model.
_LENGTHS = (
    LENGTH,
    *(f"sentence_{kind}_config.json" for kind in (
        "roberta", "distilbert", "camembert", "albert", "xlm-roberta",
    )),
)  # fmt: skip
#: What `write_modules` and `write_max_length` leave in a folder.
SENTENCE_FILES = (MODULES, POOLING, LENGTH)

# Their names of the poolings, and ours.
_OURS = {
    "mean": "mean",
    "cls": "first",
    "max": "max",
    "mean_sqrt_len_tokens": "mean_sqrt",
}
# Older files have a field of each, true or false.
_FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class SentenceFiles:
    """How a checkpoint makes the vector of a text.

    Args:
        pooling: One of `ktlite.models.pooling.POOLINGS`.
        normalize: Whether the vector is scaled to length 1.
        max_length: Tokens, beyond which a text is cut; None: not said.
        lowercase: Whether texts are lower-cased before the tokenizer has them.
    """

    pooling: str = "mean"
    normalize: bool = False
    max_length: int | None = None
    lowercase: bool = False


def read_sentence_files(folder: Path) -> SentenceFiles:
    """Reads sentence-transformers' files; a folder without them has the mean, not scaled.

    What they do not say of the longest text, `tokenizer_config.json` may say (`model_max_length`).

    Args:
        folder: The checkpoint's folder.

    Raises:
        CheckpointError: If they ask for something that ktlite does not have; silence would
            change the vectors.

    Example:
        >>> read_sentence_files(Path("all-MiniLM-L6-v2"))
        SentenceFiles(pooling='mean', normalize=True, max_length=256)
    """
    if not (folder / MODULES).is_file():
        return SentenceFiles(max_length=_model_max_length(folder))
    modules = _json(folder / MODULES, list)
    paths = {str(module["type"]).rpartition(".")[2]: module["path"] for module in modules}
    unknown = [name for name in paths if name not in ("Transformer", "Pooling", "Normalize")]
    if unknown or "Pooling" not in paths or paths.get("Transformer") != "":
        raise CheckpointError(
            f"{folder / MODULES}: expected a Transformer in the folder itself, Pooling and perhaps "
            f"Normalize; found {listing(f'{name} in {path!r}' for name, path in paths.items())}."
        )
    name = next((name for name in _LENGTHS if (folder / name).is_file()), None)
    length = {} if name is None else _json(folder / name, dict)
    _check_output(length, folder / str(name))
    prompts = _json(folder / _PROMPTS, dict) if (folder / _PROMPTS).is_file() else {}
    default = prompts.get("default_prompt_name")
    if default is not None:
        logger.warning(
            "%s: sentence-transformers puts the prompt %r before each text; ktlite takes texts as "
            "they are, so put it there.",
            folder,
            prompts.get("prompts", {}).get(default),
        )
    return SentenceFiles(
        _pooling(folder / paths["Pooling"] / "config.json"),
        "Normalize" in paths,
        length.get("max_seq_length") or _model_max_length(folder),
        bool(length.get("do_lower_case")),
    )


def _model_max_length(folder: Path) -> int | None:
    """Returns the longest text by the tokenizer's settings; None where they say none."""
    settings = _json(folder / _TOKENIZER, dict) if (folder / _TOKENIZER).is_file() else {}
    number = settings.get("model_max_length", settings.get("max_len"))
    # `transformers` writes 10 to the power of 30 for no limit.
    return int(number) if isinstance(number, (int, float)) and 0 < number < 1e9 else None


def _check_output(config: Mapping[str, Any], path: Path) -> None:
    """Raises CheckpointError unless the tokens' vectors are the encoder's last ones."""
    text = (config.get("modality_config") or {}).get("text", {})
    found = {
        "transformer_task": config.get("transformer_task", "feature-extraction"),
        "method_output_name": text.get("method_output_name", "last_hidden_state"),
    }
    wanted = {"transformer_task": "feature-extraction", "method_output_name": "last_hidden_state"}
    wrong = [f"{name} {found[name]!r}" for name in wanted if found[name] != wanted[name]]
    if wrong:
        raise CheckpointError(
            f"{path}: {listing(wrong)}; ktlite makes vectors of the tokens' last hidden states."
        )


def _pooling(path: Path) -> str:
    config: Mapping[str, Any] = _json(path, dict)
    mode = config.get("pooling_mode") or [name for f, name in _FLAGS.items() if config.get(f)]
    modes = [mode] if isinstance(mode, str) else list(mode)
    if len(modes) != 1 or modes[0] not in _OURS:
        raise CheckpointError(
            f"{path}: the pooling is {listing(modes) or 'not named'}; ktlite has one of "
            f"{listing(_OURS)}."
        )
    return _OURS[modes[0]]


def write_modules(folder: Path, pooling: str, normalize: bool, width: int) -> None:
    """Writes `modules.json` and the config of the pooling, as sentence-transformers reads them.

    Args:
        folder: The checkpoint's folder.
        pooling: One of `ktlite.models.pooling.POOLINGS`.
        normalize: Whether vectors are scaled to length 1.
        width: Of the vectors.
    """
    theirs = {ours: name for name, ours in _OURS.items()}[pooling]
    steps = [("Transformer", ""), ("Pooling", POOLING), ("Normalize", "2_Normalize")]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(steps[: 3 if normalize else 2])
    ]
    # The older fields, which all versions read.
    flags = {flag: name == theirs for flag, name in _FLAGS.items()}
    (folder / POOLING).mkdir(exist_ok=True)
    _write(folder / POOLING / "config.json", {"word_embedding_dimension": width, **flags})
    _write(folder / MODULES, modules)


def write_max_length(folder: Path, max_length: int) -> None:
    """Writes `sentence_bert_config.json`: beyond how many tokens a text is cut."""
    _write(folder / LENGTH, {"max_seq_length": max_length, "do_lower_case": False})


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _json(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); fetch it again.") from error
    if not isinstance(content, kind):
        raise CheckpointError(f"{path} holds {type(content).__name__}, expected {kind.__name__}.")
    return content
