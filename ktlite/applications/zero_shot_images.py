"""Classification of pictures by labels that no example was given of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite.errors import DataError, Problems, plural
from ktlite.inference.runner import Forward
from ktlite.inputs.images import Images
from ktlite.inputs.images_or_texts import ImagesOrTexts
from ktlite.tasks.arrays import softmax
from ktlite.tasks.image_text import TEMPLATE, claims_of

MODEL = "openai/clip-vit-base-patch32"


class ZeroShotImageClassifier:
    """Classifies pictures by how near each label, put into a sentence, lies to them.

    Radford et al., 2021, arXiv:2103.00020: one tower of the model makes a vector of the picture,
    the other one of the sentence. Vectors of labels are made once for all pictures of a call.

    Args:
        model_name: Checkpoint of a CLIP or SigLIP model: its folder or Hub name.
        batch_size: Pictures a batch.
        revision: Branch, tag or commit on the Hub.

    Raises:
        CheckpointError: If the checkpoint cannot be used, or compares no images with texts.

    Example:
        >>> classifier = ktlite.ZeroShotImageClassifier("openai/clip-vit-base-patch32")
        >>> classifier.predict("cat.jpg", ["a cat", "a dog"], include_labels=True)
        [('a cat', 0.99), ('a dog', 0.01)]
    """

    @checked
    def __init__(
        self,
        model_name: str | os.PathLike[str] = MODEL,
        *,
        batch_size: int = 32,
        revision: str | None = None,
    ) -> None:
        from ktlite.models.auto import from_pretrained, read_comparing_spec
        from ktlite.models.checkpoint import find_checkpoint
        from ktlite.models.embedder import Embedder
        from ktlite.models.heads import ZERO_SHOT_IMAGE

        problems = Problems("ZeroShotImageClassifier")
        at_least_one(problems, batch_size=batch_size)
        problems.raise_if_any()
        self.folder = find_checkpoint(model_name, revision=revision)
        self.batch_size = batch_size
        spec = read_comparing_spec(self.folder)
        longest = spec.tokens.max_positions
        self.input = ImagesOrTexts.of_checkpoint(
            self.folder, spec, maxlen=longest, name=os.fspath(model_name)
        )
        self.model = from_pretrained(self.folder, ZERO_SHOT_IMAGE, new_head=False)
        self._forward = Forward(Embedder(self.model, normalize=True))

    def __repr__(self) -> str:
        return f"ZeroShotImageClassifier: {plural(self.model.count_params(), 'parameter')}"

    @checked
    def predict(
        self,
        images: Any,
        labels: Sequence[str],
        include_labels: bool = False,
        *,
        template: str = TEMPLATE,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> Any:
        """Says how well each label fits each picture.

        Args:
            images: A picture or a list of them: the path of a file, its bytes, a Pillow image or
                a uint8 array.
            labels: The labels, in the words of the checkpoint's texts.
            include_labels: Give (label, probability) in place of probabilities.
            template: The sentence that a label is put into, in place of `{}`.
            batch_size: Pictures a batch. Default: the classifier's.
            verbose: 1 shows a progress bar for many.

        Returns:
            For one picture a list, for several a list of lists: probabilities in the order of the
            labels. Of CLIP they sum to 1; of SigLIP, which judges each pair alone, they need not.

        Raises:
            ArgumentError: If there are no labels, or the template has no place for one.
            DataError: If a picture is none, or cannot be read.

        Example:
            >>> classifier.predict(["1.jpg", "2.jpg"], ["paper", "glass", "metal"])
        """
        size = self.batch_size if batch_size is None else batch_size
        problems = Problems("predict")
        at_least_one(problems, batch_size=size)
        problems.raise_if_any()
        claims = claims_of("predict", labels, template)
        single = Images.is_one(images)
        many = [images] if single else Images.listed(images)
        wrong = [item for item in many if not Images.accepts(item)]
        if wrong:
            raise DataError(f"predict takes {Images.expected}, or a list; got {wrong[0]!r:.60}.")
        words = self._vectors(self.input.texts.encode(claims), size, 0)
        found = self._vectors(self.input.images.encode(many), size, verbose)
        logits = self.model.head.logits(found, words)
        together = self.model.head.bias is None
        chances = softmax(logits) if together else 1 / (1 + np.exp(-logits))
        rows = [list(map(float, row)) for row in chances]
        listed: list[Any] = [list(zip(labels, row, strict=True)) for row in rows]
        answers: list[Any] = listed if include_labels else rows
        return answers[0] if single else answers

    def _vectors(self, encodings: Any, batch_size: int, verbose: int) -> np.ndarray:
        return self._forward.over(encodings, batch_size=batch_size, verbose=verbose)
