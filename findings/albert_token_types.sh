#!/usr/bin/env bash
# transformers 5.24.0: AlbertTokenizer gives no token types for pairs of texts.
#
# ALBERT was pretrained on pairs whose second text has token type 1. Guessed: tokenizer(a, b) returns
# them, as in version 4.57.6 and as BertTokenizer still does. Seen: only input_ids and attention_mask;
# AlbertModel then takes type 0 for both texts, and pairs get other outputs than they were
# fine-tuned with. return_token_type_ids=True, or model_input_names in tokenizer_config.json, helps.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/pairs.py" <<'PYTHON'
import sys
import transformers
from tokenizers import Tokenizer, models, processors
from transformers import AutoTokenizer

here = sys.argv[1]
pieces = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "▁a", "▁b"]
rust = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], 1))
rust.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
    special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
)
rust.save(f"{here}/tokenizer.json")
for name, text in {"config.json": '{"model_type": "albert"}',
                   "tokenizer_config.json": '{"tokenizer_class": "AlbertTokenizer"}'}.items():
    with open(f"{here}/{name}", "w") as file:
        file.write(text)
tokenizer = AutoTokenizer.from_pretrained(here)
found = tokenizer("a", "b")
asked = tokenizer("a", "b", return_token_type_ids=True)["token_type_ids"]
print("transformers", transformers.__version__, {key: found[key] for key in found}, "asked for:", asked)
is_old = transformers.__version__.startswith("4.")
sys.exit(("token_type_ids" in found) != is_old or asked != [0, 0, 0, 1, 1])
PYTHON
export HF_HUB_OFFLINE=1
for version in 4.57.6 5.24.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
        "transformers==$version"
    mkdir "$folder/model-$version"
    "$folder/$version/bin/python" "$folder/pairs.py" "$folder/model-$version"
done
