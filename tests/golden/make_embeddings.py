"""Writes `embeddings.json`: the vectors that sentence-transformers makes with the tiny BERT.

The tests read that file and so run without sentence-transformers. To write it again, run this
where it is installed:

    python tests/golden/make_embeddings.py

It holds `texts`, and `cases`: for each pooling, with and without scaling to length 1, the files
that sentence-transformers writes beside the checkpoint (by name), what ktlite calls the pooling,
and the vectors, float [texts, 32].
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from sentence_transformers import SentenceTransformer, models

HERE = Path(__file__).parent
MAX_LENGTH = 12
TEXTS = [
    "good film",
    "bad film, bad film, and again a bad film: so bad that the text is cut before its end",
    "a",
    "",
    "房间很干净",
]
POOLINGS = {"mean": "mean", "cls": "first", "max": "max", "mean_sqrt_len_tokens": "mean_sqrt"}
FILES = ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json")


def case(folder: Path, pooling: str, normalize: bool) -> dict[str, object]:
    transformer = models.Transformer(str(folder), max_seq_length=MAX_LENGTH)
    width = transformer.get_word_embedding_dimension()
    steps = [transformer, models.Pooling(width, pooling_mode=pooling)]
    model = SentenceTransformer(
        modules=[*steps, models.Normalize()] if normalize else steps, device="cpu"
    )
    with tempfile.TemporaryDirectory() as saved:
        model.save(saved)
        there = [Path(saved, name) for name in FILES]
        files = {
            name: json.loads(path.read_text())
            for name, path in zip(FILES, there, strict=True)
            if path.is_file()
        }
    # Cut by the tokenizer in any case: newer versions do not write its length into a file.
    files.setdefault("sentence_bert_config.json", {})["max_seq_length"] = MAX_LENGTH
    vectors = model.encode(TEXTS).astype("float64").round(7)
    return {
        "pooling": POOLINGS[pooling],
        "normalize": normalize,
        "files": files,
        "vectors": vectors.tolist(),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "tiny-bert")
        shutil.copytree(HERE / "tiny-tokenizer", folder)
        for file in ("config.json", "model.safetensors"):
            shutil.copy(HERE / "bert-gelu" / file, folder)
        cases = [case(folder, pooling, n) for pooling in POOLINGS for n in (False, True)]
    content = {"texts": TEXTS, "cases": cases}
    text = json.dumps(content, ensure_ascii=False, indent=None, separators=(",", ":"))
    (HERE / "embeddings.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
