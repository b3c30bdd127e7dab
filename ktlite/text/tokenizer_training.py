"""A tokenizer learned from one's own texts: WordPiece, byte-level BPE, Unigram, characters, words.

The Rust trainers of `tokenizers` do the heavy work. What is done here makes their result the
same in every run: they keep words in hash maps of random order, which decides ties.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers import Tokenizer as RustTokenizer

from ktlite._arguments import at_least_one, checked
from ktlite._logging import logger
from ktlite._progress import progress
from ktlite.data.documents import Document, read_documents
from ktlite.errors import ArgumentError, DataError, Problems, listing, plural
from ktlite.inputs.tokenizer import FILE, SETTINGS
from ktlite.storage import atomic_folder

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

_CONTINUATION = "##"
# Words a call of the Rust trainer: a word that occurs a million times is fed in pieces.
_REPEATS = 1_000
# What Unigram's pieces do not mix, each with the space before it: numbers, Chinese and Japanese,
# and symbols; so they are in SentencePiece.
_APART = r"▁?(\p{N}+|[\p{Han}\p{Hiragana}\p{Katakana}ー]+|[\p{P}\p{S}&&[^▁]]+)"
# Scripts that put no spaces between words; BERT's rule parts Chinese characters.
_SPACELESS = r"[\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
# Digits after the point of Unigram's log probabilities. The last of the 17 that a float has
# depend on the order in which threads finish.
_SCORE_DIGITS = 6


@checked
def train_tokenizer(
    texts: Any,
    folder: str | os.PathLike[str],
    kind: str = "wordpiece",
    vocab_size: int = 30_000,
    *,
    lowercase: bool = False,
    min_frequency: int = 2,
    maxlen: int = 512,
    text_column: str | None = None,
    sep: str | None = None,
    encoding: str | None = None,
    verbose: int = 1,
) -> Path:
    """Trains a tokenizer on texts and writes it as a folder that ktlite and `transformers` load.

    Five kinds:

    - `"wordpiece"`: BERT's (Schuster and Nakajima 2012; Wu et al. 2016, arXiv:1609.08144).
      Words are split at whitespace and punctuation, Chinese characters stand alone, and pieces
      within a word begin with `##`. A word with a character that the texts do not have is [UNK].
    - `"bpe"`: byte-level BPE, as RoBERTa and GPT-2 have it (Sennrich et al. 2016,
      arXiv:1508.07909; Radford et al. 2019). Nothing is ever unknown, and decoding gives the
      text back exactly (unless `lowercase`).
    - `"unigram"`: as ALBERT and XLM-R have it (Kudo 2018, arXiv:1804.10959), after NFKC, with
      `▁` for a space. Pieces do not cross spaces, or mix words, numbers and symbols. Decoding
      gives the text back up to NFKC and repeated whitespace.
    - `"character"`: each character is a token, of whatever script. Whitespace separates and is
      dropped, so that Latin words run together: for Chinese or Japanese. Characters rarer than
      `min_frequency`, and those beyond the `vocab_size`, are [UNK].
    - `"word"`: each word is a token, split as for WordPiece; where a script has no spaces, each
      character. Words rarer than `min_frequency`, and those beyond the `vocab_size`, are [UNK].

    Every kind has BERT's special tokens and formats: [PAD] is 0, [UNK] 1, [CLS] 2, [SEP] 3,
    [MASK] 4; a text becomes `[CLS] A [SEP]` and a pair `[CLS] A [SEP] B [SEP]` with token types
    0 and 1. So it suits models of any family, built with `vocab_size` as returned by
    `Tokenizer.vocab_size` and `pad_token_id=0` (RoBERTa's kind has 1 by default, and takes the
    positions from it). `transformers` returns the token types too; its models that have none
    (DistilBERT, MPNet, ModernBERT) want `return_token_type_ids=False`.

    The same texts give the same tokenizer, in whatever order they come. (Unigram computes in
    floating point with threads: two pieces that are equally good may change places.) Texts are
    read once, one by one; only their distinct words are held in memory.

    Args:
        texts: Strings (a list, a Series, a generator), text files (a path, a pattern such as
            "reviews/*.txt", a folder, a list of `Path`s), or a table (a DataFrame or a CSV
            file) with `text_column`. A single string is always a path, never a text.
        folder: The folder to write `tokenizer.json` and `tokenizer_config.json` into. It may
            be missing, empty, or hold an earlier tokenizer and nothing else.
        kind: One of those above.
        vocab_size: Most tokens, the 5 special ones included. It must have room for every
            character of the texts (`"wordpiece"` twice: with and without `##`, and `"bpe"`
            for the 256 bytes); fewer come out if the texts do not have as many.
        lowercase: Lower-case and strip accents, as in BERT's uncased models.
        min_frequency: How often two pieces must follow each other to become one, or a
            character must occur. Unigram does not use it: it ranks pieces by likelihood.
        maxlen: Longest encoding in tokens, for `transformers` (its `model_max_length`).
        text_column: The column of the texts in a table.
        sep: The character between the fields of a CSV file. Default: by its name's end.
        encoding: Of the files. Default: detected.
        verbose: 0 is silent.

    Returns:
        The folder.

    Raises:
        ArgumentError: An argument is wrong, `vocab_size` is too small for the characters, or
            the folder holds something else.
        DataError: There are no words in the texts, a text is not a string or not Unicode, a
            file is missing or does not fit its encoding. Nothing is written then.

    Example:
        >>> train_tokenizer("reviews/*.txt", "my-tokenizer", vocab_size=8_000)
        PosixPath('my-tokenizer')
        >>> Tokenizer("my-tokenizer", maxlen=128).encode(["A warm film."]).ids
        array([   2,   34, 1105,  241,   15,    3], dtype=int32)
    """
    problems = Problems("train_tokenizer")
    problems.choice("kind", kind, list(KINDS))
    at_least_one(problems, vocab_size=vocab_size, min_frequency=min_frequency, maxlen=maxlen)
    if not isinstance(folder, (str, os.PathLike)):
        problems.add(f"folder={folder!r}; expected the path of a folder to write.")
    problems.raise_if_any()
    documents = read_documents(texts, text_column, sep=sep, encoding=encoding, source="texts")
    # The folder first: whether it can be written is known before the long work.
    with atomic_folder(folder, replace=_is_tokenizer) as new:
        tokenizer = RustTokenizer(models.BPE())  # until it has learned its own
        tokenizer.post_processor = _format()
        KINDS[kind].prepare(tokenizer, lowercase)
        words = _count_words(documents, tokenizer, verbose)
        _check_vocab_size(kind, vocab_size, words)
        if verbose:
            total = plural(words.total(), "word")
            logger.info("training on %s, %s distinct", total, f"{len(words):,}")
        tokenizer.model = KINDS[kind].learn(words, vocab_size, min_frequency)
        tokenizer.add_special_tokens(_added_tokens())
        tokenizer.save(str(new / FILE))
        settings = json.dumps(_settings(maxlen), indent=2)
        (new / SETTINGS).write_text(settings, encoding="utf-8")
    if verbose:
        size = tokenizer.get_vocab_size()
        fewer = "" if size == vocab_size else f" of {vocab_size:,}: the texts give no more"
        logger.info("%s: %s tokenizer, %s%s", folder, kind, plural(size, "token"), fewer)
    return Path(folder)


def _is_tokenizer(path: Path) -> bool:
    return path.is_dir() and {p.name for p in path.iterdir()} == {FILE, SETTINGS}


def _format() -> processors.PostProcessor:
    return processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in (CLS, SEP)],
    )


def _added_tokens() -> list[AddedToken]:
    # The space before [MASK] goes with it: what is masked had one in its own token.
    return [AddedToken(token, special=True, lstrip=token == MASK) for token in SPECIAL_TOKENS]


def _settings(maxlen: int) -> dict[str, Any]:
    """Returns `tokenizer_config.json`: what `transformers` does not read in `tokenizer.json`."""
    return {
        # The class that takes tokenizer.json as it is, whatever model lies beside it.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": int(maxlen),
        # Without this pairs get no token types from it.
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS},
    }


# Reading


def _count_words(
    documents: Iterable[Document], tokenizer: RustTokenizer, verbose: int
) -> Counter[str]:
    """Returns how often each word occurs; words as the model sees them."""
    words: Counter[str] = Counter()
    read = 0
    bar = progress(None, "Reading", "text", shown=verbose)
    try:
        for document in documents:
            for paragraph in document:
                normal = tokenizer.normalizer.normalize_str(paragraph)
                words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
            read += 1
            bar.update(1)
    except UnicodeEncodeError as error:
        raise DataError(
            f"text {read} is not Unicode: character {error.start} is half of a surrogate pair. "
            "Mend it with text.encode('utf-8', 'replace').decode()."
        ) from error
    finally:
        bar.close()
    if not words:
        found = f"{plural(read, 'text')}, all empty" if read else "no texts"
        raise DataError(f"train_tokenizer: there is nothing to learn from: {found}.")
    return words


def _check_vocab_size(kind: str, vocab_size: int, words: Counter[str]) -> None:
    """Raises ArgumentError if the vocabulary has no room for what the kind starts from."""
    needed = {"special tokens": len(SPECIAL_TOKENS), **KINDS[kind].start(words)}
    least = sum(needed.values())
    if vocab_size < least:
        parts = listing(f"{count:,} {what}" for what, count in needed.items())
        raise ArgumentError(
            f"train_tokenizer: vocab_size={vocab_size} is too small: kind={kind!r} needs at least "
            f"{least:,} for these texts ({parts}). Raise it; kind='character' "
            "leaves rare characters out instead."
        )


# The kinds: what comes before the model, and how the model is learned


def _uncased() -> list[normalizers.Normalizer]:
    return [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]


def _prepare_wordpiece(tokenizer: RustTokenizer, lowercase: bool) -> None:
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=_CONTINUATION)


def _learn_wordpiece(words: Counter[str], vocab_size: int, min_frequency: int) -> models.Model:
    # The trainer would number the ## characters in the order of its hash map, and ties go by
    # number; named in advance they have the same numbers in every run.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*SPECIAL_TOKENS, *sorted(_continued(words))],
        continuing_subword_prefix=_CONTINUATION,
        show_progress=False,
    )
    model = _trained(models.WordPiece(unk_token=UNK), trainer, words)
    return models.WordPiece(model["vocab"], unk_token=UNK, continuing_subword_prefix=_CONTINUATION)


def _prepare_bpe(tokenizer: RustTokenizer, lowercase: bool) -> None:
    uncased = [*_uncased(), normalizers.NFC()]
    tokenizer.normalizer = normalizers.Sequence(uncased if lowercase else [])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # Without this a token's place in the text would include the space before it.
    trimmed = processors.ByteLevel(trim_offsets=True, add_prefix_space=False)
    tokenizer.post_processor = processors.Sequence([trimmed, tokenizer.post_processor])


def _learn_bpe(words: Counter[str], vocab_size: int, min_frequency: int) -> models.Model:
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model = _trained(models.BPE(), trainer, words)
    return models.BPE(model["vocab"], [tuple(merge) for merge in model["merges"]])


def _prepare_unigram(tokenizer: RustTokenizer, lowercase: bool) -> None:
    one_space = normalizers.Replace(Regex(r"\s+"), " ")
    usual = [normalizers.NFKC(), one_space, normalizers.Strip(left=False, right=True)]
    tokenizer.normalizer = normalizers.Sequence([*(_uncased() if lowercase else []), *usual])
    # "first": what follows a special token without a space has none in front.
    spaces = pre_tokenizers.Metaspace(prepend_scheme="first")
    apart = pre_tokenizers.Split(Regex(_APART), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([spaces, apart])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")


def _learn_unigram(words: Counter[str], vocab_size: int, min_frequency: int) -> models.Model:
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL_TOKENS, unk_token=UNK, show_progress=False
    )
    pieces = _trained(models.Unigram(), trainer, words)["vocab"][len(SPECIAL_TOKENS) :]
    lowest = min(score for _, score in pieces)
    # Characters that did not earn a place the trainer puts in all the same, each 0.0001 above
    # the last in the order of a hash map. Here they all get the lowest score.
    reach = lowest + 0.0001 * sum(len(piece) == 1 for piece, _ in pieces)
    scores = {
        piece: round(lowest if len(piece) == 1 and score <= reach else score, _SCORE_DIGITS)
        for piece, score in pieces
    }
    order = sorted(scores, key=lambda piece: (-scores[piece], piece))
    ranked = [*((token, 0.0) for token in SPECIAL_TOKENS), *((p, scores[p]) for p in order)]
    return models.Unigram(ranked, unk_id=SPECIAL_TOKENS.index(UNK))


def _prepare_character(tokenizer: RustTokenizer, lowercase: bool) -> None:
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, handle_chinese_chars=False
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    tokenizer.decoder = decoders.Fuse()


def _prepare_word(tokenizer: RustTokenizer, lowercase: bool) -> None:
    _prepare_wordpiece(tokenizer, lowercase)
    apart = pre_tokenizers.Split(Regex(_SPACELESS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([tokenizer.pre_tokenizer, apart])


def _learn_whole(words: Counter[str], vocab_size: int, min_frequency: int) -> models.Model:
    by_count = sorted(words, key=lambda word: (-words[word], word))
    frequent = [word for word in by_count if words[word] >= min_frequency]
    if not frequent:
        raise ArgumentError(
            f"train_tokenizer: min_frequency={min_frequency} leaves nothing: the most "
            f"frequent, {by_count[0]!r}, occurs {plural(words[by_count[0]], 'time')}. Lower it."
        )
    tokens = [*SPECIAL_TOKENS, *frequent][:vocab_size]
    return models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=UNK)


def _trained(model: models.Model, trainer: trainers.Trainer, words: Counter[str]) -> dict[str, Any]:
    """Returns the trained model, as `tokenizer.json` holds it."""
    tokenizer = RustTokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(_repeated(words), trainer)
    return dict(json.loads(tokenizer.to_str())["model"])


def _repeated(words: Counter[str]) -> Iterator[str]:
    """Yields each word as often as it occurs: the trainers take texts, not counts."""
    for word, count in words.items():
        for start in range(0, count, _REPEATS):
            yield " ".join([word] * min(_REPEATS, count - start))


def _characters(words: Iterable[str]) -> int:
    return len(set().union(*words))


def _continued(words: Iterable[str]) -> set[str]:
    """Returns the characters that stand within a word, marked as such."""
    return {_CONTINUATION + character for word in words for character in word[1:]}


@dataclass(frozen=True)
class _Kind:
    """A kind of tokenizer.

    Attributes:
        prepare: Sets all of a tokenizer but its model; the second argument is `lowercase`.
        learn: Returns the model; from words, `vocab_size` and `min_frequency`. Its first
            tokens are the special ones.
        start: How many tokens the vocabulary must have room for, by what they are.
    """

    prepare: Callable[[RustTokenizer, bool], None]
    learn: Callable[[Counter[str], int, int], models.Model]
    start: Callable[[Counter[str]], dict[str, int]]


KINDS = {
    "wordpiece": _Kind(
        _prepare_wordpiece,
        _learn_wordpiece,
        lambda words: {"characters": _characters(words), "with ##": len(_continued(words))},
    ),
    "bpe": _Kind(_prepare_bpe, _learn_bpe, lambda words: {"bytes": 256}),
    "unigram": _Kind(
        _prepare_unigram, _learn_unigram, lambda words: {"characters": _characters(words)}
    ),
    "character": _Kind(_prepare_character, _learn_whole, lambda words: {"character": 1}),
    "word": _Kind(_prepare_word, _learn_whole, lambda words: {"word": 1}),
}
