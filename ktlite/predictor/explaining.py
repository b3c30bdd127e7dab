"""The method of a `Predictor` that says what moved a prediction."""

from __future__ import annotations

import functools
from typing import Any

from ktlite._arguments import at_least_one, checked
from ktlite._logging import logger
from ktlite.errors import ArgumentError, Problems
from ktlite.explain import (
    METHODS,
    Options,
    PathGradients,
    Subject,
    explained,
)
from ktlite.predictor.predicting import Predicting

_GRADIENTS = "integrated-gradients"


class Explaining(Predicting):
    """Raw examples to explanations."""

    @checked
    def explain(
        self,
        doc: Any,
        truncate_len: int = 512,
        all_targets: bool = False,
        n_samples: int = 1000,
        *,
        method: str | None = None,
        target: Any = None,
        seed: int = 42,
    ) -> Any:
        """Says how much each word, or patch of an image, speaks for a prediction, or against it.

        All methods compare with an example without them: a text whose words the mask token stands
        in for; an image that is grey, of the mean colour that the checkpoint's preprocessing
        subtracts, so that the model gets zeros.

        - `"integrated-gradients"` (Sundararajan et al., 2017, arXiv:1703.01365): of all parts
          together, and their scores add up to what the parts make.
        - `"occlusion"` (Zeiler and Fergus, 2014; Li et al., 2016, arXiv:1612.08220): of each
          part by itself, the others being there. A run of the model for each part.
        - `"lime"` (Ribeiro et al., 2016, arXiv:1602.04938): a linear model of `n_samples`
          examples that lack some of the parts.

        Args:
            doc: What `predict` takes: an example, or a list of them.
            truncate_len: Words of each text, at most; the rest is left out.
            all_targets: Explain every class, every number of a regression, every entity.
            n_samples: Examples for LIME.
            method: One of these. Default: integrated gradients; occlusion for models without
                word vectors (baselines), and for runtimes without gradients.
            target: What to explain in place of the prediction: a class; for tags words of the
                text, or the number of one; a part of the context as an answer.
            seed: Of LIME's samples.

        Returns:
            For one example an `Explanation`, for a list a list. With `all_targets` a list of them
            in place of each, the prediction's first.

        Raises:
            ArgumentError: If the kind of input, the task, the target or the method cannot be
                explained.
            DataError: If an example is not of a kind that the task takes, or cannot be read.

        Example:
            >>> print(predictor.explain("A warm, funny film."))
            positive, probability 0.990 | integrated-gradients
            A warm, funny film.
              +3.1205  ████████████████████  funny
              +1.8120  ████████████          warm
                       differences of logits: + speaks for positive, - against it
        """
        problems = Problems("explain")
        at_least_one(problems, truncate_len=truncate_len, n_samples=n_samples)
        problems.choice("method", method, [None, *METHODS])
        problems.add_unless(
            not (all_targets and target is not None), "give target or all_targets, not both."
        )
        problems.raise_if_any()
        self.preproc.task.check_explained()
        gradients = self._gradients if method in (None, _GRADIENTS) else None
        if method == _GRADIENTS and gradients is None:
            raise ArgumentError(
                f"explain: method={method!r}: this model, or its runtime, gives no gradients; take "
                "'occlusion' or 'lime'."
            )
        chosen = method or ("occlusion" if gradients is None else _GRADIENTS)
        options = Options(gradients, n_samples, seed)
        many, single = self.preproc.as_list(doc)
        found = []
        for example in many:
            example, left_out = self.preproc.input.shortened(example, truncate_len)
            subject = Subject(example, self.preproc, self._forward, self.batch_size)
            aims = subject.aims(target)[: None if all_targets else 1]
            explanations = [explained(subject, aim, chosen, options, left_out) for aim in aims]
            found.append(explanations if all_targets else explanations[0])
        return found[0] if single else found

    @functools.cached_property
    def _gradients(self) -> PathGradients | None:
        if PathGradients.applies_to(self.model):
            return PathGradients(self.model)
        logger.info("explain: the model gives no gradients; parts are left out in turn instead.")
        return None
