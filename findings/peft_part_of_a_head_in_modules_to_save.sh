#!/usr/bin/env bash
# PEFT 0.21.2 (and 0.18.0): adapters with a part of the classifier in modules_to_save are trained and
# saved without a word, and cannot be loaded.
#
# RoBERTa's classifier has two layers, classifier.dense and classifier.out_proj. Guessed: LoRA with
# modules_to_save=["classifier.dense"] comes back as it was saved; PEFT adds "classifier" by itself for
# SEQ_CLS. Seen: get_peft_model, the forward pass and save_pretrained work; from_pretrained of what was
# saved raises KeyError: 'base_model.model.classifier.dense.weight'. With ["classifier"], or nothing, it
# comes back with the same logits.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==5.24.0 peft==0.21.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import RobertaConfig, RobertaForSequenceClassification

SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
IDS = torch.arange(5, 17)[None]
print("peft", peft.__version__)


def base():
    torch.manual_seed(0)
    return RobertaForSequenceClassification(RobertaConfig(**SMALL)).eval()


@torch.no_grad()
def seen(name, saved):
    config = LoraConfig(task_type="SEQ_CLS", target_modules=["query"], modules_to_save=saved)
    model = get_peft_model(base(), config).eval()
    for parameter_name, parameter in model.named_parameters():
        if "modules_to_save" in parameter_name:  # as if trained
            parameter += 0.3
    logits = model(input_ids=IDS).logits
    folder = Path(sys.argv[1], name)
    model.save_pretrained(folder)
    try:
        again = PeftModel.from_pretrained(base(), folder).eval()
    except KeyError as error:
        return f"KeyError: {error}"
    return "the same logits" if torch.equal(again(input_ids=IDS).logits, logits) else "others"


found = {
    "nothing": seen("nothing", None),
    "whole": seen("whole", ["classifier"]),
    "part": seen("part", ["classifier.dense"]),
}
for name, what in found.items():
    print(f"modules_to_save: {name}: {what}")
sys.exit(
    found
    != {
        "nothing": "the same logits",
        "whole": "the same logits",
        "part": "KeyError: 'base_model.model.classifier.dense.weight'",
    }
)
PYTHON
