#!/usr/bin/env bash
# transformers 5.24.0: DebertaV2Tokenizer passes over the normalisation of its SentencePiece model.
#
# Guessed: a folder with spm.model, or with the tokenizer.json that version 4 made of it, gives the
# tokens that SentencePiece itself gives, as in version 4.57.6.
# Seen: the map of characters in the model (nmt_nfkc) is left out and NFC put in its place, also
# where tokenizer.json has the map. Full-width letters, ligatures, fractions, "…" and Chinese
# punctuation become other tokens, often [UNK]. XLMRobertaTokenizer and AlbertTokenizer keep the map.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 4.57.6 5.24.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
        "transformers==$version" sentencepiece==0.2.3 protobuf
done
cat > "$folder/compare.py" <<'PYTHON'
import io
import json
import sys
from pathlib import Path

import sentencepiece
import transformers
from transformers import AutoTokenizer

TEXTS = ["wait\u2026", "half: \u00bd", "\ufb01ne \u2122", "\uff21\uff22\uff23 \uff11\uff12\uff13", "plain words"]
here = Path(sys.argv[1])
model = here / "spm.model"
if not model.exists():
    learned = ["wait ... half: 1 2 1/2 1\u20442 fine TM ABC 123 plain words"] * 200
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(learned), model_writer=written, vocab_size=60, minloglevel=2,
        hard_vocab_limit=False, pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]",
        bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
    )
    model.write_bytes(written.getvalue())
    (here / "config.json").write_text(json.dumps({"model_type": "deberta-v2"}))
own = sentencepiece.SentencePieceProcessor(model_file=str(model))
differ = {}
for name in ("spm.model", "tokenizer.json"):
    source = here if name == "spm.model" else here / "saved-by-4"
    if not source.exists():  # by version 4, which is first
        AutoTokenizer.from_pretrained(here).save_pretrained(source)
        (source / "spm.model").unlink(missing_ok=True)
        (source / "config.json").write_text(json.dumps({"model_type": "deberta-v2"}))
    theirs = AutoTokenizer.from_pretrained(source)
    differ[name] = []
    for text in TEXTS:
        found = theirs(text, add_special_tokens=False)["input_ids"]
        if found != own.encode(text):
            differ[name].append(text)
            print(f"  {name}, {text!r}: {theirs.convert_ids_to_tokens(found)}; "
                  f"SentencePiece {own.encode(text, out_type=str)}")
print("transformers", transformers.__version__, {name: len(texts) for name, texts in differ.items()},
      "of", len(TEXTS), "texts have other tokens than SentencePiece's")
is_old = transformers.__version__.startswith("4.")
sys.exit(any((len(texts) == 0) != is_old for texts in differ.values()))
PYTHON
mkdir "$folder/model"
export HF_HUB_OFFLINE=1
"$folder/4.57.6/bin/python" "$folder/compare.py" "$folder/model" 2>&1
"$folder/5.24.0/bin/python" "$folder/compare.py" "$folder/model" 2>&1
