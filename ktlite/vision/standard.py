"""ktrain's way with pictures that go to no checkpoint: resized to one size, values -1 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktlite._arguments import checked
from ktlite.data.preprocessor import Preprocessor
from ktlite.inputs.image_processor import ImageProcessor, Size
from ktlite.inputs.images import Images
from ktlite.tasks import Task

SIZE = (224, 224)


class StandardImagePreprocessor(Preprocessor):
    """Resizes pictures and scales their values, for models that start from scratch.

    Args:
        size: Height and width of what the model reads, or one number for both.
        class_names: Names for integer labels 0, 1, 2, ..., or for label columns.
        task: As for `ktlite.text.Transformer`.

    Raises:
        ArgumentError: If `size` is no size.

    Example:
        >>> preproc = StandardImagePreprocessor(64)
        >>> train = preproc.preprocess_train(["cats/1.jpg", "dogs/1.jpg"], ["cat", "dog"])
        >>> model = vision.image_classifier("default_cnn", train)
    """

    model_name = "standard"

    @checked
    def __init__(
        self,
        size: int | Size = SIZE,
        class_names: Sequence[Any] = (),
        *,
        task: str | Task | None = None,
    ) -> None:
        images = Images(ImageProcessor().resized(size))
        super().__init__(None, None, class_names=class_names, task_name=task, input=images)
