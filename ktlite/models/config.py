"""Reads a Hugging Face config strictly: every field is used, or known to be harmless."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ktlite.errors import CheckpointError, did_you_mean, listing

# Fields that never change what a model computes: file keeping, training
# switches, and what the task reads (labels).
HARMLESS = frozenset(
    """
    architectures attn_implementation auto_map
    calibration_temperature chunk_size_feed_forward cls_token_id
    custom_pipelines dict_encoder directionality dtype
    finetuning_task gradient_checkpointing id2label
    label2id language model_type name_or_path num_labels
    output_attentions output_hidden_states output_past output_scores
    pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head
    pooler_type prefix problem_type return_dict
    return_dict_in_generate sentence_transformers sep_token_id
    task_specific_params tokenizer_class
    torch_dtype torchscript transformers_version use_bfloat16
    use_cache
    """.split()  # noqa: SIM905  (a list of 80 quoted strings is harder to read)
)
# Those that say how texts are written, which transformers puts into every config: nothing to a
# model that only reads, and to be read, by `ConfigReader.writes`, for one that writes.
OF_GENERATION = frozenset(
    """
    bad_words_ids begin_suppress_tokens bos_token_id diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty
    forced_bos_token_id forced_eos_token_id length_penalty max_length min_length
    no_repeat_ngram_size num_beam_groups num_beams num_return_sequences pad_token_id
    remove_invalid_values repetition_penalty suppress_tokens temperature
    top_k top_p typical_p
    """.split()  # noqa: SIM905
)
# And those that tie tables to each other.
OF_TABLES = frozenset({"tie_encoder_decoder", "tie_word_embeddings"})


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the `config.json` of a checkpoint folder; or the file itself, if that is named.

    Raises:
        CheckpointError: If it is missing, is not a JSON object, or names no `model_type`.
    """
    path = folder if folder.is_file() else folder / "config.json"
    if not path.is_file():
        raise CheckpointError(
            f"no config.json in {folder}; a Hugging Face checkpoint folder holds config.json, "
            f"*.safetensors and tokenizer.json. Found: {listing(_names(folder)) or 'nothing'}."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); fetch it again.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds {type(config).__name__}, expected a JSON object.")
    if not isinstance(config.get("model_type"), str):
        raise CheckpointError(
            f"{path} has no field 'model_type', which names the architecture (such as 'bert'). "
            "Add it to the file."
        )
    return config


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def label_count(config: Mapping[str, Any]) -> int:
    """Returns the number of labels that a config declares; 2 if it declares none, as HF does.

    Raises:
        CheckpointError: If `id2label` is no mapping, or `num_labels` no count.
    """
    reader = ConfigReader(config)
    return len(reader.get("id2label", {})) or reader.size("num_labels", 2)


class ConfigReader:
    """Hands out the fields of a config and remembers which were read.

    Args:
        config: The Hugging Face config as a mapping.
        ignore: Names of further fields to pass over.

    Example:
        >>> reader = ConfigReader({"model_type": "bert", "hidden_size": 384})
        >>> reader.get("hidden_size", 768)
        384
        >>> reader.finish()
    """

    def __init__(self, config: Mapping[str, Any], ignore: Collection[str] = ()) -> None:
        self.config = config
        self.ignored = tuple(ignore)
        self.read = set(ignore)
        self._writes = False

    def get(self, name: str, default: Any) -> Any:
        """Returns a field, or `default` (the one of the HF config class) where it is absent.

        Raises:
            CheckpointError: If the field is of another type than the default.
        """
        self.read.add(name)
        value = self.config.get(name)
        if value is None:
            return default
        if isinstance(default, float) and type(value) is int:
            return float(value)  # a whole number such as a dropout of 0
        is_flag = isinstance(value, bool) and not isinstance(default, bool)  # bool is an int too
        if default is not None and (is_flag or not isinstance(value, type(default))):
            raise CheckpointError(
                f"config field {name}={value!r} is of type {type(value).__name__}, "
                f"expected {type(default).__name__}."
            )
        return value

    def size(self, name: str, default: int) -> int:
        """Returns a field that counts something, and so is at least 1.

        Raises:
            CheckpointError: If the field is no whole number of at least 1.
        """
        value: int = self.get(name, default)
        if value < 1:
            raise CheckpointError(f"config field {name}={value!r}; expected at least 1.")
        return value

    def optional_size(self, name: str, default: int | None) -> int | None:
        """Returns a field that counts something, or None where the file says that it is null.

        `default` stands for an absent field alone.

        Raises:
            CheckpointError: If the field is neither null nor a whole number of at least 1.
        """
        self.read.add(name)
        if self.config.get(name, default) is None:
            return None
        return self.size(name, default or 1)

    def choice(self, name: str, default: str, known: Collection[str]) -> str:
        """Returns a field that names one of `known`; a guess would change the numbers.

        Raises:
            CheckpointError: If it names something else.
        """
        value: str = self.get(name, default)
        if value not in known:
            raise CheckpointError(
                f"config field {name}={value!r} is not known; expected one of "
                f"{listing(map(repr, known))}.{did_you_mean(value, known)}"
            )
        return value

    def expect(self, name: str, *supported: Any) -> Any:
        """Returns a field that must be one of `supported`; the first stands for an absent one."""
        value = self.get(name, None)
        if value is None:
            return supported[0]
        if value not in supported:
            raise CheckpointError(
                f"config field {name}={value!r} is not supported for "
                f"{self.config.get('model_type')!r}; expected {listing(map(repr, supported))}."
            )
        return value

    def writes(self) -> None:
        """Says that the model writes texts.

        How, is said by fields that generation reads (`ktlite.generation.Generation.of_folder`).
        Which tables are one, the family has to read.
        """
        self._writes = True
        self.get("decoder_start_token_id", None)

    def finish(self) -> None:
        """Raises if a field was not read and is not known to be harmless."""
        harmless = HARMLESS | OF_GENERATION | (frozenset() if self._writes else OF_TABLES)
        unknown = [
            name
            for name in self.config
            if name not in self.read and name not in harmless and not name.startswith("_")
        ]
        if unknown:
            hints = "".join(did_you_mean(name, self.read) for name in unknown[:3])
            raise CheckpointError(
                f"config fields that ktlite does not know for model_type "
                f"{self.config.get('model_type')!r}: {listing(unknown)}.{hints} They may change "
                "what the model computes. If they do not, load with "
                f"ignore_config_fields={unknown!r}."
            )
