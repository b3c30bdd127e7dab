"""Writes the golden files: tiny checkpoints and what PyTorch `transformers` computes with them.

The tests read these files and so run without torch. To write them again, run
this where torch is installed:

    python tests/golden/make_golden.py            # everything
    python tests/golden/make_golden.py bert-relu  # what is named

Each model folder gets `config.json`, `model.safetensors` and
`expected.safetensors`, which holds (B = 3, L = 40, W = 32, C = 3):

    input_ids, attention_mask, token_type_ids   int32   [B, L], rows of different length
    last_hidden_state                           float32 [B, L, W], of the backbone
    logits                                      float32 [B, C]

and the same names with the prefix `unpadded.` for rows of 11 tokens without an
attention mask. `token_type_ids` is there for families that take it.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

HERE = Path(__file__).parent
LENGTHS = (40, 23, 6)  # of the padded rows; the first one fills every position
UNPADDED = 11

BERT = {
    "model_type": "bert",
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "num_labels": 3,
}

# Folder -> fields of its config. A new family is a new line.
MODELS: dict[str, dict[str, Any]] = {
    "bert-gelu": {**BERT, "hidden_act": "gelu"},
    "bert-gelu_new": {**BERT, "hidden_act": "gelu_new"},
    # An epsilon that shows: a reader that assumes 1e-12 is far off.
    "bert-relu": {**BERT, "hidden_act": "relu", "layer_norm_eps": 1e-2},
}

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = [
    *SPECIAL,
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *"0123456789",
    *".,!?'\"-:;()",
    *"好不很酒店房间差",
    *("the", "film", "movie", "was", "good", "bad", "great", "not", "very", "and", "##ing"),
]


def random_model(fields: dict[str, Any]) -> PreTrainedModel:
    """Makes a model whose every parameter matters to the result.

    Fresh models have zero biases, norm weights of one and small weights, which
    hide a bias that was not loaded or one GELU taken for the other.
    """
    torch.manual_seed(0)
    fields = dict(fields)
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.3)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.5)
            else:
                parameter.normal_(1.0, 0.2)  # norm weights
    return model.eval()


def random_batch(model: PreTrainedModel, lengths: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Makes token ids, padded to the longest row, and what the model takes beside them."""
    config, longest = model.config, max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).to(torch.int32)
    ids = torch.randint(len(SPECIAL), config.vocab_size, mask.shape, dtype=torch.int32)
    batch = {
        "input_ids": torch.where(mask == 1, ids, config.pad_token_id).to(torch.int32),
        "attention_mask": mask,
    }
    if "token_type_ids" in inspect.signature(model.forward).parameters:
        types = torch.randint(config.type_vocab_size, mask.shape, dtype=torch.int32)
        batch["token_type_ids"] = types * mask
    return batch


@torch.no_grad()
def answers(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        "last_hidden_state": model.base_model(**batch).last_hidden_state,
        "logits": model(**batch).logits,
    }


def write_model(name: str) -> None:
    """Writes one folder of `MODELS`, and checks that its files give the same numbers."""
    model = random_model(MODELS[name])
    padded = random_batch(model, LENGTHS)
    unpadded = random_batch(model, (UNPADDED,) * len(LENGTHS))
    del unpadded["attention_mask"]
    expected = {**padded, **answers(model, padded)}
    for key, value in {**unpadded, **answers(model, unpadded)}.items():
        expected[f"unpadded.{key}"] = value

    model.save_pretrained(HERE / name)
    save_file(expected, HERE / name / "expected.safetensors")

    again = AutoModelForSequenceClassification.from_pretrained(
        HERE / name, attn_implementation="eager"
    ).eval()
    torch.testing.assert_close(answers(again, padded)["logits"], expected["logits"])


def write_tokenizer(name: str) -> None:
    """Writes a WordPiece tokenizer with as many tokens as the BERT models have embeddings."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    ids = {token: i for i, token in enumerate(VOCABULARY)}
    assert len(ids) == len(VOCABULARY) == BERT["vocab_size"], len(ids)

    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": BERT["max_position_embeddings"],
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main(names: list[str]) -> None:
    for name in names or ["tiny-tokenizer", *MODELS]:
        if name == "tiny-tokenizer":
            write_tokenizer(name)
        else:
            write_model(name)


if __name__ == "__main__":
    main(sys.argv[1:])
