"""Writes the golden files: tiny checkpoints and what PyTorch `transformers` computes with them.

The tests read these files and so run without torch. To write them again, run
this where torch is installed:

    python tests/golden/make_golden.py            # everything
    python tests/golden/make_golden.py bert-relu  # what is named

`initial_weights.json` says how PyTorch draws new weights (see `initial_weights`).

Each model folder gets `config.json`, `model.safetensors` and
`expected.safetensors`, which holds (B = 3, L = 40, W = 32, C = 3):

    input_ids, attention_mask, token_type_ids   int32   [B, L], rows of different length
    last_hidden_state                           float32 [B, L, W], of the backbone
    logits                                      float32 [B, C] for text classification,
                                                [B, L, C] for token classification, [B, L, 2]
                                                for question answering, [B, L, vocabulary]
                                                for the masked language model

For multiple choice the rows are four, the ids, masks and types [2, 2, L] and the logits
[2, 2]. After pretraining come the outputs under the names that PyTorch has for them:
`prediction_logits` [B, L, vocabulary] with `sop_logits` or `seq_relationship_logits` [B, 2],
or for ELECTRA `logits` [B, L].

For images (B = 3): `pixel_values` float32 [B, height, width, channels], in Keras' order.

And the same names with the prefix `unpadded.` for rows of 11 tokens without an
attention mask (not for images). `token_type_ids` is there for families that take it.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    PreTrainedModel,
)

HERE = Path(__file__).parent
LENGTHS = (40, 23, 6)  # of the padded rows; the first one fills every position
CHOICES = 2  # a row, for multiple choice
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

SMALL = {name: value for name, value in BERT.items() if name != "type_vocab_size"}
ROBERTA = {
    **BERT,
    "model_type": "roberta",
    "max_position_embeddings": 42,
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "layer_norm_eps": 1e-5,
}
DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 97,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
    "num_labels": 3,
}
ELECTRA = {**BERT, "model_type": "electra", "embedding_size": 16}
ALBERT = {**ELECTRA, "model_type": "albert", "num_hidden_layers": 3, "num_hidden_groups": 2}
MPNET = {**SMALL, "model_type": "mpnet", "max_position_embeddings": 152}
MODERNBERT = {
    **SMALL,
    "model_type": "modernbert",
    "num_hidden_layers": 3,
    "local_attention": 8,
    "global_attn_every_n_layers": 2,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id"), 0),
    **dict.fromkeys(("eos_token_id", "sep_token_id"), 3),
}
DEBERTA = {
    **SMALL,
    "model_type": "deberta-v2",
    "type_vocab_size": 0,
    "relative_attention": True,
    "max_relative_positions": 24,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
DEBERTA_CONV = {
    **DEBERTA,
    "type_vocab_size": 2,
    "position_buckets": -1,
    "norm_rel_ebd": "none",
    "share_att_key": False,
    "position_biased_input": True,
    "conv_kernel_size": 3,
    "conv_act": "gelu",
    "pooler_hidden_act": "tanh",
}

VIT = {
    "model_type": "vit",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 12,
    "patch_size": 4,
    "num_labels": 3,
}

# Folder -> fields of its config. A folder's name ends in its head; text classification has none.
MODELS: dict[str, dict[str, Any]] = {
    "bert-gelu": {**BERT, "hidden_act": "gelu"},
    "bert-gelu_new": {**BERT, "hidden_act": "gelu_new"},
    # An epsilon that shows: a reader that assumes 1e-12 is far off.
    "bert-relu": {**BERT, "hidden_act": "relu", "layer_norm_eps": 1e-2},
    "deberta-conv": DEBERTA_CONV,
    "deberta-p2c": {**DEBERTA, "pos_att_type": "p2c", "share_att_key": False},
    "modernbert-mean": {
        **MODERNBERT,
        "classifier_pooling": "mean",
        **dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"), True),
    },
    "vit": VIT,
    # Rectangles of which some pixels are in no patch.
    "vit-oblong": {
        **VIT,
        "image_size": [13, 16],
        "patch_size": [4, 8],
        "num_channels": 1,
        "qkv_bias": False,
        "layer_norm_eps": 1e-2,
        "hidden_act": "gelu_new",
    },
    "deit": {**VIT, "model_type": "deit"},
    "deit-distilled": {
        **VIT,
        "model_type": "deit",
        "architectures": ["DeiTForImageClassificationWithTeacher"],
    },
}
# The heads of images, by folder.
IMAGE_HEADS: dict[str, Any] = {
    "vit": AutoModelForImageClassification,
    "vit-oblong": AutoModelForImageClassification,
    # AutoModel fails on a new DeiT: it has two classes for it.
    "deit": DeiTForImageClassification,
    "deit-distilled": DeiTForImageClassificationWithTeacher,
}
HEADS = {
    "": AutoModelForSequenceClassification,
    "-token": AutoModelForTokenClassification,
    "-span": AutoModelForQuestionAnswering,
    "-mlm": AutoModelForMaskedLM,
    "-choice": AutoModelForMultipleChoice,
    "-pretraining": AutoModelForPreTraining,
}
PRETRAINED = ("albert", "bert", "electra")  # the families that have such a head
for family, fields in {
    "bert": BERT,
    "roberta": ROBERTA,
    "distilbert": DISTILBERT,
    "electra": ELECTRA,
    "albert": ALBERT,
    "mpnet": MPNET,
    "modernbert": MODERNBERT,
    "deberta": DEBERTA,
}.items():
    for suffix in HEADS:
        if suffix == "-pretraining" and family not in PRETRAINED:
            continue
        # Of these folders the heads are of interest: one block is enough.
        sizes = ("num_hidden_layers", "num_hidden_groups", "n_layers")
        fewer = {name: 1 for name in sizes if name in fields} if suffix else {}
        labels = 2 if suffix in ("-span", "-pretraining") else 3
        if family != "bert" or suffix:  # three of BERT's are above
            MODELS[family + suffix] = {**fields, **fewer, "num_labels": labels}
# So long that MPNet's buckets of distances have all been used.
LONG = {"mpnet": (140, 23, 6)}


# Whose initial weights are told: every family, and each kind of head once.
INITIAL = (
    *("albert-pretraining", "bert-mlm", "bert-token", "deberta", "deberta-conv", "distilbert"),
    *("electra", "electra-pretraining", "modernbert", "modernbert-mlm", "mpnet", "roberta"),
    *("roberta-choice", "vit", "deit-distilled"),
)


def head_of(name: str) -> Any:
    """Returns the class that opens a folder."""
    return IMAGE_HEADS.get(name) or HEADS.get("-" + name.rpartition("-")[2], HEADS[""])


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


def random_model(head: Any, fields: dict[str, Any]) -> PreTrainedModel:
    """Makes a model whose every parameter matters to the result.

    Fresh models have zero biases, norm weights of one and small weights, which
    hide a bias that was not loaded or one GELU taken for the other.
    """
    torch.manual_seed(0)
    fields = dict(fields)
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    model = new_model(head, config, attn_implementation="eager")
    # Without norms after sub-layers, float32's rounding would be blown up to 1e-5.
    stddev = 0.15 if config.model_type in ("modernbert", "vit", "deit") else 0.3
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, stddev)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.5)
            else:
                parameter.normal_(1.0, 0.2)  # norm weights
    return model.eval()


def new_model(head: Any, config: Any, **options: Any) -> Any:
    """Makes a model of a class, or of what AutoModel has for the config."""
    make = getattr(head, "from_config", None) or head._from_config
    return make(config, **options)


def random_batch(model: PreTrainedModel, lengths: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Makes token ids, padded to the longest row, and what the model takes beside them."""
    config, longest = model.config, max(lengths)
    if model.main_input_name == "pixel_values":
        size = config.image_size
        size = size if isinstance(size, list) else [size, size]
        return {"pixel_values": torch.randn(len(lengths), *size, config.num_channels)}
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).to(torch.int32)
    ids = torch.randint(len(SPECIAL), config.vocab_size, mask.shape, dtype=torch.int32)
    batch = {
        "input_ids": torch.where(mask == 1, ids, config.pad_token_id).to(torch.int32),
        "attention_mask": mask,
    }
    takes_types = "token_type_ids" in inspect.signature(model.forward).parameters
    if takes_types and config.type_vocab_size > 1:
        types = torch.randint(config.type_vocab_size, mask.shape, dtype=torch.int32)
        batch["token_type_ids"] = types * mask
    return batch


def as_choices(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Makes texts of `CHOICES` rows each."""
    return {name: rows.reshape(-1, CHOICES, rows.shape[-1]) for name, rows in batch.items()}


@torch.no_grad()
def answers(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if "pixel_values" in batch:
        pixels = {"pixel_values": batch["pixel_values"].permute(0, 3, 1, 2)}
        hidden = model.base_model(**pixels).last_hidden_state
        return {"last_hidden_state": hidden, "logits": model(**pixels).logits}
    outputs = model(**batch)
    if "start_logits" in outputs:
        logits = torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)
        named = {"logits": logits}
    else:
        named = {name: value for name, value in outputs.items() if name.endswith("logits")}
    rows = {name: value.flatten(0, -2) for name, value in batch.items()}
    return {"last_hidden_state": model.base_model(**rows).last_hidden_state, **named}


def write_model(name: str) -> None:
    """Writes one folder of `MODELS`, and checks that its files give the same numbers."""
    head = head_of(name)
    model = random_model(head, MODELS[name])
    lengths = LONG.get(name, LENGTHS)
    if head is AutoModelForMultipleChoice:
        lengths = (*lengths, 17)  # an even number of rows
    padded = random_batch(model, lengths)
    unpadded = {} if name in IMAGE_HEADS else random_batch(model, (UNPADDED,) * len(lengths))
    if head is AutoModelForMultipleChoice:
        padded, unpadded = as_choices(padded), as_choices(unpadded)
    expected = {**padded, **answers(model, padded)}
    if unpadded:
        del unpadded["attention_mask"]
        for key, value in {**unpadded, **answers(model, unpadded)}.items():
            expected[f"unpadded.{key}"] = value

    model.save_pretrained(HERE / name)
    save_file(expected, HERE / name / "expected.safetensors")

    again = head.from_pretrained(HERE / name, attn_implementation="eager").eval()
    for key, value in answers(again, padded).items():
        torch.testing.assert_close(value, expected[key])


@torch.no_grad()
def initial_weights(name: str) -> dict[str, Any]:
    """Tells how PyTorch draws the weights of a new model.

    Returns:
        `config`, and `tensors`: by name the mean, the standard deviation, the largest
        absolute value, and the numbers of the rows that are zero.
    """
    fields = dict(MODELS[name])
    if name not in IMAGE_HEADS:
        fields.update(vocab_size=400, pad_token_id=3)
    fields["dim" if "dim" in fields else "hidden_size"] = 64
    torch.manual_seed(0)
    config = AutoConfig.for_model(**fields)
    tensors = {}
    model = new_model(head_of(name), config)
    named = dict(model.named_parameters())
    if name in IMAGE_HEADS:  # whose names in files are others
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            named = load_file(Path(folder) / "model.safetensors")
    for key, values in named.items():
        numbers = [values.mean(), values.std(correction=0), values.abs().max()]
        zero = [i for i, row in enumerate(values) if row.ndim and not row.any()]
        tensors[key] = [*(round(float(number), 6) for number in numbers), zero]
    return {"config": fields, "tensors": tensors}


def write_initial_weights() -> None:
    found = {name: initial_weights(name) for name in INITIAL}
    lines = json.dumps(found, indent=1)
    # A line a tensor.
    lines = re.sub(r"\[[^\[\]]*(\[[^\[\]]*\])?\s*\]", lambda m: re.sub(r"\s+", "", m[0]), lines)
    (HERE / "initial_weights.json").write_text(lines + "\n", encoding="utf-8")


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
    for name in names or ["tiny-tokenizer", "initial-weights", *MODELS]:
        if name == "tiny-tokenizer":
            write_tokenizer(name)
        elif name == "initial-weights":
            write_initial_weights()
        else:
            write_model(name)


if __name__ == "__main__":
    main(sys.argv[1:])
