"""Writes golden adapters: what PEFT saves, and what PyTorch computes with it.

Where torch and peft are installed:

    python tests/golden/make_adapters.py

Each folder below `adapters/` is named after the checkpoint beside it that the adapters belong to,
and has PEFT's two files and `expected.safetensors`: inputs of `transformers`, int32, and `logits`,
float32, of that checkpoint with the adapters in (`last_hidden_state` of a bare encoder).

Every dense layer of the encoder has an adapter, and all of the head is saved, as ktlite trains
them. Two are as PEFT's examples do it: queries and values, and no more of the head than PEFT saves
by itself.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.pytorch_utils import Conv1D

HERE = Path(__file__).parent
# By the end of a folder's name: the class, PEFT's name of the task.
HEADS: dict[str, tuple[Any, str | None]] = {
    "": (AutoModelForSequenceClassification, "SEQ_CLS"),
    "token": (AutoModelForTokenClassification, "TOKEN_CLS"),
    "span": (AutoModelForQuestionAnswering, "QUESTION_ANS"),
    "mlm": (AutoModelForMaskedLM, None),
    "choice": (AutoModelForMultipleChoice, None),
}
BERT = {
    "": ["pooler.dense"],
    "choice": ["pooler.dense", "classifier"],
    "mlm": ["transform.dense", "transform.LayerNorm"],
}
ROBERTA = {
    "choice": ["pooler.dense", "classifier"],
    "mlm": ["lm_head.dense", "lm_head.layer_norm"],
}
# Modules of the head that PEFT does not save by itself.
SAVED: dict[str, dict[str, list[str]]] = {
    "bert": BERT,
    "roberta": ROBERTA,
    "distilbert": {
        "choice": ["pre_classifier", "classifier"],
        "mlm": ["vocab_transform", "vocab_layer_norm"],
    },
    "electra": {
        "choice": ["sequence_summary", "classifier"],
        "mlm": ["generator_predictions"],
    },
    "albert": {
        "": ["albert.pooler"],
        "choice": ["albert.pooler", "classifier"],
        "mlm": ["predictions.dense", "predictions.LayerNorm"],
    },
    "mpnet": ROBERTA,
    "modernbert": {
        "": ["head"],
        "token": ["head"],
        "span": ["head", "classifier"],  # called qa_outputs in the other families
        "mlm": ["head"],
        "choice": ["head", "classifier"],
    },
    "deberta": {**BERT, "": ["pooler"], "choice": ["pooler", "classifier"]},
}
AS_USUAL = {
    "bert-gelu": ["query", "value"],
    "deberta-conv": ["query_proj", "value_proj"],
}
# Models that write, and which of their last layers are not the table of words.
WRITERS: dict[str, tuple[Any, str, list[str] | None]] = {
    "gemma3_text": (AutoModelForCausalLM, "CAUSAL_LM", None),
    "gpt2": (AutoModelForCausalLM, "CAUSAL_LM", None),
    "gpt_neox": (AutoModelForCausalLM, "CAUSAL_LM", ["lm_head"]),
    "opt": (AutoModelForCausalLM, "CAUSAL_LM", ["lm_head"]),
    "umt5": (AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM", ["lm_head"]),
}
# No parts of the encoder's blocks, though they are dense layers.
OTHERS = ("pooler", "embedding_hidden_mapping_in", "embeddings_project", "lm_head")


def folder_of(family: str, head: str) -> str:
    """Returns the name of the folder with a family's head."""
    return f"{family}-{head}" if head else {"bert": "bert-relu"}.get(family, family)


def dense_layers(model: Any) -> list[str]:
    """Returns the names of the dense layers of a model's blocks."""
    base = {id(module) for module in model.base_model.modules()}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D))
        and id(module) in base
        and not any(part in name for part in OTHERS)
    ]


@torch.no_grad()
def write(
    name: str,
    target: str,
    auto: Any,
    task_type: str | None,
    saved: list[str] | None,
    targets: list[str] | None = None,
) -> None:
    torch.manual_seed(0)
    model = auto.from_pretrained(HERE / name).eval()
    config = LoraConfig(
        r=2,
        lora_alpha=3,
        target_modules=dense_layers(model) if targets is None else targets,
        task_type=task_type,
        modules_to_save=saved,
    )
    adapted = get_peft_model(model, config).eval()
    for parameter_name, parameter in adapted.named_parameters():
        if "lora_B" in parameter_name:  # which begins with zeros
            torch.nn.init.normal_(parameter, std=0.2)
        elif "modules_to_save" in parameter_name:
            parameter += torch.empty_like(parameter).normal_(0.0, 0.1)
    folder = HERE / "adapters" / target
    shutil.rmtree(folder, ignore_errors=True)
    adapted.peft_config["default"].base_model_name_or_path = name
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    fields = json.loads(file.read_text())
    fields["target_modules"].sort()  # which PEFT keeps as a set
    file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")

    stored = load_file(HERE / name / "expected.safetensors")
    names = ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids")
    inputs = {n: stored[n].long() for n in names if n in stored}
    kept = {n: x.int() for n, x in inputs.items()}
    if "pixel_values" in stored:  # which PyTorch has channels first
        inputs = {"pixel_values": stored["pixel_values"].permute(0, 3, 1, 2)}
        kept = {"pixel_values": stored["pixel_values"]}
    if auto in (AutoModelForMaskedLM, AutoModelForCausalLM, AutoModelForSeq2SeqLM):
        # Whose logits are many.
        inputs = {n: x[-1:, :6] for n, x in inputs.items()}
        kept = {n: x.int() for n, x in inputs.items()}
    # PeftModelForQuestionAnswering itself leaves out token_type_ids and position_ids.
    outputs = adapted.base_model(**inputs)
    if auto is AutoModel:
        expected = {"last_hidden_state": outputs.last_hidden_state}
    elif auto is AutoModelForQuestionAnswering:
        expected = {"logits": torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)}
    else:
        expected = {"logits": outputs.logits}
    kept = {n: x.contiguous() for n, x in {**kept, **expected}.items()}
    save_file(kept, folder / "expected.safetensors")


def main() -> None:
    for family, saved in SAVED.items():
        for head, (auto, task_type) in HEADS.items():
            name = folder_of(family, head)
            write(name, name, auto, task_type, saved.get(head))
    for name, targets in AS_USUAL.items():
        write(name, name, *HEADS[""], None, targets)
    for name in ("distilbert", "mpnet"):
        write(name, f"{name}-encoder", AutoModel, "FEATURE_EXTRACTION", None)
    write("vit", "vit", AutoModelForImageClassification, None, ["classifier"])
    for name, (auto, task_type, saved_modules) in WRITERS.items():
        write(name, name, auto, task_type, saved_modules)


if __name__ == "__main__":
    main()
