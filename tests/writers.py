"""Tiny checkpoints that write, and what there is to learn for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from ktlite.models import from_config

WORDS = ["a", "b", "c", "d", "e", "f", "g", "h"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'][0] }} {{ m['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}a {% endif %}"
)


def checkpoint(golden: Path, folder: Path, name: str) -> Path:
    """Writes a tiny model of a family, with a tokenizer of words.

    Args:
        golden: The folder of the golden files.
        folder: To write.
        name: Of one of them: with an encoder it writes texts of texts, else it goes on with them.
    """
    shutil.copytree(golden / "tiny-tokenizer", folder)
    return with_model(golden, folder, name)


def with_model(golden: Path, folder: Path, name: str) -> Path:
    """Writes the tiny model of a family beside a tokenizer of ktlite's special tokens."""
    from tokenizers import Tokenizer

    vocab = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    special = {
        "vocab_size": len(vocab),
        "pad_token_id": vocab["[PAD]"],
        "eos_token_id": vocab["[SEP]"],
        "bos_token_id": vocab["[CLS]"],
    }
    config = json.loads((golden / name / "config.json").read_text())
    task = "text2text-generation" if config.get("is_encoder_decoder") else "text-generation"
    if task == "text2text-generation":
        special["decoder_start_token_id"] = vocab["[PAD]"]
        config |= {key: 1 for key in config if key.endswith("_layers")}  # traced in less time
    config |= special
    config |= {key: 0.0 for key in config if "drop" in key}
    config |= {key: 1 for key in config if key.endswith("_layers")}  # traced in less time
    from_config(config, task, seed=1).save_pretrained(folder, tokenizer=False)
    return folder


def chat_checkpoint(golden: Path, folder: Path) -> Path:
    """Writes a tiny Llama with a template for chats."""
    checkpoint(golden, folder, "llama")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE}
    settings |= {"bos_token": "[CLS]", "eos_token": "[SEP]", "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def byte_checkpoint(golden: Path, folder: Path) -> Path:
    """Writes a tiny Llama whose tokens are bytes, so that characters take several of them."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(t, special=True) for t in ("[PAD]", "[CLS]", "[SEP]")])
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    settings |= {"bos_token": "[CLS]", "eos_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return with_model(golden, folder, "llama")


def alphabets(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Returns runs of the alphabet, and what comes after each of them."""
    random = np.random.default_rng(seed)
    starts = [int(start) for start in random.integers(0, 8, count)]
    runs = [[WORDS[(start + i) % 8] for i in range(6)] for start in starts]
    return [" ".join(run[:3]) for run in runs], [" ".join(run[3:]) for run in runs]


def reversals(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Returns texts, and the same with their words in the reverse order."""
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, random.integers(2, 6))) for _ in range(count)]
    return texts, [" ".join(reversed(text.split())) for text in texts]


def chats(count: int, seed: int) -> list[list[dict[str, str]]]:
    """Returns chats of two turns: the alphabet goes on in each."""
    turns = zip(*alphabets(count, seed), strict=True)
    found = []
    for prompt, follows in turns:
        words = [prompt, follows, "h", "a"]
        roles = ["user", "assistant"] * 2
        found.append([{"role": r, "content": w} for r, w in zip(roles, words, strict=True)])
    return found
