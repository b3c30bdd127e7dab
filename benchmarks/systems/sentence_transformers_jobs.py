"""The job of `compare.py` with sentence-transformers: vectors of texts."""

from __future__ import annotations

from systems.measuring import Work, main, timed


def embed(work: Work) -> dict[str, float]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(work.spec["checkpoint"], device="cpu")
    texts = work.texts("embed")
    model.encode(texts[:64], show_progress_bar=False)
    return timed(lambda: model.encode(texts, batch_size=32, show_progress_bar=False))


JOBS = {"sentence_transformers": {"embed": embed}}

if __name__ == "__main__":
    main(JOBS, ["sentence_transformers", "torch", "transformers"])
