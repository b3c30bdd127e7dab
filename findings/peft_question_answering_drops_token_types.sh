#!/usr/bin/env bash
# PEFT 0.21.2 (and 0.18.0): a question answering model of PEFT takes token_type_ids, and leaves them out.
#
# Guessed: PeftModelForQuestionAnswering computes what the model inside of it computes for the same
#          inputs, as PeftModelForSequenceClassification and PeftModelForTokenClassification do.
# Seen:    its forward has arguments token_type_ids and position_ids and passes neither on, without a
#          word. BERT then reads question and context as one sentence: other logits than the same
#          adapters give through model.base_model(...) or after merge_and_unload().
#
# Exit status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  torch==2.13.0 transformers==5.24.0 peft==0.21.2
cat > "$folder/see.py" <<'PYTHON'
import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertForQuestionAnswering, BertForTokenClassification

small = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 48, "max_position_embeddings": 40, "initializer_range": 0.3}
ids = torch.randint(5, 50, (2, 12), generator=torch.Generator().manual_seed(0))
types = torch.tensor([[0] * 5 + [1] * 7] * 2)


def logits(model, **inputs):
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs)
    return found.start_logits if "start_logits" in found else found.logits


def apart(one, other):
    return float((one - other).abs().max())


differences = {}
for cls, task in ((BertForQuestionAnswering, "QUESTION_ANS"), (BertForTokenClassification, "TOKEN_CLS")):
    torch.manual_seed(0)
    # New adapters change nothing: PEFT's model has to give what the plain one gives.
    plain = cls(BertConfig(**small)).eval()
    with_types, without = logits(plain, token_type_ids=types), logits(plain)
    peft = get_peft_model(plain, LoraConfig(r=2, task_type=task, target_modules=["query"])).eval()
    given = logits(peft, token_type_ids=types)
    inside = logits(peft.base_model, token_type_ids=types)
    differences[task] = apart(given, with_types)
    print(f"{type(peft).__name__}: off by {apart(given, with_types):.3f} from the plain model with the same "
          f"inputs, by {apart(given, without):.1e} from it without token_type_ids; its base_model is "
          f"off by {apart(inside, with_types):.1e}")
    if task == "QUESTION_ANS":
        assert apart(given, without) < 1e-5 < 1e-2 < apart(given, with_types)
        assert apart(inside, with_types) < 1e-5
    else:
        assert apart(given, with_types) < 1e-5 < 1e-2 < apart(given, without)
PYTHON
"$folder/venv/bin/python" "$folder/see.py"
