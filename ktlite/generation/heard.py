"""The likeliest text of frames that may say it in many ways (CTC)."""

from __future__ import annotations

import numpy as np


def search(chances: np.ndarray, blank: int, beams: int) -> np.ndarray:
    """Returns the likeliest text among those that some beams lead to.

    Each beam is a text, with the sum over all ways in which frames say it (Graves and Jaitly, 2014,
    "Towards end-to-end speech recognition with recurrent neural networks", ICML; Hannun et al.,
    2014, arXiv:1408.2873).

    Args:
        chances: float [frames, tokens], their logarithms.
        blank: The number of the blank.
        beams: Texts that are looked at together.

    Returns:
        int32 [tokens of the text].
    """
    texts: list[tuple[int, ...]] = [()]
    # Of each text: that the last frame said the blank, and that it said the text's last token.
    quiet, loud = np.zeros(1), np.full(1, -np.inf)
    for frame in chances:
        last = np.array([text[-1] if text else blank for text in texts])
        rows, either = np.arange(len(texts)), np.logaddexp(quiet, loud)
        longer = either[:, None] + frame
        longer[rows, last] = quiet + frame[last]  # the same again takes a blank between
        longer[:, blank] = -np.inf
        said = np.where(last == blank, -np.inf, loud + frame[last])
        found = {text: row for row, text in enumerate(texts)}
        for row, text in enumerate(texts):
            before = found.get(text[:-1]) if text else None
            if before is not None:
                said[row] = np.logaddexp(said[row], longer[before, last[row]])
                longer[before, last[row]] = -np.inf
        silent = either + frame[blank]
        all_of_them = np.concatenate([np.logaddexp(silent, said), longer.ravel()])
        best = np.argsort(-all_of_them, kind="stable")[:beams]
        best = best[np.isfinite(all_of_them[best])]
        kept, grown = best[best < len(texts)], best[best >= len(texts)] - len(texts)
        parents, tokens = np.divmod(grown, len(frame))
        texts = [texts[row] for row in kept] + [
            (*texts[row], int(token)) for row, token in zip(parents, tokens, strict=True)
        ]
        quiet = np.concatenate([silent[kept], np.full(len(grown), -np.inf)])
        loud = np.concatenate([said[kept], longer[parents, tokens]])
    best_of_all = int(np.argmax(np.logaddexp(quiet, loud)))
    return np.array(texts[best_of_all], "int32")
