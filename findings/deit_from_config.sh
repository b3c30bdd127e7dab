#!/usr/bin/env bash
# transformers 5.24.0: a new DeiT cannot be made by AutoModelForImageClassification.
#
# DeiT has two classes for image classification, with and without a teacher's token in use. Guessed:
# from_config(DeiTConfig()) takes the first one, as from_config(ViTConfig()) takes the only one.
# Seen: TypeError: 'NoneType' object is not iterable. The choice goes through config.architectures,
# which a new config does not have; with architectures=["DeiTForImageClassification"] it works.
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

import transformers
from transformers import AutoModelForImageClassification, DeiTConfig, ViTConfig

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 8,
    "patch_size": 4,
}
print("transformers", transformers.__version__)


def made(config):
    try:
        return type(AutoModelForImageClassification.from_config(config)).__name__
    except TypeError as error:
        return f"TypeError: {error}"


found = {
    "ViTConfig()": made(ViTConfig(**SMALL)),
    "DeiTConfig()": made(DeiTConfig(**SMALL)),
    "DeiTConfig(architectures=[...])": made(
        DeiTConfig(**SMALL, architectures=["DeiTForImageClassification"])
    ),
}
for name, what in found.items():
    print(f"from_config({name}): {what}")
sys.exit(
    found
    != {
        "ViTConfig()": "ViTForImageClassification",
        "DeiTConfig()": "TypeError: 'NoneType' object is not iterable",
        "DeiTConfig(architectures=[...])": "DeiTForImageClassification",
    }
)
PYTHON
