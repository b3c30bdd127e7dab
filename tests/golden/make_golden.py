"""Writes the golden files: tiny checkpoints and what PyTorch `transformers` computes with them.

The tests read these files and so run without torch. To write them again, run
this where torch is installed:

    python tests/golden/make_golden.py            # everything
    python tests/golden/make_golden.py bert-relu  # what is named

Each model folder gets `config.json`, `model.safetensors` and
`expected.safetensors`, which holds (B = 3, L = 40, W = 32, C = 3):

    input_ids, attention_mask, token_type_ids   int32   [B, L], rows of different length
    last_hidden_state                           float32 [B, L, W], of the backbone
    logits                                      float32 [B, C] for text classification,
                                                [B, L, C] for token classification, [B, L, 2]
                                                for question answering, [B, L, vocabulary]
                                                for the masked language model

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
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

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
}
HEADS = {
    "": AutoModelForSequenceClassification,
    "-token": AutoModelForTokenClassification,
    "-span": AutoModelForQuestionAnswering,
    "-mlm": AutoModelForMaskedLM,
}
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
        # Of these folders the heads are of interest: one block is enough.
        sizes = ("num_hidden_layers", "num_hidden_groups", "n_layers")
        fewer = {name: 1 for name in sizes if name in fields} if suffix else {}
        labels = 2 if suffix == "-span" else 3
        if family != "bert" or suffix:  # three of BERT's are above
            MODELS[family + suffix] = {**fields, **fewer, "num_labels": labels}
# So long that MPNet's buckets of distances have all been used.
LONG = {"mpnet": (140, 23, 6)}


def head_of(name: str) -> Any:
    """Returns the class that opens a folder."""
    return HEADS.get("-" + name.rpartition("-")[2], HEADS[""])


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
    model = head.from_config(config, attn_implementation="eager")
    # Without norms after its sub-layers, ModernBERT would blow float32's rounding up to 1e-5.
    stddev = 0.15 if config.model_type == "modernbert" else 0.3
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, stddev)
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
    takes_types = "token_type_ids" in inspect.signature(model.forward).parameters
    if takes_types and config.type_vocab_size > 1:
        types = torch.randint(config.type_vocab_size, mask.shape, dtype=torch.int32)
        batch["token_type_ids"] = types * mask
    return batch


@torch.no_grad()
def answers(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    outputs = model(**batch)
    if hasattr(outputs, "start_logits"):
        logits = torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)
    else:
        logits = outputs.logits
    return {"last_hidden_state": model.base_model(**batch).last_hidden_state, "logits": logits}


def write_model(name: str) -> None:
    """Writes one folder of `MODELS`, and checks that its files give the same numbers."""
    head = head_of(name)
    model = random_model(head, MODELS[name])
    padded = random_batch(model, LONG.get(name, LENGTHS))
    unpadded = random_batch(model, (UNPADDED,) * len(LENGTHS))
    del unpadded["attention_mask"]
    expected = {**padded, **answers(model, padded)}
    for key, value in {**unpadded, **answers(model, unpadded)}.items():
        expected[f"unpadded.{key}"] = value

    model.save_pretrained(HERE / name)
    save_file(expected, HERE / name / "expected.safetensors")

    again = head.from_pretrained(HERE / name, attn_implementation="eager").eval()
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
