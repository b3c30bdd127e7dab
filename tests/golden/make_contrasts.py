"""Writes tiny models that compare images with texts, and what PyTorch `transformers` computes.

    python tests/golden/make_contrasts.py            # everything
    python tests/golden/make_contrasts.py clip       # what is named

Each folder gets a checkpoint with its tokenizer and its image processor, and
`expected.safetensors`, which holds for B = 2 images and T = 3 texts:

    picture.{i}            uint8 [height, width, 3], what a person has
    pixel_values           float32 [B, height, width, 3], what the processor makes of them
    input_ids              int32 [T, length], and attention_mask, but of SigLIP
    image_embeds           float32 [B, W], of length 1
    text_embeds            float32 [T, W], likewise
    logits                 float32 [B, T]
    loss                   float32, of the images with the first B texts

"clip-old" says of its texts' end what the first files said, and has towers of unequal width.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    CLIPImageProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
)

HERE = Path(__file__).parent
TEXTS = ["a cat", "a photo of a dog and a cat", "dogs"]
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"), ("p", "h")]
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 16,
    "patch_size": 8,
}
WORDS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
}
MODELS: dict[str, dict[str, Any]] = {
    "clip": {
        "model_type": "clip",
        "projection_dim": 24,
        "vision_config": {**VISION, "hidden_size": 40},
        "text_config": WORDS,
    },
    "siglip": {
        "model_type": "siglip",
        "vision_config": {**VISION, "image_size": 24, "hidden_act": "gelu_pytorch_tanh"},
        "text_config": {**WORDS, "projection_size": 32},
    },
    "clip-old": {
        "model_type": "clip",
        "projection_dim": 16,
        "vision_config": {**VISION, "hidden_act": "gelu", "layer_norm_eps": 1e-2},
        "text_config": {**WORDS, "eos_token_id": 2, "hidden_size": 16},
    },
}


def tokenizer() -> Any:
    """Returns a byte-pair tokenizer as CLIP has it, of single letters and five merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, MERGES)]
    pieces += [START, END]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(
        models.BPE(vocabulary, MERGES, unk_token=END, end_of_word_suffix="</w>", fuse_unk=False)
    )
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.post_processor = processors.RobertaProcessing(
        sep=(END, vocabulary[END]),
        cls_token=(START, vocabulary[START]),
        add_prefix_space=False,
        trim_offsets=False,
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=20,
    )


def fields_of(name: str, words: Any) -> dict[str, Any]:
    fields = json.loads(json.dumps(MODELS[name]))
    known = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    fields["text_config"] = {
        **known,
        "vocab_size": len(words),
        "pad_token_id": words.pad_token_id,
        **fields["text_config"],
    }
    return fields


def random_model(fields: dict[str, Any]) -> Any:
    """Makes a model whose every parameter matters to the result."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(**fields)
    model = AutoModel.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("logit"):
                parameter.fill_(0.7)
            elif parameter.ndim >= 2:
                parameter.normal_(0.0, 0.2)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.3)
            else:
                parameter.normal_(1.0, 0.3)
    return model.eval()


def pictures() -> list[np.ndarray]:
    """Returns slopes of colour and a board, of unequal size: uint8 [height, width, 3]."""
    down, across = np.mgrid[:20, :30]
    slopes = np.stack([across * 8, down * 12, 255 - across * 4 - down * 5], axis=-1)
    board = np.repeat(((down // 4 + across // 4) % 2 * 255)[..., None], 3, axis=-1)[:18, :17]
    return [slopes.astype("uint8"), board.astype("uint8")]


def image_processor(name: str) -> Any:
    size = MODELS[name]["vision_config"]["image_size"]
    if MODELS[name]["model_type"] == "siglip":
        return SiglipImageProcessor(size={"height": size, "width": size})
    return CLIPImageProcessor(size={"shortest_edge": size}, crop_size=size)


@torch.no_grad()
def write(name: str) -> None:
    words, images, folder = tokenizer(), image_processor(name), HERE / name
    model = random_model(fields_of(name, words))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    settings = json.loads(images.to_json_string())
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")

    given = [Image.fromarray(picture) for picture in pictures()]
    pixels = images(given, return_tensors="pt", device="cpu")["pixel_values"]
    padding = "max_length" if name == "siglip" else True
    text = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=padding, return_tensors="pt")
    for field in ("token_type_ids", *(["attention_mask"] if name == "siglip" else [])):
        text.pop(field, None)
    again = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    found = again(pixel_values=pixels, **text)
    first = {key: value[: len(pixels)] for key, value in text.items()}
    loss = again(pixel_values=pixels, **first, return_loss=True).loss
    expected = {
        "loss": loss.reshape(1),
        **{f"picture.{i}": torch.from_numpy(one) for i, one in enumerate(pictures())},
        "pixel_values": pixels.permute(0, 2, 3, 1).contiguous(),
        **{key: value.to(torch.int32) for key, value in text.items()},
        "image_embeds": found.image_embeds.contiguous(),
        "text_embeds": found.text_embeds.contiguous(),
        "logits": found.logits_per_image.contiguous(),
    }
    assert not torch.equal(found.logits_per_image[:, 0], found.logits_per_image[:, 1])
    save_file(expected, folder / "expected.safetensors")


def main() -> None:
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        write(name)


if __name__ == "__main__":
    main()
