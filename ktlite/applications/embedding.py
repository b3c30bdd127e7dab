"""Vectors of texts from a checkpoint, without training."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ktlite._arguments import checked
from ktlite.errors import Problems
from ktlite.predictor import Predictor
from ktlite.tasks import Similarity
from ktlite.text.transformer import Transformer
from ktlite.training.execution import POLICIES


@checked
def get_embedder(
    name: str | os.PathLike[str],
    maxlen: int | None = None,
    batch_size: int = 32,
    *,
    precision: str | None = None,
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
) -> Predictor:
    """Loads a checkpoint as a predictor that turns texts into vectors.

    A checkpoint of sentence-transformers gives the vectors that it gives there (its pooling, its
    scaling to length 1, its longest text); any other encoder the mean of its tokens' vectors,
    which is a poor measure of meaning until it is fine-tuned
    (`get_learner(..., task="sentence-similarity")`).

    Args:
        name: Checkpoint folder, or Hub name.
        maxlen: Longest text in tokens. Default: as the checkpoint says; else as many as it has
            positions for.
        batch_size: Texts a batch.
        precision: What to compute in: `"float32"`, `"bfloat16"` or `"float16"`. Vectors are
            float32 in any case. Default: Keras' global policy.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of the checkpoint's config.json to accept.

    Returns:
        A predictor: `embed(texts)` gives vectors, `predict((a, b))` the cosine of two texts.

    Raises:
        CheckpointError: If the checkpoint cannot be used, or makes vectors in a way that ktlite
            does not know.
        ArgumentError: If `maxlen` does not fit it, or the precision is not known.

    Example:
        >>> embedder = ktlite.get_embedder("sentence-transformers/all-MiniLM-L6-v2")
        >>> embedder.embed(["A fine film.", "A good movie."]).shape
        (2, 384)
        >>> embedder.predict(("A fine film.", "A good movie."))
        0.62
    """
    from ktlite.models.auto import from_pretrained, read_text_spec
    from ktlite.models.checkpoint import find_checkpoint
    from ktlite.models.sentence_files import read_sentence_files

    problems = Problems("get_embedder")
    problems.choice("precision", precision, [None, *POLICIES])
    problems.raise_if_any()
    task = Similarity()
    folder = find_checkpoint(name, revision=revision)
    if maxlen is None:
        longest = read_text_spec(folder, ignore_config_fields).tokens.max_positions
        maxlen = min(read_sentence_files(folder).max_length or longest, longest)
    preproc = Transformer(folder, maxlen, task=task, ignore_config_fields=ignore_config_fields)
    model = from_pretrained(
        folder,
        task.head,
        dtype=None if precision is None else POLICIES[precision],
        ignore_config_fields=ignore_config_fields,
    )
    return Predictor(model, preproc, batch_size)
