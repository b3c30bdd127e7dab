"""Classification by labels that no example was given of."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked, not_a_string, without_effect
from ktlite.errors import CheckpointError, DataError, Problems, listing, plural
from ktlite.inference.runner import Forward
from ktlite.inputs.texts import check_texts
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.tasks.arrays import softmax

# A small model that was trained for this, under the MIT licence.
MODEL = "MoritzLaurer/deberta-v3-xsmall-zeroshot-v1.1-all-33"


class ZeroShotClassifier:
    """Classifies texts by how much each label, put into a sentence, follows from them.

    Yin et al., 2019, arXiv:1909.00161: a model of natural language inference reads the text as
    premise and "This text is about {label}." as hypothesis.

    Args:
        model_name: Checkpoint that was fine-tuned to tell entailment from contradiction (or
            from what is not entailed): its folder or Hub name.
        device: Accepted for ktrain's sake.
        quantize: Refused: it would change probabilities.
        batch_size: Pairs of text and label a batch.
        revision: Branch, tag or commit on the Hub.

    Raises:
        CheckpointError: If the checkpoint cannot be used, or its labels are others.

    Example:
        >>> classifier = ktlite.ZeroShotClassifier()
        >>> classifier.predict("The minister resigned.", ["politics", "sport"], include_labels=True)
        [('politics', 0.97), ('sport', 0.01)]
    """

    @checked
    def __init__(
        self,
        model_name: str | os.PathLike[str] = MODEL,
        device: Any = None,
        quantize: bool = False,
        *,
        batch_size: int = 32,
        revision: str | None = None,
    ) -> None:
        from ktlite.models import from_pretrained
        from ktlite.models.checkpoint import find_checkpoint
        from ktlite.models.config import read_config

        problems = Problems("ZeroShotClassifier")
        problems.add_unless(not quantize, "quantize=True would change probabilities; leave it out.")
        problems.raise_if_any()
        without_effect("ZeroShotClassifier", device=device)
        self.folder = find_checkpoint(model_name, revision=revision)
        self.batch_size = batch_size
        names = read_config(self.folder).get("id2label", {})
        labels = {str(label).lower(): int(number) for number, label in names.items()}
        against = labels.get("contradiction", labels.get("not_entailment"))
        if "entailment" not in labels or against is None:
            raise CheckpointError(
                f"{self.folder}: config.json names the labels {listing(names.values()) or 'none'}; "
                "zero-shot classification needs a model with entailment and contradiction (or "
                f"not_entailment), such as {MODEL}."
            )
        self._against, self._for = against, labels["entailment"]
        self.model = from_pretrained(self.folder, "text-classification", new_head=False)
        self._forward = Forward(self.model)
        # By length: reading tokenizer.json takes longer than a text.
        self._tokenizer = functools.lru_cache(maxsize=4)(functools.partial(Tokenizer, self.folder))

    def __repr__(self) -> str:
        return f"ZeroShotClassifier: {plural(self.model.count_params(), 'parameter')}"

    @checked
    def predict(
        self,
        docs: Any,
        labels: Sequence[str] = (),
        include_labels: bool = False,
        multilabel: bool = True,
        max_length: int = 512,
        batch_size: int | None = None,
        nli_template: str = "This text is about {}.",
        topic_strings: Sequence[str] = (),
        verbose: int = 0,
    ) -> Any:
        """Says how well each label fits each text.

        Args:
            docs: A text or a list of texts.
            labels: The labels, in the texts' language.
            include_labels: Give (label, probability) in place of probabilities.
            multilabel: Each label is judged alone, so that any number of them may fit. False:
                one of them does, and probabilities sum to 1.
            max_length: Longest pair of text and label in tokens; the text's end is cut. At most
                what the checkpoint has positions for.
            batch_size: Pairs of text and label a batch. Default: the classifier's.
            nli_template: The sentence that a label is put into, in place of `{}`.
            topic_strings: ktrain's older name of `labels`.
            verbose: 1 shows a progress bar for many.

        Returns:
            For one text a list, for a list of texts a list of lists: probabilities in the
            order of the labels.

        Raises:
            ArgumentError: If there are no labels, or the template has no place for one.
            DataError: If a text is no string.
        """
        names = list(labels) or list(topic_strings)
        size = self.batch_size if batch_size is None else batch_size
        problems = Problems("predict")
        not_a_string(problems, labels=labels, topic_strings=topic_strings)
        problems.add_unless(
            bool(names) and all(isinstance(name, str) and name.strip() for name in names),
            f"labels={labels!r}; expected a list of words or phrases, such as ['politics'].",
        )
        problems.add_unless(
            "{}" in nli_template, f"nli_template={nli_template!r} has no {{}} for the label."
        )
        at_least_one(problems, max_length=max_length, batch_size=size)
        problems.raise_if_any()
        single = isinstance(docs, str)
        texts = [docs] if single else list(docs)
        if not all(isinstance(text, str) for text in texts):
            raise DataError("predict takes a string or a list of strings.")
        check_texts(texts)
        claims = [nli_template.replace("{}", name) for name in names]
        longest = min(max_length, self.model.spec.tokens.max_positions)
        pairs = [(text, claim) for text in texts for claim in claims]
        encodings = self._tokenizer(longest).encode(pairs, verbose=verbose)
        outputs = self._forward.over(encodings, batch_size=size, verbose=verbose)
        scores = outputs.reshape(len(texts), len(names), -1)
        if multilabel:
            chances = softmax(scores[..., [self._against, self._for]])[..., 1]
        else:
            chances = softmax(scores[..., self._for])
        found = [_listed(row, names, include_labels) for row in chances]
        return found[0] if single else found


def _listed(chances: np.ndarray, names: Sequence[str], include_labels: bool) -> list[Any]:
    values = chances.tolist()
    return list(zip(names, values, strict=True)) if include_labels else values
