"""From a name or a config to a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from ktlite._logging import logger
from ktlite.errors import ArgumentError, CheckpointError, Problems, listing
from ktlite.models.adapter_files import AdapterReader, adapter_labels
from ktlite.models.baselines import BASELINES, Baseline
from ktlite.models.checkpoint import CheckpointReader, TensorReader, find_checkpoint
from ktlite.models.config import ConfigReader, read_config
from ktlite.models.core.spec import HeadSpec, ModelSpec
from ktlite.models.families import get_family
from ktlite.models.head_labels import labelled
from ktlite.models.heads import ALIASES, EMBEDDING
from ktlite.models.model import TransformerModel
from ktlite.models.part import PartReader, check_arguments, kept_blocks, part_config
from ktlite.models.sentence_files import SentenceFiles, read_sentence_files
from ktlite.models.transfer import load_weights


def from_pretrained(
    name: str | os.PathLike[str],
    task: str | None = None,
    *,
    num_labels: int | None = None,
    labels: Sequence[Any] | None = None,
    config: Mapping[str, Any] | None = None,
    layers: int | Sequence[int] | None = None,
    max_positions: int | None = None,
    ignore_mismatched_sizes: bool = False,
    new_head: bool = True,
    pooling: str | None = None,
    normalize: bool | None = None,
    adapters: str | os.PathLike[str] | None = None,
    seed: int = 42,
    dtype: Any = None,
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
) -> Any:
    """Loads a Hugging Face checkpoint, or a part of one, as a Keras model.

    The weights come from safetensors files, or else from the `tf_model.h5` that
    transformers' removed TensorFlow classes wrote, and so ktrain's predictors hold.

    Args:
        name: Checkpoint folder, or Hub name.
        task: Hugging Face task name such as `"text-classification"`; None gives
            the bare model. `"translation"` and `"summarization"` are other names of
            `"text2text-generation"`.
        num_labels: Outputs of the head. Default: as in the checkpoint. Another
            number gives a new classifier, and a warning.
        labels: Names of the outputs, in the order that they are to have. The rows of a head whose
            labels have the same names are put in this order; one with other names gives a new
            classifier, and a warning. Default: as in the checkpoint.
        config: Fields of the config to change, such as `{"hidden_dropout_prob": 0.2}`.
        layers: How many of the first blocks to keep, or the numbers of those to keep in
            their new order, such as `[0, 2, 4]`. Where layers share weights (ALBERT): how
            often to apply them. Default: as in the checkpoint.
        max_positions: The longest text in tokens. A table of learned positions that is
            too short is continued by its own rows (Beltagy et al., 2020, arXiv:2004.05150,
            section 5), a longer one is cut. Default: as in the checkpoint.
        ignore_mismatched_sizes: Encoder weights that have another shape than `config` asks
            for get new values, and a warning lists them. Missing ones stay an error.
        new_head: Whether a head that the checkpoint lacks is made, with a warning. False: it
            is an error.
        pooling: For `"sentence-embedding"`: how a text's vector comes of its tokens' vectors,
            one of `ktlite.models.pooling.POOLINGS`. Default: as the files of
            sentence-transformers say that the checkpoint has; without them, the mean.
        normalize: For `"sentence-embedding"`: whether that vector is scaled to length 1.
            Default: as these files say; without them, as its family was trained: CLIP's are.
        adapters: Folder of low-rank adapters (LoRA), as `Learner.save_adapters` and Hugging Face's
            PEFT write them: they are merged into the weights, and their head is taken.
        seed: Of new weights and of dropout.
        dtype: Keras dtype or dtype policy. Default: Keras' global policy.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of config.json to accept.

    Returns:
        A `TransformerModel`, built, not compiled. Its `config` describes the part. Of a folder
        that a `ktlite.models.baselines.Baseline` wrote, that one; it takes `num_labels`, `seed`
        and `dtype`.

    Raises:
        CheckpointError: If the checkpoint is missing, damaged or not understood.
        ArgumentError: If the task has no head, or arguments make no sense; they are checked
            before weights are read.

    Example:
        >>> model = from_pretrained("bert-base-chinese", "text-classification", num_labels=3)
        >>> model({"input_ids": np.array([[101, 4638, 102]])}).shape
        TensorShape([1, 3])
        >>> half = from_pretrained("bert-base-chinese", layers=range(0, 12, 2), max_positions=1024)
        >>> half.config["num_hidden_layers"]
        6
    """
    check_arguments(config, layers, max_positions, num_labels, labels)
    task = ALIASES.get(task or "", task)
    folder = find_checkpoint(name, revision=revision)
    changed = dict(config or {})
    stored_config = read_config(folder)
    whole_config, head_labels, num_labels = labelled(
        stored_config, changed, task, num_labels, labels, adapter_labels(adapters)
    )
    if whole_config["model_type"] in BASELINES:
        kind = BASELINES[whole_config["model_type"]]
        _check_baseline(kind, task, layers=layers, max_positions=max_positions, adapters=adapters)
        small = from_config(whole_config, task, num_labels=num_labels, seed=seed, dtype=dtype)
        small.load_pretrained(folder)
        small.source = folder
        return small
    where = str(folder / "config.json") + (f" with config={changed!r}" if changed else "")
    stored = read_sentence_files(folder) if task == EMBEDDING else SentenceFiles()
    # Variables that are made in this scope get their memory at its end, and the checkpoint's
    # values with it: nothing is filled twice, and no second copy of the model is needed.
    with CheckpointReader(folder) as whole, keras.StatelessScope():
        reader: TensorReader = whole
        try:
            family = get_family(whole_config["model_type"])
            if family.settle is not None:
                whole_config = {**whole_config, **family.settle(whole_config, whole)}
            spec = _spec(whole_config, ignore_config_fields)
            own = spec.heads.get(EMBEDDING, HeadSpec())
            built = part_config(whole_config, changed, spec, family, layers, max_positions)
            model = TransformerModel(
                built,
                task,
                num_labels,
                pooling=stored.pooling if pooling is None else pooling,
                normalize=normalize if normalize is not None else stored.normalize or own.normalize,
                seed=seed,
                blank_backbone=not ignore_mismatched_sizes,
                ignore_config_fields=ignore_config_fields,
                dtype=dtype,
            )
        except CheckpointError as error:  # knows the field, not the file
            raise CheckpointError(f"{where}: {error}") from error
        if adapters is not None:
            reader = AdapterReader(reader, family, Path(adapters), spec, task)
        if layers is not None or max_positions is not None:
            reader = PartReader(reader, family, spec, kept_blocks(spec, layers), max_positions)
        new = load_weights(
            model,
            reader,
            new_head=new_head,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            labels=head_labels,
        )
    model.source = folder
    new_parts = {path.rpartition(".")[0] for path in new if path.startswith("head.")}
    if adapters is not None and new_parts and not head_labels.differ:
        logger.warning(
            "%s holds adapters without %s, which the checkpoint lacks, too: what was trained with "
            "them is lost. PEFT saves the modules that modules_to_save names, and by itself those "
            "called classifier or score alone.",
            os.fspath(adapters),
            listing(sorted(new_parts)),
        )
    return model


def read_spec(folder: Path, ignore_config_fields: Sequence[str] = ()) -> ModelSpec:
    """Returns what a checkpoint folder's config.json says of its model.

    Args:
        folder: The checkpoint's folder.
        ignore_config_fields: Unknown fields to accept.

    Raises:
        CheckpointError: If config.json is missing or not understood; it names file and field.
    """
    config = read_config(folder)
    try:
        return _spec(config, ignore_config_fields)
    except CheckpointError as error:  # knows the field, not the file
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error


def read_text_spec(folder: Path, ignore_config_fields: Sequence[str] = ()) -> ModelSpec:
    """Returns what `read_spec` does, of a model that reads texts.

    Raises:
        CheckpointError: As `read_spec`; or if the model reads images.
    """
    spec = read_spec(folder, ignore_config_fields)
    try:
        spec.check_texts()
    except CheckpointError as error:  # knows the kind, not the folder
        raise CheckpointError(f"{folder}: {error}") from error
    return spec


def read_comparing_spec(folder: Path) -> ModelSpec:
    """Returns what `read_spec` does, of a model that compares what two towers give.

    Raises:
        CheckpointError: As `read_spec`; or if it is another model.
    """
    spec = read_spec(folder)
    if spec.both is None:
        raise CheckpointError(
            f"{folder}: its model reads {spec.input}s alone; choose the checkpoint of one that "
            "compares images with texts, such as CLIP or SigLIP."
        )
    return spec


def _check_baseline(kind: type[Baseline], task: str | None, **given: Any) -> None:
    """Raises if a baseline is asked for what transformers alone have."""
    problems = Problems("from_pretrained")
    problems.choice("task", task, [kind.task_name])
    for name, value in given.items():
        problems.add_unless(value is None, f"{name}={value!r} goes with transformers.")
    problems.raise_if_any()


def _spec(config: Mapping[str, Any], ignore_config_fields: Sequence[str]) -> ModelSpec:
    reader = ConfigReader(config, ignore_config_fields)
    spec = get_family(config["model_type"]).spec(reader)
    reader.finish()
    return spec


def from_config(
    config: Any,
    task: str | None = None,
    *,
    num_labels: int | None = None,
    seed: int = 42,
    dtype: Any = None,
    ignore_config_fields: Sequence[str] = (),
) -> Any:
    """Builds a model with random weights from a Hugging Face config, or that of a baseline.

    Args:
        config: A mapping, the path of a `config.json` or of its folder, or a config of
            `transformers` such as `AutoConfig.from_pretrained` returns.
        task: Hugging Face task name, or None for the bare encoder.
        num_labels: Outputs of the head. Default: as the config says.
        seed: Of the initial weights and of dropout.
        dtype: Keras dtype or dtype policy. Default: Keras' global policy.
        ignore_config_fields: Unknown fields of the config to accept.

    Raises:
        CheckpointError: If the config is not understood.
        ArgumentError: If `config` is none of these, the task has no head, or `num_labels`
            makes no sense.

    Example:
        >>> small = {"model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2,
        ...          "num_attention_heads": 2, "intermediate_size": 512}
        >>> from_config(small, "text-classification", num_labels=2).count_params()
        4386178
        >>> wider = from_config({**small, "hidden_size": 256})
    """
    fields = config_fields(config)
    if fields.get("model_type") in BASELINES:
        return BASELINES[fields["model_type"]](fields, num_labels, seed=seed, dtype=dtype)
    return TransformerModel(
        fields,
        task,
        num_labels,
        seed=seed,
        dtype=dtype,
        ignore_config_fields=ignore_config_fields,
    )


def config_fields(config: Any) -> Mapping[str, Any]:
    """Returns the fields of what `from_config` takes as a config.

    Raises:
        ArgumentError: If it is none of these.
        CheckpointError: If the file is missing or damaged.
    """
    if isinstance(config, Mapping):
        return config
    if isinstance(config, (str, os.PathLike)):
        return read_config(Path(config).expanduser())
    if hasattr(config, "to_dict"):
        fields: dict[str, Any] = config.to_dict()
        return fields
    raise ArgumentError(
        f"from_config: config is of type {type(config).__name__}; expected a mapping, the path of "
        "a config.json or of its folder, or a config of transformers."
    )
