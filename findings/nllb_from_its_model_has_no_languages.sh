#!/usr/bin/env bash
# transformers 5.24.0: an NLLB tokenizer that is made of its SentencePiece model has no languages.
#
# NllbTokenizer documents its languages as part of the vocabulary, behind the pieces of the model,
# and puts the source's in front of a text. Guessed: a folder with sentencepiece.bpe.model alone,
# which is what NLLB's own files hold besides settings, gives ids of them. Seen: src_lang="eng_Latn" is
# taken without a word, and the id in front of each text is that of <unk>; so is the one of
# forced_bos_token_id=tokenizer.convert_tokens_to_ids("deu_Latn"), whatever the target is.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    transformers==5.24.0 sentencepiece==0.2.3 protobuf==7.36.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pathlib
import sys

import sentencepiece
import transformers
from transformers import NllbTokenizer

print("transformers", transformers.__version__)
folder = pathlib.Path(sys.argv[1], "nllb")
folder.mkdir()
words = "the a station train is where when red green old new small house city river".split()
lines = [f"{a} {b} {c}" for a in words for b in words for c in words[:5]]
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines), model_prefix=str(folder / "sentencepiece.bpe"), vocab_size=60,
    model_type="bpe", unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2,
)
tokenizer = NllbTokenizer.from_pretrained(folder, src_lang="eng_Latn", tgt_lang="deu_Latn")
ids = tokenizer("the old station")["input_ids"]
german = tokenizer.convert_tokens_to_ids("deu_Latn")
print("ids of a text:", ids, "- <unk> is", tokenizer.unk_token_id)
print("id of deu_Latn:", german)
sys.exit(not (ids[0] == german == tokenizer.unk_token_id and ids[1] != tokenizer.unk_token_id))
PYTHON
