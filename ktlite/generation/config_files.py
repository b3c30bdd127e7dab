"""The fields of `generation_config.json` and `config.json` that say how to generate."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ktlite._logging import logger
from ktlite.errors import CheckpointError, Problems, did_you_mean

#: Change what is generated, and are not here: the values with which they do nothing.
OFF: dict[str, tuple[Any, ...]] = {
    "constraints": (None,),
    "diversity_penalty": (None, 0),
    "dola_layers": (None,),
    "encoder_repetition_penalty": (None, 1),
    "epsilon_cutoff": (None, 0),
    "eta_cutoff": (None, 0),
    "exponential_decay_length_penalty": (None,),
    "force_words_ids": (None,),
    "guidance_scale": (None, 1),
    "low_memory": (None, False),
    "max_time": (None,),
    "num_beam_groups": (None, 1),
    "penalty_alpha": (None, 0),
    "remove_invalid_values": (None, False),
    "sequence_bias": (None,),
    "token_healing": (None, False),
    "top_h": (None,),
    "watermarking_config": (None,),
}

#: Change how fast, or what else is returned, or what only one model's own code reads.
HARMLESS = frozenset({
    "_commit_hash", "_from_model_config", "alignment_heads", "assistant_confidence_threshold",
    "assistant_early_exit", "assistant_ensemble_weight", "assistant_lookbehind", "cache_config",
    "cache_implementation", "compile_config", "continuous_batching_config", "disable_compile",
    "forced_decoder_ids", "is_assistant", "is_multilingual", "lang_to_id",
    "max_cache_len", "max_initial_timestamp_index", "max_matching_ngram_size",
    "median_filter_width", "no_timestamps_token_id", "num_assistant_tokens",
    "num_assistant_tokens_schedule", "output_attentions", "output_hidden_states", "output_logits",
    "output_scores", "prefill_chunk_size", "prev_sot_token_id", "prompt_lookup_num_tokens",
    "return_dict_in_generate", "return_timestamps", "speculation_type", "target_lookbehind",
    "task_specific_params", "task_to_id", "transformers_version", "use_cache", "use_mtp",
})  # fmt: skip


def read_options(folder: str | Path, names: frozenset[str]) -> tuple[dict[str, Any], Path | None]:
    """Reads what a checkpoint's folder says of generation.

    Args:
        folder: The checkpoint's folder.
        names: The fields that are wanted.

    Returns:
        Values by name, without those that are None; and the file that they are from, or None
        where there is none.

    Raises:
        CheckpointError: If the file is no JSON object, or asks for what there is not.
    """
    own, model = Path(folder) / "generation_config.json", Path(folder) / "config.json"
    if own.is_file():
        found = _object(own)
        _warn_of_unknown(own, found, names)
        return _wanted(own, found, names), own
    if model.is_file():
        return _wanted(model, _of_model(_object(model)), names), model
    return {}, None


def options_of_config(config: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Returns what a model's config says of generation, by name, without what is None.

    Raises:
        CheckpointError: If it asks for what there is not.
    """
    return _wanted(Path("config"), _of_model(config), names)


def write_options(folder: str | Path, config: Mapping[str, Any], names: Collection[str]) -> None:
    """Writes what a checkpoint's folder says of generation.

    Args:
        folder: The checkpoint's.
        config: What differs from the defaults (`Generation.to_config`).
        names: All fields; what the file says beside them stays.
    """
    own = Path(folder) / "generation_config.json"
    found = _object(own) if own.is_file() else {}
    rest = {name: value for name, value in found.items() if name not in names}
    text = json.dumps({**rest, **config}, indent=2, sort_keys=True)
    own.write_text(text + "\n", encoding="utf-8")


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a {type(found).__name__}; expected a JSON object.")
    return found


def _of_model(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a model's config, with the decoder's where its own say nothing."""
    inside = ("decoder", "generator", "text_config")
    inner = next((config[name] for name in inside if config.get(name)), None)
    found = dict(inner) if isinstance(inner, Mapping) else {}
    found.update({name: value for name, value in config.items() if value is not None})
    if config.get("force_bos_token_to_be_generated") and "bos_token_id" in found:
        found["forced_bos_token_id"] = found["bos_token_id"]  # of BART's first checkpoints
    return found


def _wanted(path: Path, found: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    problems = Problems(str(path), CheckpointError)
    for name, neutral in OFF.items():
        value = found.get(name)
        problems.add_unless(
            value in neutral,
            f"{name}={value!r} is not known to ktlite; expected {neutral[-1]!r}. Texts would "
            "differ from what the checkpoint asks for: take the field out, if that is fine.",
        )
    problems.raise_if_any()
    wanted = {name: found[name] for name in sorted(names) if found.get(name) is not None}
    if wanted.get("pad_token_id") == -1:  # how files of some models say that there is none
        del wanted["pad_token_id"]
    return wanted


def _warn_of_unknown(path: Path, found: Mapping[str, Any], names: frozenset[str]) -> None:
    for name in sorted(found.keys() - names - OFF.keys() - HARMLESS):
        logger.warning("%s: %s=%r is no field of generation and has no effect.%s",
                       path, name, found[name], did_you_mean(name, names))  # fmt: skip
