#!/usr/bin/env bash
# soundfile 0.13.1 (libsndfile 1.2.2): the same samples, written as WAV of floats, are other bytes
# a second later.
#
# Guessed: a WAV file is its format and its samples, so that equal files have equal checksums, as
# those of 16 bits and FLAC have. Seen: files of floats have a chunk PEAK with the second in which
# they were written. Caches by content, duplicates by checksum and golden files see other files.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check soundfile==0.13.1
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys
import time

import numpy as np
import soundfile

print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
samples = np.sin(np.arange(800) / 9).astype("float32")


def written(format, subtype):
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=format, subtype=subtype)
    return file.getvalue()


found = {}
for kind in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("WAV", "FLOAT")):
    first = written(*kind)
    time.sleep(1.1)
    second = written(*kind)
    found[kind] = first == second
    print(*kind, "the same bytes" if found[kind] else "other bytes", "a second later")
    if kind[1] == "FLOAT":
        peak = first.index(b"PEAK")
        other = [i for i, pair in enumerate(zip(first, second)) if pair[0] != pair[1]]
        inside = all(peak <= i < peak + 24 for i in other)
        print("bytes that differ lie in the chunk PEAK:", inside)
sys.exit(list(found.values()) != [True, True, False] or not inside)
PYTHON
