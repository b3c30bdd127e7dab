"""What a checkpoint says of how images and sounds become what its model reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ktlite.errors import CheckpointError

FILE = "preprocessor_config.json"
# Where newer checkpoints keep it, beside what processes texts and other kinds.
_OF_ALL_KINDS = "processor_config.json"


def read_settings(folder: Path, part: str) -> tuple[dict[str, Any], Path] | None:
    """Returns the fields of a checkpoint's settings, and the file that has them; None: it has none.

    Args:
        folder: The checkpoint's.
        part: What they are called in the file that has those of all kinds: `"image_processor"`.

    Raises:
        CheckpointError: If the file is damaged.
    """
    for path in (folder / FILE, folder / _OF_ALL_KINDS):
        config = read_json(path)
        if path.name == _OF_ALL_KINDS:
            config = (config or {}).get(part)
        if config is not None:
            return config, path
    return None


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns the object that a file of JSON holds; None: there is no such file.

    Raises:
        CheckpointError: If it holds something else.
    """
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); fetch it again.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds {type(config).__name__}, expected a JSON object.")
    return config
