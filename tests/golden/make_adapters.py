"""Writes golden adapters: what PEFT saves, and what PyTorch computes with it.

Where torch and peft are installed:

    python tests/golden/make_adapters.py

Each folder below `adapters/` is named after the checkpoint beside it that the adapters belong to,
and has PEFT's two files and `logits.safetensors`: `logits`, float32, of that checkpoint's padded
inputs with the adapters in.
"""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

HERE = Path(__file__).parent
CASES = {
    "bert-gelu": (AutoModelForSequenceClassification, "SEQ_CLS", ["query", "value"]),
    "albert": (AutoModelForSequenceClassification, "SEQ_CLS", ["query", "dense", "ffn"]),
    "distilbert-token": (AutoModelForTokenClassification, "TOKEN_CLS", ["q_lin", "lin1", "lin2"]),
    "modernbert": (AutoModelForSequenceClassification, "SEQ_CLS", ["Wqkv", "Wi", "Wo"]),
}


def main() -> None:
    for name, (auto, task_type, targets) in CASES.items():
        torch.manual_seed(0)
        model = auto.from_pretrained(HERE / name).eval()
        config = LoraConfig(r=4, lora_alpha=6, target_modules=targets, task_type=task_type)
        adapted = get_peft_model(model, config).eval()
        for parameter_name, parameter in adapted.named_parameters():
            if "lora_B" in parameter_name:  # which begins with zeros
                torch.nn.init.normal_(parameter, std=0.2)
        folder = HERE / "adapters" / name
        adapted.peft_config["default"].base_model_name_or_path = name
        adapted.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        stored = load_file(HERE / name / "expected.safetensors")
        names = ("input_ids", "attention_mask", "token_type_ids")
        inputs = {n: stored[n].long() for n in names if n in stored}
        with torch.no_grad():
            logits = adapted(**inputs).logits
        save_file({"logits": logits.contiguous()}, folder / "logits.safetensors")


if __name__ == "__main__":
    main()
