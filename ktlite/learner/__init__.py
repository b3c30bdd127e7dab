"""`Learner`: a model and its data, and everything one does with them on the way to a predictor."""

from __future__ import annotations

import os
from typing import Any

from ktlite._arguments import checked
from ktlite._hints import LEARNER, Hinted
from ktlite._logging import logger, results
from ktlite.errors import ArgumentError, Problems
from ktlite.learner import weights
from ktlite.learner.budget import Budget
from ktlite.learner.reporting import Reporting
from ktlite.learner.sizing import Sizing
from ktlite.models.adapters import save_adapters
from ktlite.training import freezing
from ktlite.training.looking import example_of, layer_output
from ktlite.training.workers import first_writes, is_first


class Learner(Reporting, Sizing, Budget, Hinted):
    """A model, its training data and its validation data.

    Made by `ktlite.get_learner`.

    Args:
        model: A compiled Keras model.
        train_data: What `preprocess_train` or a loader returns; `(x, y)` or
            `(x, y, sample_weight)` arrays; a batched `tf.data.Dataset`; a `PyDataset`.
        val_data: Likewise, to validate on.
        batch_size: Rows a training batch.
        eval_batch_size: Rows a batch at validation and prediction.
        batch_tokens: Tokens a batch of texts, at most, padding counted. Default: no bound.
        preproc: Turns raw texts into inputs. Default: the training data's.
        task: What the labels mean. Default: the preprocessor's, or read off the loss.
        seed: Of the order of the training data.

    Attributes:
        history: Keras' `History` of the last fit; None before the first.
        lr_finder: The last `lr_find`'s result; None before the first.

    Example:
        >>> learner = ktlite.get_learner("bert-base-uncased", train_data="reviews.csv",
        ...                              text_column="text", label_columns="label")
        >>> learner.lr_find(show_plot=True)
        >>> learner.fit_onecycle(5e-5, 2)
        >>> learner.get_predictor().save("reviews-predictor")
    """

    _hints = LEARNER

    def __reduce__(self) -> Any:
        raise ArgumentError(
            "a learner is neither pickled nor copied: it holds a model in training, its data and "
            "compiled functions. Keep the model with save_model(folder), what predicts with "
            "get_predictor().save(folder) (predictors can be pickled), and a training with "
            "fit(..., checkpoint_folder=folder) and resume=True."
        )

    @property
    def is_first_worker(self) -> bool:
        """Whether a script's own files are this process' to write: of several workers, one's."""
        return is_first(self.model)

    @checked
    def freeze(self, freeze_range: int | None = None, *, keep_features: bool = True) -> None:
        """Keeps the first layer groups from training; `print_layers` shows the groups.

        What is frozen runs as it does in prediction, without dropout. Where all of the encoder
        is, each text goes through it once, and the head trains on what is kept.

        Args:
            freeze_range: How many, from the input on; the others train. Default: all but
                the last group, which is the classifier.
            keep_features: Keep what a frozen encoder makes of the texts: a vector of its width
                for each, or for each token where the head looks at all. False encodes them in
                every epoch, to the same end.

        Raises:
            ArgumentError: If there are not that many groups.
        """
        count = len(freezing.layer_groups(self.model))
        frozen = count - 1 if freeze_range is None else freeze_range
        self._set_frozen("freeze", frozen, count)
        self._keep_features = keep_features
        self._release_features()

    @checked
    def unfreeze(self, exclude_range: int | None = None) -> None:
        """Lets all layer groups train, but the first `exclude_range` (default: none).

        Raises:
            ArgumentError: If there are not that many groups.
        """
        count = len(freezing.layer_groups(self.model))
        self._set_frozen("unfreeze", exclude_range or 0, count)
        self._release_features()

    def _set_frozen(self, where: str, frozen: int, count: int) -> None:
        problems = Problems(where)
        problems.add_unless(
            isinstance(frozen, int) and 0 <= frozen < count,
            f"got {frozen!r}; expected a whole number from 0 to {count - 1}: the model has "
            f"{count} layer groups, see print_layers(), and one at least must train.",
        )
        problems.raise_if_any()
        freezing.set_frozen(self.model, frozen)

    def print_layers(self) -> None:
        """Shows the layer groups: number, name, whether they train, parameters."""
        results.info("layer groups\n%s", freezing.describe_layers(self.model))

    @checked
    def set_model(self, model: Any) -> None:
        """Replaces the model; the data stays."""
        self.model = model

    @checked
    def reset_weights(self, verbose: int = 1) -> None:
        """Takes all training back: the state from before the first fit, and a fresh optimizer.

        Args:
            verbose: 0 silences the line that says so.
        """
        self._initial.restore()
        self._epochs_done = 0
        self._fits = []
        self._weights_change()
        if verbose:
            logger.info("the weights are those from before the first training again")

    @checked
    def layer_output(
        self, layer_id: int, example_id: int = 0, batch_id: int = 0, use_val: bool = False
    ) -> Any:
        """Returns what a layer makes of one example, to look into a model.

        Args:
            layer_id: Number of the layer in `model.layers`.
            example_id: Number of the example in its batch.
            batch_id: Number of the batch, of data in its own order.
            use_val: Take the validation data.

        Returns:
            The layer's output, an array [1, ...], or as many of them as the layer has.

        Raises:
            ArgumentError: If there is no such layer or example, or the layer does not run.

        Example:
            >>> learner.layer_output(1).shape
            (1, 7, 50)
        """
        feed = self._val_feed("layer_output") if use_val else self._train_feed("layer_output")
        inputs = example_of(feed, batch_id, example_id)
        return layer_output(self.model, layer_id, inputs)

    @checked
    def save_model(self, path: str | os.PathLike[str]) -> None:
        """Saves the model as a Hugging Face checkpoint folder, with its tokenizer.

        Other Keras models are saved as `model.keras` inside the folder.

        Args:
            path: The folder. A saved model that is there is replaced.

        Raises:
            ArgumentError: If something else is there.

        Example:
            >>> learner.save_model("my-bert")   # AutoModelForSequenceClassification opens it
        """
        with first_writes(self.model, path) as first:
            if first:
                weights.save_model(self.model, self.preproc, path, self.card)

    @checked
    def save_adapters(self, path: str | os.PathLike[str]) -> None:
        """Saves what training with `lora=` has learned, without the checkpoint that it began with.

        `ktlite.load_model(checkpoint, adapters=path)` puts both together, and so does Hugging
        Face's PEFT. (`save_model` and a saved predictor have the adapters in their weights.)

        Args:
            path: The folder. Adapters that are there are replaced, anything else is refused.

        Raises:
            ArgumentError: If the model has no adapters, or something else is there.
        """
        base = getattr(self.preproc, "model_name", "")
        revision = getattr(self.preproc, "revision", None)
        with first_writes(self.model, path) as first:
            if first:
                save_adapters(self.model, path, base, revision)

    @checked
    def load_model(self, path: str | os.PathLike[str]) -> None:
        """Takes over the weights of a folder that `save_model` or `Predictor.save` wrote.

        Raises:
            ArgumentError: If there are none for such a model.
            CheckpointError: If they are damaged.
        """
        weights.load_model(self.model, path)
        self._weights_change()


__all__ = ["Learner"]
