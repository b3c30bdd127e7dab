"""The jobs of `generation.py` with ktlite: its Keras model, and what it exports to CTranslate2."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from systems.measuring import Stopwatch, tell
from systems.writing import inputs_of, measured

KINDS = {"marian": "text2text-generation", "gpt2": "text-generation"}


def prepare(system: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Writes the model that all systems start from, for training with a tokenizer of its words."""
    from ktlite.export import export_model
    from ktlite.models import from_config

    task = KINDS[spec["config"]["model_type"]]
    model = from_config(spec["config"], task, seed=0)
    folder = Path(spec["folder"])
    if spec["job"] == "step":
        write_tokenizer(folder, spec["config"])
        model.save_pretrained(folder, tokenizer=False)
        return {}
    model.save_pretrained(folder)
    for name, quantize in (("ctranslate2", None), ("int8", "int8")):
        export_model(model, f"{folder}-{name}", "ctranslate2", quantize)
    return {}


def write_tokenizer(folder: Path, config: dict[str, Any]) -> None:
    """Writes a tokenizer whose words are w0, w1, ..."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing

    words = {f"w{i}": i for i in range(config["vocab_size"])}
    tokenizer = Tokenizer(WordLevel(words, "w1"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    end = f"w{config['eos_token_id']}"
    tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, config["eos_token_id"])]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"pad_token": f"w{config['pad_token_id']}", "eos_token": end, "unk_token": "w1"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write(system: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Times the writing of texts, of each case after a first call."""
    if system == "ktlite":
        from ktlite.inference.runner import Forward
        from ktlite.models import from_pretrained

        run: Any = Forward(from_pretrained(spec["folder"], KINDS[spec["config"]["model_type"]]))
    else:
        from ktlite.export import open_model

        run = open_model(f"{spec['folder']}-{system}")

    def texts(rows: int, beams: int, length: int, new: int) -> list[list[int]]:
        ids = inputs_of(spec["config"]["vocab_size"], rows, length)
        found = run.generate(
            {"input_ids": ids, "attention_mask": ids * 0 + 1}, num_beams=beams,
            early_stopping=True, max_new_tokens=new, min_new_tokens=new,
        )  # fmt: skip
        return [row.tolist() for row in found]

    return measured(texts, spec)


def step(system: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Times training steps, after some to warm up."""
    import keras

    import ktlite

    size, warm_up, steps = spec["batch_size"], spec["warm_up"], spec["steps"]
    rows = size * (warm_up + steps)
    ids = inputs_of(spec["config"]["vocab_size"], 2 * rows, spec["length"] - 1).tolist()
    texts = [" ".join(f"w{i}" for i in row) for row in ids]
    watch: list[Stopwatch] = []
    found: dict[str, float] = {}

    class Counter(keras.callbacks.Callback):
        done = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.done += 1
            if self.done == warm_up:
                watch.append(Stopwatch())
            elif self.done == warm_up + steps:
                found.update({k: v / steps for k, v in watch[0].read().items()})

    few = texts[:2], texts[rows : rows + 2]
    learner = ktlite.get_learner(
        spec["folder"], (texts[:rows], texts[rows:]), few, task="text2text-generation",
        maxlen=spec["length"], batch_size=size, check=False, verbose=0,
    )  # fmt: skip
    learner.fit_onecycle(1e-4, 1, callbacks=[Counter()], verbose=0)
    return {"figures": found}


if __name__ == "__main__":
    job, system, told = sys.argv[1:]
    found = {"prepare": prepare, "write": write, "step": step}[job](system, json.loads(told))
    tell({"figures": {}, **found}, ["keras", "tensorflow", "ctranslate2"])
