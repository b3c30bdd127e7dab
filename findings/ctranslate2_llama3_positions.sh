#!/usr/bin/env bash
# CTranslate2 4.8.5: of a Llama 3 checkpoint the converter leaves out how positions are slowed down.
#
# rope_scaling of Llama 3 has four numbers: factor, original_max_position_embeddings,
# low_freq_factor, high_freq_factor. Guessed: a converted model says what PyTorch's says. Seen: the
# converter stores the last two alone, and each token's likelihood is another one; the same
# checkpoint without rope_scaling agrees to 1e-4. The runtime reads all four where they are stored.
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    ctranslate2==4.8.5 transformers==5.3.0 torch==2.13.0 tokenizers
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import ctranslate2
import numpy as np
import torch
import transformers
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

print("ctranslate2", ctranslate2.__version__, "transformers", transformers.__version__)
WORDS = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(97))]


def differs(name, rope):
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=128, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=4096,
        bos_token_id=1, eos_token_id=2, initializer_range=0.2, rope_parameters=rope,
    )
    model = LlamaForCausalLM(config).eval()
    place = f"{sys.argv[1]}/{name}"
    model.save_pretrained(place)
    tokenizer = Tokenizer(models.WordLevel(dict(zip(WORDS, range(100))), "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(place)
    TransformersConverter(place).convert(f"{place}-ct2")
    ids = np.random.default_rng(0).integers(3, 100, 400)
    with torch.no_grad():
        scores = model(torch.tensor(ids)[None]).logits[0].log_softmax(-1)
    expected = scores[np.arange(399), ids[1:]].numpy()
    found = ctranslate2.Generator(f"{place}-ct2").score_batch([[WORDS[i] for i in ids]])[0]
    return float(np.abs(np.array(found.log_probs) - expected).max())


plain = {"rope_type": "default", "rope_theta": 500000.0}
slowed = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 1024,
}
found = {"without": differs("plain", plain), "as Llama 3": differs("slowed", slowed)}
for name, most in found.items():
    print(f"positions slowed down, {name}: log-likelihoods differ by {most:.2g} at most")
sys.exit(not (found["without"] < 1e-3 and found["as Llama 3"] > 0.05))
PYTHON
