"""ktrain's `image_classifier` and `image_regression_model`: checkpoints, and one from scratch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ktlite._arguments import checked
from ktlite.data.dataset import Dataset, joined
from ktlite.errors import Problems, did_you_mean, listing
from ktlite.inputs.images import Images
from ktlite.tasks import MultiLabel, Regression
from ktlite.text.checkpoint_names import names_checkpoint
from ktlite.text.loaders import STANDARD
from ktlite.text.models import show_names
from ktlite.training.freezing import set_frozen
from ktlite.vision.standard import StandardImagePreprocessor

CNN = "default_cnn"
#: The models that start from scratch, and what each is, in a line.
MODELS = {CNN: "three blocks of a convolution and a pooling, without pretraining"}
CHECKPOINTS = {
    "CHECKPOINT": "a ViT or DeiT that preprocess_mode named: its folder or Hub name, or for short "
    "its architecture, vit or deit",
}
_EXAMPLE = "google/vit-base-patch16-224-in21k"
# ktrain's networks of keras.applications.
_NETWORKS = ("resnet50", "mobilenet", "mobilenetv3", "inception", "efficientnetb1",
             "efficientnetb7")  # fmt: skip
_KTRAINS = ("wrn22", *_NETWORKS, *(f"pretrained_{name}" for name in _NETWORKS))


def image_classifiers() -> dict[str, str]:
    """Returns the models that `image_classifier` makes from scratch: name -> what it is.

    Example:
        >>> list(vision.image_classifiers())
        ['default_cnn']
    """
    return dict(MODELS)


def image_regression_models() -> dict[str, str]:
    """Returns the models that `image_regression_model` makes from scratch: name -> what it is."""
    return dict(MODELS)


def print_image_classifiers() -> None:
    """Shows the models that `image_classifier` makes, under ktrain's name."""
    show_names("image_classifier", {**image_classifiers(), **CHECKPOINTS})


def print_image_regression_models() -> None:
    """Shows the models that `image_regression_model` makes, under ktrain's name."""
    show_names("image_regression_model", {**image_regression_models(), **CHECKPOINTS})


@checked
def image_classifier(
    name: str | os.PathLike[str],
    train_data: Dataset,
    val_data: Any = None,
    freeze_layers: int | None = None,
    metrics: Sequence[Any] | None = None,
    optimizer_name: Any = "adam",
    multilabel: bool | None = None,
    pt_fc: Sequence[int] = (),
    pt_ps: Sequence[float] = (),
    verbose: int = 1,
    *,
    loss: Any = None,
    label_smoothing: float = 0.0,
    seed: int = 42,
    **execution: Any,
) -> Any:
    """Returns a compiled classifier for pictures that a loader loaded.

    Args:
        name: The checkpoint, the same as in the loader's `preprocess_mode`. Or, of data that was
            loaded with `preprocess_mode="standard"`, a model to train from scratch: one of
            `image_classifiers()`.
        train_data: The training data.
        val_data: Accepted for ktrain's sake; `get_learner` takes it.
        freeze_layers: How many of the first groups of layers do not train, as
            `learner.freeze(n)` counts them. Default: all train.
        metrics: As in `Transformer.get_classifier`.
        optimizer_name: `"adam"`, which is AdamW here.
        multilabel: As in `Transformer.get_classifier`.
        pt_fc: Layers in front of the last one, which are not here: leave it empty.
        pt_ps: Their dropout: likewise.
        verbose: Accepted for ktrain's sake.
        loss: As in `Transformer.get_classifier`.
        label_smoothing: Likewise.
        seed: Of new weights and of dropout.
        **execution: `precision`, `strategy`, `devices`, `xla`, `accumulate` and others, as in
            `get_learner`.

    Raises:
        ArgumentError: If the data was loaded for another model, or arguments cannot work.

    Example:
        >>> model = vision.image_classifier("default_cnn", train, val)
        >>> learner = ktlite.get_learner(model, train, val)
    """
    problems = Problems("image_classifier")
    data = _pictures(problems, train_data)
    task = data.preproc.task
    problems.add_unless(
        multilabel is None or multilabel == isinstance(task, MultiLabel),
        f"multilabel={multilabel!r}, but the labels were taken for {task.name}.",
    )
    problems.add_unless(
        not isinstance(task, Regression),
        "the labels are numbers to predict: image_regression_model makes models for them.",
    )
    _check_ktrains(problems, optimizer_name, pt_fc, pt_ps)
    options = {"loss": loss, "label_smoothing": label_smoothing, "seed": seed, **execution}
    return _made(problems, name, data, metrics, freeze_layers, options)


@checked
def image_regression_model(
    name: str | os.PathLike[str],
    train_data: Dataset,
    val_data: Any = None,
    freeze_layers: int | None = None,
    metrics: Sequence[Any] | None = None,
    optimizer_name: Any = "adam",
    pt_fc: Sequence[int] = (),
    pt_ps: Sequence[float] = (),
    verbose: int = 1,
    *,
    loss: Any = None,
    seed: int = 42,
    **execution: Any,
) -> Any:
    """Returns a compiled regression model; arguments as `image_classifier`.

    Those from scratch are in `image_regression_models()`.
    """
    problems = Problems("image_regression_model")
    data = _pictures(problems, train_data)
    problems.add_unless(
        isinstance(data.preproc.task, Regression),
        f"the labels were taken for {data.preproc.task.name}; load them with is_regression=True.",
    )
    _check_ktrains(problems, optimizer_name, pt_fc, pt_ps)
    options = {"loss": loss, "seed": seed, **execution}
    return _made(problems, name, data, metrics, freeze_layers, options)


def _pictures(problems: Problems, train_data: Any) -> Dataset:
    """Returns the training data as a loader made it; it may have been unpacked into (x, y)."""
    data = joined(train_data)
    if not isinstance(data, Dataset):
        problems.add(
            f"train_data is of type {type(data).__name__}; expected what a loader such as "
            "images_from_folder returned, or (x, y) of it."
        )
    elif not isinstance(data.preproc.input, Images):
        problems.add(f"train_data has {data.preproc.input.noun}s; expected images.")
    elif data.targets is None:
        problems.add("train_data has no labels.")
    problems.raise_if_any()
    return data


def _check_ktrains(problems: Problems, optimizer: Any, layers: Any, dropout: Any) -> None:
    """Records arguments of ktrain's that would change the model, and do not here."""
    problems.add_unless(
        optimizer == "adam",
        f"optimizer_name={optimizer!r}: models are compiled with AdamW; for another, "
        "model.compile(optimizer=..., loss=model.loss) what is returned without it.",
    )
    for name, value in (("pt_fc", layers), ("pt_ps", dropout)):
        problems.add_unless(
            not len(value), f"{name}={value!r}: the head is one layer here; leave it out."
        )


def _made(
    problems: Problems,
    name: str | os.PathLike[str],
    data: Dataset,
    metrics: Sequence[Any] | None,
    freeze_layers: int | None,
    options: dict[str, Any],
) -> Any:
    preproc: Any = data.preproc
    problems.add_unless(
        freeze_layers is None or (isinstance(freeze_layers, int) and freeze_layers >= 0),
        f"freeze_layers={freeze_layers!r}; expected a number of layers.",
    )
    said = _wrong_name(os.fspath(name), preproc)
    problems.add_unless(said is None, said or "")
    problems.raise_if_any()
    if isinstance(preproc, StandardImagePreprocessor):
        model = _from_scratch(problems.where, preproc, metrics, **options)
    elif isinstance(preproc.task, Regression):
        model = preproc.get_regression_model(None, metrics, **options)
    else:
        model = preproc.get_classifier(None, None, metrics, **options)
    if freeze_layers:
        set_frozen(model, freeze_layers)
    return model


def _wrong_name(name: str, preproc: Any) -> str | None:
    """Says why no model of this name can be made for some data; None: one can."""
    if name in _KTRAINS:
        return (
            f"name={name!r} is not here. Take a checkpoint of a ViT or DeiT: load the data with "
            f"preprocess_mode={_EXAMPLE!r}, and name it here, too; or {CNN!r}, from scratch. A "
            "network of keras.applications trains as any Keras model of your own: "
            "ktlite.get_learner(model, train_data=(x, y))."
        )
    if isinstance(preproc, StandardImagePreprocessor):
        if name in MODELS:
            return None
        return (
            f"name={name!r} is not known; from scratch there are {listing(MODELS)}."
            f"{did_you_mean(name, MODELS)} A checkpoint needs data that was loaded with "
            f"preprocess_mode={name!r}."
        )
    if names_checkpoint(name, preproc):
        return None
    anew = "load the data with that checkpoint as preprocess_mode, or name the other one here."
    if name in MODELS:
        anew = f"{name!r} starts from scratch: load the data with preprocess_mode={STANDARD!r}."
    return f"name={name!r}, but the pictures were loaded for {preproc.model_name!r}; {anew}"


def _from_scratch(
    where: str,
    preproc: StandardImagePreprocessor,
    metrics: Sequence[Any] | None,
    *,
    loss: Any,
    label_smoothing: float = 0.0,
    seed: int,
    **execution: Any,
) -> Any:
    from ktlite.models import from_config
    from ktlite.training.execution import Execution

    task, images = preproc.task, preproc.input
    assert isinstance(images, Images)
    config: Mapping[str, Any] = {
        "model_type": "ktlite-convolutional", "image_size": list(images.size)
    }  # fmt: skip

    def make(policy: str | None) -> Any:
        return from_config(config, preproc.head, num_labels=task.outputs, seed=seed, dtype=policy)

    return Execution.of(where, execution).build(make, task, metrics, loss, label_smoothing)
