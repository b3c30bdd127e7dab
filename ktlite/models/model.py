"""`TransformerModel`: one tower or several, with a head or bare, as a Keras model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ktlite._labels import label_fields, label_names
from ktlite._process import check_process
from ktlite.encodings.field import Field
from ktlite.errors import ArgumentError
from ktlite.models import transfer
from ktlite.models.adapters import has_adapters
from ktlite.models.checkpoint import CheckpointReader
from ktlite.models.config import ConfigReader, label_count, read_config
from ktlite.models.core.init import Init
from ktlite.models.core.spec import HeadSpec, TokensSpec
from ktlite.models.decoding import Decoding
from ktlite.models.families import get_family
from ktlite.models.head_checks import check_decoder, check_head, count_labels, head_class
from ktlite.models.head_labels import HeadLabels, labels_of
from ktlite.models.heads import (
    ALIASES,
    EMBEDDING,
    ChoiceHead,
)
from ktlite.models.saving import (
    cast,
    read_options,
    replaced_checkpoint,
    write_config,
    write_generation,
    write_tokenizer,
    write_weights,
)
from ktlite.models.sentence_files import write_modules
from ktlite.models.towers import Inputs, Tower, add_towers, layer_groups, run_towers, towers_of


@keras.saving.register_keras_serializable(package="ktlite")
class TransformerModel(Decoding, keras.Model):
    """A transformer of texts, images or sounds, built from a Hugging Face config.

    Every weight exists as soon as the model does. Make one with
    `ktlite.models.from_pretrained` or `from_config`.

    Call arguments:
        inputs: Dict. Of images `pixel_values`, float32 [batch, height, width, channels], normalised
            as the checkpoint's image processor does it. Of sounds `input_values`, float32 [batch,
            samples], and optionally `attention_mask`, or `input_features`, float32 [batch, frames,
            bands]. Of texts int32 arrays [batch, length], for multiple choice [batch, choices,
            length], for sentence embeddings either one ([batch, texts, length] for texts to be
            compared): `input_ids`, and optionally `attention_mask` (1 for tokens, 0 for padding;
            default: all 1) and `token_type_ids` (default: all 0; passed over if the family has
            none). Of models with a decoder beside the encoder also `decoder_input_ids`, int32
            [batch, target length]. For masked language models also `masked_positions` [batch,
            predictions], each at least 0 and below length: the tokens to compute logits for.
            Default: all of them. Pretraining masks one token in seven, so this saves most of the
            decoder's work and memory.
            `word_vectors`, float [batch, length, word width], stand in for the words'
            embeddings, so that there is a gradient with respect to them. `hidden_states`,
            float [batch, length, width], stand in for all that is below the head, which then
            runs alone; for a head that pools, one vector a text is enough, [batch, 1, width].

    Returns:
        Hidden states [batch, length, width], or with a head float32 logits:

        - `text-classification`, `image-classification`, `audio-classification`: [batch,
          outputs].
        - `token-classification`: [batch, length, outputs].
        - `automatic-speech-recognition`: [batch, frames, characters].
        - `question-answering`: [batch, length, 2], that the answer starts and ends there.
        - `multiple-choice`: [batch, choices].
        - `sentence-embedding`: the vectors of texts, [batch, width] or [batch, texts, width].
        - `masked-lm`: [batch, length, vocab_size]; with `masked_positions` [batch,
          predictions, vocab_size].
        - `text-generation`: [batch, length, vocab_size], for the token after each; with an encoder
          `text2text-generation`: [batch, target length, vocab_size]. With `labels` among the
          inputs, int32 [batch, length], the words that would be right, -100 where none counts:
          [batch, length, 2], the cross-entropy of each, and 1 where it is the likeliest. Logits of
          a vocabulary take a thousand times the memory.
        - `zero-shot-image-classification`, of models that read images and texts: [images, texts].
        - `pretraining`: for ELECTRA [batch, length], above 0 where a token was replaced.
          For BERT and ALBERT a dict of `prediction_logits`, as of the masked language
          model, and [batch, 2] under `seq_relationship_logits` (BERT: 0 for sentences
          that follow each other, 1 for random ones) or `sop_logits` (ALBERT: 0 in order,
          1 swapped).

    Args:
        config: The Hugging Face config. Fields that ktlite does not use are kept
            and written back by `save_pretrained`.
        task: A Hugging Face task name such as `"text-classification"`, or None for
            the bare encoder.
        num_labels: Outputs of the head. Default: the config's.
        pooling: For sentence embeddings, how a text's vector comes of its tokens' vectors: one of
            `ktlite.models.pooling.POOLINGS`.
        normalize: For sentence embeddings, whether that vector is scaled to length 1.
        seed: Of the initial weights and of dropout.
        blank_backbone: Leave the encoder's weights at zero, for a checkpoint to fill.
        ignore_config_fields: Unknown config fields to accept.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        task: str | None = None,
        num_labels: int | None = None,
        *,
        pooling: str = "mean",
        normalize: bool = False,
        seed: int = 42,
        blank_backbone: bool = False,
        ignore_config_fields: Sequence[str] = (),
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_process()
        task = ALIASES.get(task or "", task)
        self.family = get_family(config.get("model_type"))
        reader = ConfigReader(config, ignore_config_fields)
        spec = self.family.spec(reader)
        reader.finish()
        # Of every family alike, as a rule: it has no weights then.
        embedding = replace(
            spec.heads.get(EMBEDDING, HeadSpec()), pooling=pooling, normalize=normalize
        )
        self.spec = replace(spec, heads={**spec.heads, EMBEDDING: embedding}).for_head(task)
        check_head(self.family, self.spec, task, num_labels)
        check_decoder(self.spec, config, task)
        super().__init__(name=name or config["model_type"], dtype=dtype)
        self.config = dict(config)
        self.task_name = task
        self.num_labels = count_labels(self.spec, config, task, num_labels)
        self.seed = seed
        self.ignore_config_fields = tuple(ignore_config_fields)
        #: The checkpoint's folder that `from_pretrained` read; None: made from a config.
        self.source: Path | None = None
        # What the checkpoint holds, and its class in PyTorch, are those of the bare encoder.
        weightless = task == EMBEDDING and EMBEDDING not in self.family.heads
        self.stored_task = None if weightless else task

        init = Init(self.spec.init, seed, blank=blank_backbone)
        policy = self.dtype_policy
        add_towers(self, self.spec, init, policy)
        self.head = (
            head_class(self.spec, task)(
                self.spec, self.num_labels or 0, init.with_blank(False), dtype=policy
            )
            if task
            else None
        )
        self.build()

    def build(self, input_shape: Any = None) -> None:
        # Now, not at the first call: a variable that is born inside a traced
        # function is not seen by the training step's gradient.
        for tower in self.towers:
            tower.front.build()
            tower.stack.build()
        if self.head is not None:
            self.head.build()
        self.built = True

    def call(self, inputs: Inputs, training: Any = None) -> Any:
        if not isinstance(inputs, Mapping):
            raise ArgumentError(
                f"{self.name} takes a dict of arrays, {{{self.spec.fields[0].name!r}: ...}}; got "
                f"{type(inputs).__name__}. Of a learner's data, learner.predict(data) gives "
                "the predictions."
            )
        grouped = isinstance(self.head, ChoiceHead)
        if not grouped and self.task_name != EMBEDDING:
            return self._call_items(inputs, training)
        mains = [tower.fields[0] for tower in self.spec.towers.values()]
        field = next((one for one in mains if one.name in inputs), mains[0])
        shape = keras.ops.shape(inputs[field.name])
        if not grouped and len(shape) == 1 + len(field.shape):
            return self._call_items(inputs, training)
        if len(shape) != 2 + len(field.shape):
            axes = ["length" if size is None else str(size) for size in field.shape]
            raise ArgumentError(
                f"{field.name} of shape {tuple(shape)} for {self.task_name}; expected [batch, "
                f"{', '.join(['choices' if grouped else 'texts', *axes])}]."
            )
        # Every one is an item of its own until they are compared.
        items = {
            name: keras.ops.reshape(x, (-1, *keras.ops.shape(x)[2:])) for name, x in inputs.items()
        }
        outputs = self._call_items(items, training)
        return keras.ops.reshape(outputs, shape[:2] if grouped else (*shape[:2], outputs.shape[1]))

    def hidden_states(
        self, inputs: Inputs, training: Any = None, *, first_only: bool = False
    ) -> tuple[Any, Any]:
        """Returns the last tower's hidden states [batch, length, width], and its attention mask.

        The mask is None where there is no padding: in images.

        Args:
            inputs: As for a call, of single items.
            training: Whether dropout is on.
            first_only: Give those of the first tokens alone, [batch, 1, width].
        """
        known = inputs.get("hidden_states")
        if known is not None:
            return known, inputs.get("attention_mask")
        return run_towers(self.towers, inputs, training, first_only)

    def tower_states(self, inputs: Inputs, training: Any = None) -> dict[str, tuple[Any, Any]]:
        """Returns what towers that stand side by side give: hidden states, and attention mask.

        Args:
            inputs: Those of all towers, or of some.
            training: Whether dropout is on.
        """
        there = [tower for tower in self.towers if tower.spec.fields[0].name in inputs]
        return {tower.name: run_towers([tower], inputs, training, False) for tower in there}

    def _call_items(self, inputs: Inputs, training: Any) -> Any:
        if self.head is not None and self.head.apart:
            own = {name: inputs[name] for name in self.head.reads if name in inputs}
            return self.head(self.tower_states(inputs, training), **own, training=training)
        first_only = self.head is not None and self.head.first_only
        hidden, mask = self.hidden_states(inputs, training, first_only=first_only)
        if self.head is None:
            return hidden
        options: dict[str, Any] = {}
        if self.head.reads_words:
            options["words"] = table = self.towers[-1].front.word.embeddings
            if "labels" in inputs:
                options["words_learn"] = table.trainable
        options |= {name: inputs[name] for name in self.head.reads if name in inputs}
        return self.head(hidden, mask, **options, training=training)

    @property
    def towers(self) -> list[Tower]:
        """What the model is made of below its head, in the order of computing."""
        return towers_of(self)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What it reads, by name, type and shape."""
        return self.spec.fields

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns random inputs, of given lengths where these differ."""
        return {
            tower.prefix + name: array
            for tower in self.spec.towers.values()
            for name, array in tower.front.drawn(lengths, random).items()
        }

    def layer_groups(self) -> list[tuple[str, list[Any]]]:
        """Returns (name, layers) from input to output: embeddings, each block, the head's parts.

        `Learner.freeze` and `print_layers` count in these.
        """
        groups = layer_groups(self.towers)
        if self.head is not None:
            groups += [(layer.name, [layer]) for layer in self.head._layers if layer.weights]
        return groups

    def hf_config(self) -> dict[str, Any]:
        """Returns the config to write: as it came, with this model's class and label count."""
        architecture = self.family.architectures[self.stored_task]
        if self.stored_task is not None:
            architecture = self.spec.heads[self.stored_task].architecture or architecture
        config = dict(self.config, architectures=[architecture])
        # Of a head whose outputs are no labels, the config need only give the right number.
        fixed = self.head is None or self.head.fixed_outputs is not None
        if self.head is not None and self.head.counted_by != "num_labels":
            config[self.head.counted_by] = self.num_labels
        elif self.num_labels and not (fixed and label_count(config) == self.num_labels):
            numbered = [f"LABEL_{i}" for i in range(self.num_labels)]
            config.update(label_fields(labels_of(self) or numbered))
            config.pop("num_labels", None)
        # transformers calls it dtype since 5.0, and reads the old name no more.
        config.pop("torch_dtype", None)
        config["dtype"] = keras.backend.standardize_dtype(self.variable_dtype)
        return config

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        dtype: str | None = None,
        max_shard_size: int | str | None = None,
        tokenizer: bool = True,
    ) -> None:
        """Writes a checkpoint that PyTorch `transformers` opens: `config.json` and the weights.

        A checkpoint that is in the folder is replaced as a whole, other files stay.

        Args:
            folder: Where to write; made if it is missing.
            dtype: `"float32"`, `"float16"` or `"bfloat16"`, to save in another precision.
                Default: that of the variables.
            max_shard_size: In bytes, or a string such as `"5GB"`: larger weights are split
                into several files with an index. Default: one file, `model.safetensors`.
            tokenizer: Also write the tokenizer of the checkpoint that the model came from, unless
                one is there.

        Raises:
            ArgumentError: If an argument is not understood; nothing is written then.
            CheckpointError: If weights are too large for `dtype`; nothing is written then.

        Example:
            >>> model.save_pretrained("my-bert", dtype="float16", max_shard_size="200MB")
        """
        shard_bytes = read_options(dtype, max_shard_size)
        tensors, config = transfer.collect_tensors(self), self.hf_config()
        if dtype is not None:
            tensors, config["dtype"] = cast(tensors, dtype), dtype
        with replaced_checkpoint(Path(folder)) as new:
            write_weights(new, tensors, shard_bytes)
            write_config(new, config)
            if self.writes:
                write_generation(new, self.source)
        if self.task_name == EMBEDDING and self.stored_task is None:
            head = self.spec.heads[EMBEDDING]
            write_modules(Path(folder), head.pooling, head.normalize, self.spec.width)
        if tokenizer and any(isinstance(t.spec.front, TokensSpec) for t in self.towers):
            write_tokenizer(Path(folder), self.source)

    def load_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Takes over the weights of a checkpoint of the same architecture and head.

        The rows of a head whose labels have names go to the labels of these names.

        Raises:
            CheckpointError: If they are missing, damaged, of another architecture, or of other
                labels.
            ArgumentError: If the model has adapters, which a checkpoint has in its kernels.
        """
        if has_adapters(self):
            raise ArgumentError(
                "load_pretrained: this model has adapters (lora=) beside its kernels, and a "
                "checkpoint has them in its kernels. Load it into a model without."
            )
        labels = HeadLabels.of(labels_of(self), label_names(read_config(Path(folder))))
        with CheckpointReader(Path(folder)) as reader:
            transfer.load_weights(self, reader, new_head=False, labels=labels)

    def get_config(self) -> dict[str, Any]:
        return {
            "config": dict(self.config),
            "task": self.task_name,
            "num_labels": self.num_labels,
            "pooling": self.spec.heads[EMBEDDING].pooling,
            "normalize": self.spec.heads[EMBEDDING].normalize,
            "seed": self.seed,
            "ignore_config_fields": list(self.ignore_config_fields),
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> TransformerModel:
        config["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        return cls(**config)
