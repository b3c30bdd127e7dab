"""How what two towers give is compared, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ContrastSpec:
    """A vector an image, a vector a text, and logits of their cosines.

    CLIP: Radford et al., 2021, arXiv:2103.00020. SigLIP: Zhai et al., 2023, arXiv:2303.15343.
    """

    width: int  # of the vectors
    eos_id: int | None = None  # the token whose vector is the text's, its first; None: the token
    # with the highest number
    last: bool = False  # whether it is the last of all tokens instead, of padding too
    projects_image: bool = True  # whether a dense layer without bias makes the image's vector
    text_bias: bool = False  # of the dense layer that makes the text's
    scale: float = 1.0  # of the logits at the start, as its logarithm
    pairs: bool = False  # each pair is judged alone (SigLIP): a bias is added, and the scale and it
    # are kept as [1]; if not, one text is right for each image
    pool_heads: int = 0  # of attention that makes one vector of an image; 0: the first token's
    pool_width: int = 0  # of the feed-forward network behind it
    pool_activation: str = "gelu"
    pool_eps: float = 1e-6
