"""Writes tiny checkpoints that read sounds, and what PyTorch `transformers` computes with them.

    python tests/golden/make_sounds.py               # everything
    python tests/golden/make_sounds.py wav2vec2      # what is named

Each folder gets `config.json`, `model.safetensors`, `preprocessor_config.json` and
`expected.safetensors`, which holds for B = 3 sounds, W = 32, C = 3:

    sound.{i}              float32 [samples], what a person has, at the rate of the model
    input_values.{i}       float32 [samples], or [frames, bands], what the feature extractor makes
                           of it, alone
    last_hidden_state.{i}  float32 [frames, W], of the backbone, for it alone
    logits                 float32 [B, C], of each alone
    logits.{i}, loss.{i}   of models that spell (CTC): float32 [frames, C], and the negative
                           log-likelihood of `labels.{i}`, int64 [characters]
    padded.input_values    float32 [B, L], of all together
    padded.logits          float32 [B, C], with their attention mask; of models whose norms are
                           over channels alone
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    ASTFeatureExtractor,
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoModelForCTC,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)

HERE = Path(__file__).parent
LENGTHS = (400, 261, 90)
OF_FRAMES = (1_500, 2_480, 3_333)  # fewer frames than the model reads, as many, and more
WAV2VEC2 = {
    "model_type": "wav2vec2",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16, 12, 16],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 20,
    "num_labels": 3,
}
# As wav2vec2-large-lv60 has it, with the mean over layers that SUPERB's checkpoints have.
STABLE = {
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
    "layer_norm_eps": 1e-2,
    "num_conv_pos_embeddings": 7,
}
AST = {
    "model_type": "audio-spectrogram-transformer",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "num_mel_bins": 12,
    "max_length": 14,
    "patch_size": 5,
    "frequency_stride": 3,
    "time_stride": 4,
    "layer_norm_eps": 1e-2,
    "num_labels": 3,
}
SPELLS = {"vocab_size": 12, "num_hidden_layers": 1}
# Of 12 tokens, the blank at the place that the config says.
TOKENS = {3: "[UNK] | a <pad> b c d e f <s> </s> '", 0: "<pad> <s> </s> <unk> | a b c d e f '"}
MODELS: dict[str, dict[str, Any]] = {
    "wav2vec2": WAV2VEC2,
    "wav2vec2-stable": {**WAV2VEC2, **STABLE, "use_weighted_layer_sum": True},
    "hubert": {
        **WAV2VEC2,
        "model_type": "hubert",
        "use_weighted_layer_sum": True,
        "feat_extract_activation": "relu",
        "feat_proj_layer_norm": False,
    },
    "ast": AST,
    "wav2vec2-ctc": {**WAV2VEC2, **SPELLS, "pad_token_id": 3},
    "hubert-ctc": {**WAV2VEC2, **SPELLS, "model_type": "hubert"},
}


def random_model(fields: dict[str, Any]) -> Any:
    """Makes a model whose every parameter matters to the result."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(**fields)
    kind = AutoModelForCTC if "vocab_size" in fields else AutoModelForAudioClassification
    model = kind.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("conv.weight", "original1")):
                parameter.normal_(0.0, 0.3)
            elif parameter.ndim > 1 and not name.endswith("original0"):
                parameter.normal_(0.0, 0.2)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.3)
            else:  # weights of norms, lengths of directions, weights of layers
                parameter.normal_(1.0, 0.3)
    return model.eval()


def sounds(lengths: tuple[int, ...] = LENGTHS) -> list[np.ndarray]:
    """Returns tones in noise, of unequal length and loudness."""
    random = np.random.default_rng(0)
    made = []
    for number, length in enumerate(lengths):
        tone = np.sin(np.arange(length) * (0.1 + 0.2 * number))
        noise = random.standard_normal(length)
        made.append((0.2 * number + 0.1 * tone + 0.05 * noise).astype("float32"))
    return made


def write_tokenizer(folder: Path, blank: int) -> None:
    tokens = TOKENS[blank].split()
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    unknown = next(token for token in tokens if "unk" in token.lower())
    Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), unk_token=unknown, do_lower_case=False
    ).save_pretrained(folder)


@torch.no_grad()
def write(name: str) -> None:
    model = random_model(MODELS[name])
    by_channel = MODELS[name].get("feat_extract_norm") == "layer"
    spectral = MODELS[name] is AST
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=by_channel)
    given = sounds()
    if spectral:
        sizes = {size: AST[size] for size in ("num_mel_bins", "max_length")}
        extractor = ASTFeatureExtractor(**sizes)
        given = sounds(OF_FRAMES)
    expected: dict[str, torch.Tensor] = {}
    logits = []
    for number, sound in enumerate(given):
        values = extractor(sound, sampling_rate=16_000, return_tensors="pt")["input_values"]
        hidden = model.base_model(values).last_hidden_state
        expected[f"sound.{number}"] = torch.from_numpy(sound)
        expected[f"input_values.{number}"] = values[0].contiguous()
        expected[f"last_hidden_state.{number}"] = hidden[0].contiguous()
        logits.append(model(values).logits[0])
        if "vocab_size" in MODELS[name]:
            labels = torch.tensor([5, 5, 6, 4, 7, 7][: 6 - 2 * number])
            expected[f"logits.{number}"] = logits[-1]
            expected[f"labels.{number}"] = labels
            expected[f"loss.{number}"] = model(values, labels=labels[None]).loss
    if "vocab_size" not in MODELS[name]:
        expected["logits"] = torch.stack(logits)
    padded = extractor(given, sampling_rate=16_000, padding=True, return_tensors="pt")
    if not spectral:
        expected["padded.input_values"] = padded["input_values"]
    if by_channel:
        expected["padded.logits"] = model(**padded).logits
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    if "vocab_size" in MODELS[name]:
        write_tokenizer(folder, model.config.pad_token_id)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    save_file(expected, folder / "expected.safetensors")

    again = type(model).from_pretrained(folder, attn_implementation="eager")
    values = AutoFeatureExtractor.from_pretrained(folder)(
        given[0], sampling_rate=16_000, return_tensors="pt"
    )
    found = again.eval()(**{"input_values": values["input_values"]}).logits[0]
    assert torch.equal(found, logits[0])
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == MODELS[name]["model_type"]


def main() -> None:
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        write(name)


if __name__ == "__main__":
    main()
