#!/usr/bin/env bash
# transformers 5.24.0 with Pillow 12.0.0: pictures in grey of 16 bits become white.
#
# X-rays and microscopes give PNG and TIFF files of 16 bits. Guessed: load_image(), which image
# pipelines use, scales them to the 8 bits of RGB. Seen: it converts with Pillow, which cuts values
# off at 255: all but the darkest 1/256 of the range is white, without a word, and a model sees a
# blank picture.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    transformers==5.24.0 pillow==12.0.0 numpy==2.3.5
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import numpy as np
import PIL
import transformers
from PIL import Image
from transformers.image_utils import load_image

print("transformers", transformers.__version__, "Pillow", PIL.__version__)
steps = np.linspace(0, 65535, 5).astype("uint16")
Image.fromarray(steps[None]).save(f"{sys.argv[1]}/grey.png")
found = np.asarray(load_image(f"{sys.argv[1]}/grey.png"))[0, :, 0].tolist()
print("16 bits:", steps.tolist())
print("8 bits: ", found)
print("scaled they would be", (steps // 256).tolist())
sys.exit(found != [0, 255, 255, 255, 255])
PYTHON
