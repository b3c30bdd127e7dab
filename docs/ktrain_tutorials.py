"""Runs what ktrain's tutorials call (`ktrain_tutorials.toml`), and counts what runs here.

python docs/ktrain_tutorials.py             # the table and what is different, as Markdown
python docs/ktrain_tutorials.py --write     # the same, into docs/from-ktrain.md
python docs/ktrain_tutorials.py --save before.json   # what each cell did, to compare with
python docs/ktrain_tutorials.py --before docs/ktrain_tutorials_before.json --write

Each cell is run with `ktrain` imported from `ktlite`. A cell that fails is run as its `instead`
says; one that has none is not here. No network is needed: the checkpoints that the tutorials name
are tiny ones of random weights, in a Hugging Face cache of the script's own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CELLS = Path(__file__).with_suffix(".toml")
PAGE = Path(__file__).with_name("from-ktrain.md")
BEGIN, END = "<!-- made by ktrain_tutorials.py: begin -->", "<!-- end -->"

UNCHANGED, IMPORT, CHANGED, MISSING = "unchanged", "import changed", "changed", "not here"
KINDS = (UNCHANGED, IMPORT, CHANGED, MISSING)

# The checkpoints that the tutorials name: architecture, and the head that they have.
ENTAILMENT = {"0": "entailment", "1": "neutral", "2": "contradiction"}
CHECKPOINTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert-base-uncased": ("bert", "masked-lm", {}),
    "bert-base-cased": ("bert", "masked-lm", {}),
    "bert-base-chinese": ("bert", "masked-lm", {}),
    "bert-base-multilingual-cased": ("bert", "masked-lm", {}),
    "distilbert-base-uncased": ("distilbert", "masked-lm", {}),
    "roberta-base": ("roberta", "masked-lm", {}),
    "wietsedv/bert-base-dutch-cased": ("bert", "masked-lm", {}),
    "aubmindlab/bert-base-arabertv01": ("bert", "masked-lm", {}),
    "monologg/biobert_v1.1_pubmed": ("bert", "masked-lm", {}),
    "bert-large-uncased-whole-word-masking-finetuned-squad": ("bert", "question-answering", {}),
    "google/vit-base-patch16-224-in21k": ("vit", "", {}),
    "Helsinki-NLP/opus-mt-zh-en": ("marian", "text2text-generation", {}),
    "Helsinki-NLP/opus-mt-zh-de": ("marian", "text2text-generation", {}),
    "facebook/bart-large-cnn": ("bart", "text2text-generation", {}),
    "facebook/wav2vec2-base-960h": ("wav2vec2-ctc", "", {}),
    "MoritzLaurer/deberta-v3-xsmall-zeroshot-v1.1-all-33": (
        "bert", "text-classification", {"id2label": ENTAILMENT},
    ),
}  # fmt: skip
WRITES = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
          "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
          "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 0,
          "forced_eos_token_id": 3, "is_encoder_decoder": True}  # fmt: skip
SIZES = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 32, "max_position_embeddings": 512},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32,
                   "max_position_embeddings": 512},
    "roberta": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 32, "max_position_embeddings": 514, "type_vocab_size": 1,
                "pad_token_id": 0},
    "marian": {**WRITES, "max_position_embeddings": 512},
    "bart": {**WRITES, "max_position_embeddings": 1024},
    "vit": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 32, "patch_size": 56},
}  # fmt: skip


def read_cells() -> list[dict[str, Any]]:
    """Returns the tutorials, each with its cells."""
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef]
    tutorials: list[dict[str, Any]] = tomllib.loads(CELLS.read_text(encoding="utf-8"))["tutorial"]
    return tutorials


def make_hub(cache: Path) -> None:
    """Writes tiny checkpoints into a cache as huggingface_hub keeps it."""
    from ktlite.models import from_config

    tokenizer = ROOT / "tests" / "golden" / "tiny-tokenizer"
    vocabulary = len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
    made: dict[str, Path] = {}
    for name, (kind, task, more) in CHECKPOINTS.items():
        key = f"{kind} {task}"
        top = cache / f"models--{name.replace('/', '--')}"
        folder = top / "snapshots" / ("0" * 40)
        if key in made:
            shutil.copytree(made[key], folder)
        elif kind not in SIZES:  # as it is among the golden ones
            shutil.copytree(ROOT / "tests" / "golden" / kind, folder)
            made[key] = folder
        else:
            config = {"model_type": kind, **SIZES[kind], **more}
            if kind != "vit":
                shutil.copytree(tokenizer, folder)
                config["vocab_size"] = vocabulary
            labels = len(more["id2label"]) if more else None
            from_config(config, task or None, num_labels=labels).save_pretrained(folder)
            if kind == "distilbert":  # reads no token types, as its own tokenizer knows
                settings = json.loads((folder / "tokenizer_config.json").read_text())
                settings["model_input_names"] = ["input_ids", "attention_mask"]
                (folder / "tokenizer_config.json").write_text(json.dumps(settings))
            if more:
                written = json.loads((folder / "config.json").read_text())
                (folder / "config.json").write_text(json.dumps({**written, **more}))
            made[key] = folder
        (top / "refs").mkdir()
        (top / "refs" / "main").write_text("0" * 40)


def make_pictures() -> Any:
    """Writes small pictures where the tutorials look for them; returns some, uint8."""
    import numpy as np
    from PIL import Image

    pictures = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 3), "uint8")
    pictures[::2, :14] //= 4  # so that there is something to learn
    files = [
        f"mnist_png/{part}/{n % 10}/{n}.png" for n in range(20) for part in ("training", "testing")
    ]
    files += ["mnist_png/testing/7/7021.png", "cat.jpg"]
    for top, other in (("dogscats", "valid"), ("cats_and_dogs_filtered", "validation")):
        for number in range(16):
            kind, part = ("cats", "dogs")[number % 2], ("train", other)[number > 9]
            files.append(f"{top}/{part}/{kind}/{kind[:3]}.{10006 + number}.jpg")
    files += [f"oxford-iiit-pet/images/{('Ragdoll', 'beagle')[n % 2]}_{n}.jpg" for n in range(20)]
    files += [f"age_estimation/images/{20 + n}_1_0_2017.jpg" for n in range(20)]
    files += [f"planet/train-jpg/train_{n}.jpg" for n in range(20)]
    for number, name in enumerate(files):
        file = Path("data", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[number % len(pictures)]).save(file)
    tags = ["clear primary", "haze", "clear water", "haze primary water"]
    lines = [f"train_{n},{tags[n % 4]}" for n in range(20)]
    Path("data/planet/train_v2.csv").write_text("\n".join(["image_name,tags", *lines]) + "\n")
    return pictures


def make_data() -> dict[str, Any]:
    """Writes small files where the tutorials look for them; returns what they have in memory."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    nouns = ["film", "plot", "cast", "score", "story"]
    texts, labels = [], []
    for number in range(40):
        word = ("fine", "dull")[number % 2]
        texts.append(f"a {word} {nouns[number % 5]} and {word} {nouns[(number // 5) % 5]}")
        labels.append(1 - number % 2)
    for number, (text, label) in enumerate(zip(texts, labels, strict=True)):
        part = "test" if number >= 32 else "train"
        folder = Path("data", "aclImdb", part, ("neg", "pos")[label])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_text(text)
    Path("data/notes").mkdir()
    documents = [
        f"The Cassini probe was launched in October of {1990 + n}. It flew to Saturn and sent many "
        "pictures of its rings and of its moons back to Earth for years." for n in range(8)
    ]  # fmt: skip
    for number, document in enumerate(documents):
        Path("data/notes", f"{number}.txt").write_text(document)
    flags = random.integers(0, 2, (40, 6))
    flags[0], flags[1] = (1, 1, 0, 1, 1, 0), (0, 0, 0, 0, 0, 0)
    kinds = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
    columns = dict(zip(kinds, flags.T, strict=True))
    pd.DataFrame({"comment_text": texts, **columns}).to_csv("data/toxic.csv", index=False)
    names = ["Anna", "Paris", "Berlin", "Otto"]
    words = [[names[n % 4], "lives", "in", names[(n + 1) % 4], "."] for n in range(20)]
    tags = [["B-PER" if n % 4 in (0, 3) else "B-LOC", "O", "O",
             "B-PER" if (n + 1) % 4 in (0, 3) else "B-LOC", "O"] for n in range(20)]  # fmt: skip
    for file in ("train", "valid"):
        lines = [
            "\n".join(f"{w} NN B-NP {t}" for w, t in zip(*pair, strict=True))
            for pair in zip(words, tags, strict=True)
        ]
        Path(f"data/{file}.txt").write_text("-DOCSTART- -X- -X- O\n\n" + "\n\n".join(lines) + "\n")
        dutch = [line.replace(" NN B-NP ", " N ") for line in lines]  # CoNLL-2002: three columns
        Path("data", {"train": "ned.train", "valid": "ned.testb"}[file]).write_text(
            "\n\n".join(dutch) + "\n"
        )
    rows = [(n, w, t) for n in range(20) for w, t in zip(words[n], tags[n], strict=True)]
    tagged = pd.DataFrame(rows, columns=["SentenceID", "Word", "Tag"])
    gmb = [  # sentences are named at their first words
        ("" if n else f"Sentence: {s + 1}", w, "NN", t)
        for s in range(20)
        for n, (w, t) in enumerate(zip(words[s], tags[s], strict=True))
    ]
    pd.DataFrame(gmb, columns=["Sentence #", "Word", "POS", "Tag"]).to_csv(
        "data/ner_dataset.csv", index=False
    )
    for number in range(30):
        name = ("neg", "pos")[number % 2]
        folder = Path("data", "ChnSentiCorp_htl_ba_6000", "train", name)
        folder.mkdir(parents=True, exist_ok=True)
        line = ("不好", "很好")[number % 2] + "，房间" * (number // 2 % 3 + 1)
        (folder / f"{number}.txt").write_text(line, encoding="utf-8")
    arabic = pd.DataFrame({
        "review": [("الغرفة نظيفة", "الفندق سيئ")[n % 2] + " جدا" * (n // 2 % 4)
                   for n in range(30)],
        "rating": [("pos", "neg")[n % 2] for n in range(30)],
    })  # fmt: skip
    arabic = pd.concat([arabic, arabic.rating.str.get_dummies()], axis=1)
    news_names = ["atheism", "graphics", "medicine", "religion"]
    topics = [n % 4 for n in range(40)]
    news = [f"on {news_names[n % 4]}: {text}" for n, text in enumerate(texts)]
    wrong = [n % 4 if n % 3 else (n + 1) % 4 for n in range(12)]  # so that training stops early
    numbers = np.round(random.uniform(5, 60, 40), 0)
    return {
        "pictures": make_pictures(),
        "texts": texts, "labels": labels, "flags": flags, "documents": documents,
        "words": words, "tags": tags, "tagged": tagged, "numbers": numbers, "descriptions": texts,
        "news": news, "topics": topics, "news_names": news_names, "arabic": arabic,
        "news_test": news[:12], "topics_test": wrong,
        "prices": pd.DataFrame({"description": texts, "price": numbers}),
        "reports": pd.DataFrame({"Text": ["Anna lives in Paris.", "Otto lives in Berlin."]}),
    }  # fmt: skip


def here(code: str) -> str:
    """Returns a cell with ktlite in the place of ktrain."""
    code = re.sub(r"\bfrom ktrain\b", "from ktlite", code)
    return re.sub(r"\bimport ktrain\b(?! as)", "import ktlite as ktrain", code)


def fails(code: str, space: dict[str, Any]) -> str | None:
    """Runs code; returns the last line of what it raised, or None."""
    try:
        exec(compile(here(code), "<cell>", "exec"), space)
    except Exception as error:
        if os.environ.get("KTRAIN_TUTORIALS_DEBUG"):
            traceback.print_exc()
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return None


@contextlib.contextmanager
def inside(folder: str) -> Iterator[None]:
    """Runs the block in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_all(
    names: Collection[str] | None = None, log: bool = False
) -> dict[str, list[dict[str, str]]]:
    """Runs tutorials; returns what became of each cell.

    Args:
        names: Which. Default: all.
        log: Show each cell as it is done.
    """
    found: dict[str, list[dict[str, str]]] = {}
    with tempfile.TemporaryDirectory() as top, inside(top):
        data = make_data()
        for tutorial in read_cells():
            if names is not None and tutorial["name"] not in names:
                continue
            # Each in a folder of its own, with the data.
            work = Path(top, re.sub(r"\W+", "-", tutorial["name"]))
            work.mkdir()
            shutil.copytree(Path(top, "data"), work / "data")
            os.chdir(work)
            space = {**data, "__name__": "cells"}
            exec(tutorial.get("setup", ""), space)
            cells = found[tutorial["name"]] = []
            for cell in tutorial["cells"]:
                cells.append(result(cell, space))
                if log:
                    first = cell["code"].splitlines()[0]
                    print(f"{cells[-1]['kind']:>15}  {first[:90]}", file=sys.stderr)
            os.chdir(top)
    return found


def result(cell: dict[str, str], space: dict[str, Any]) -> dict[str, str]:
    """Runs a cell, and what stands in its place where it fails."""
    error = fails(cell["code"], space)
    if error is None:
        kind = UNCHANGED if here(cell["code"]) == cell["code"] else IMPORT
        return {"code": cell["code"], "kind": kind}
    done = {**cell, "error": error, "kind": MISSING}
    if "instead" in cell:
        second = fails(cell["instead"], space)
        done["kind"] = CHANGED if second is None else MISSING
        done["error"] = error if second is None else second
    return done


def counts(cells: list[dict[str, str]]) -> list[int]:
    return [sum(cell["kind"] == kind for cell in cells) for kind in KINDS]


def table(found: dict[str, Any], before: dict[str, Any] | None) -> str:
    """Returns the counts and what is different, as Markdown."""
    lines = [f"| tutorial | cells | {' | '.join(KINDS)} |", "|---|---|" + "---|" * len(KINDS)]
    for name, cells in found.items():
        lines.append(f"| {name} | {len(cells)} | {' | '.join(map(str, counts(cells)))} |")
    every = [cell for cells in found.values() for cell in cells]
    lines.append(f"| **all** | {len(every)} | {' | '.join(map(str, counts(every)))} |")
    if before is not None:
        old = [cell for cells in before.values() for cell in cells]
        lines.append(
            f"| all, before these names were here | {len(old)} | "
            f"{' | '.join(map(str, counts(old)))} |"
        )
    for kind, title in ((CHANGED, "Changed"), (MISSING, "Not here")):
        lines += ["", f"### {title}", "", "| tutorial | call | why |" + (
            " in its place |" if kind == CHANGED else ""
        ), "|---|---|---|" + ("---|" if kind == CHANGED else "")]  # fmt: skip
        for name, cells in found.items():
            for cell in cells:
                if cell["kind"] != kind:
                    continue
                row = [name, as_code(cell["code"]), cell.get("reason") or cell["error"]]
                if kind == CHANGED:
                    row.append(as_code(cell["instead"]))
                lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def as_code(code: str) -> str:
    return "<br>".join(f"`{line}`" for line in code.replace("|", "\\|").splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument("--save", type=Path, help="write what each cell did, as JSON")
    parser.add_argument("--before", type=Path, help="what --save wrote for an earlier version")
    parser.add_argument("--only", action="append", help="a tutorial's name; may be repeated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ.update(HF_HUB_CACHE=cache, HF_HUB_OFFLINE="1", MPLBACKEND="Agg")
        logging.getLogger("ktlite").setLevel(logging.ERROR)
        make_hub(Path(cache))
        found = run_all(options.only, log=True)
    if options.save:
        short = {n: [{k: c[k] for k in ("kind",)} for c in cells] for n, cells in found.items()}
        options.save.write_text(json.dumps(short, indent=1) + "\n")
    before = json.loads(options.before.read_text()) if options.before else None
    text = table(found, before)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
        PAGE.write_text(f"{page[:start]}\n\n{text}\n\n{page[end:]}", encoding="utf-8")
    else:
        print(text)
    unexplained = [
        cell for cells in found.values() for cell in cells
        if cell["kind"] == MISSING and not ("reason" in cell and "instead" not in cell)
    ]  # fmt: skip
    for cell in unexplained:
        print(f"not explained: {cell['code']}\n  {cell['error']}", file=sys.stderr)
    return bool(unexplained)


if __name__ == "__main__":
    sys.exit(main())
