#!/usr/bin/env bash
# transformers 5.24.0: a T5 whose decoder has more layers than its encoder does not generate.
#
# T5Config has num_layers and num_decoder_layers. Guessed: any two go together. Seen: the model is
# made, and gives logits and a loss; generate() raises IndexError: list index out of range, unless
# use_cache=False. Its cache has as many layers as the encoder.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    transformers==5.24.0 torch==2.13.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration

print("transformers", transformers.__version__)


def written(layers, **options):
    config = T5Config(
        vocab_size=50, d_model=16, d_kv=4, d_ff=32, num_heads=2, decoder_start_token_id=0,
        num_layers=1, num_decoder_layers=layers,
    )
    model = T5ForConditionalGeneration(config).eval()
    ids = torch.tensor([[5, 6, 7, 1]])
    assert model(input_ids=ids, labels=ids).loss.isfinite()
    try:
        return list(model.generate(ids, max_new_tokens=3, **options).shape)[0]
    except IndexError as error:
        return f"IndexError: {error}"


found = {
    "1 decoder layer": written(1),
    "2 decoder layers": written(2),
    "2 decoder layers, use_cache=False": written(2, use_cache=False),
}
for name, what in found.items():
    print(f"1 encoder layer, {name}: {what}")
sys.exit(list(found.values()) != [1, "IndexError: list index out of range", 1])
PYTHON
