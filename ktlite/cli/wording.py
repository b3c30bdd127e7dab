"""What `--help` says of the options that are arguments of functions, in groups.

Docstrings speak to those who write Python. An argument that is new, and has no words here yet, is
shown with its docstring's, in the last group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Word(NamedTuple):
    """How an option is shown.

    Args:
        help: What it does.
        metavar: What to call its value; none for switches.
        choices: The values that there are, for the help and for shells.
    """

    help: str
    metavar: str = "N"
    choices: tuple[str, ...] = ()


Group = Mapping[str, Word]

TRAINING: Mapping[str, Group] = {
    "data and model": {
        "model": Word("checkpoint: a folder, or a name on the Hugging Face Hub", "NAME"),
        "train_data": Word(
            "labelled texts, images or sounds: a CSV, TSV, JSONL or Parquet file, several, "
            "'a/*.parquet', or a folder of class folders",
            "PATH",
        ),
        "text_column": Word(
            "column of the texts, or of paths of images or sounds; of pairs two", "COLUMN"
        ),
        "label_columns": Word("column of the labels, or several columns", "COLUMN"),
        "val_data": Word("what to validate on, like --data; default: a part of --data", "PATH"),
        "val_pct": Word("that part; default: 0.1"),
        "task": Word(
            "what labels mean: classification, multilabel, regression, token-classification, "
            "question-answering or sentence-similarity; default: told by the labels",
            "TASK",
        ),
        "out": Word("folder to save the predictor in", "FOLDER"),
        "plot": Word("image to draw the curve in, such as lr.png", "FILE"),
    },
    "how files are read": {
        "sep": Word("between the fields of CSV; default: a comma, of .tsv a tab", "CHAR"),
        "encoding": Word("of the files; default: detected", "NAME"),
        "names": Word("columns of a CSV file without a header", "NAME"),
        "class_names": Word("names of the labels 0, 1, 2, ...", "NAME"),
        "missing": Word(
            "rows without text, image or label; default: drop, which counts them",
            "WHAT",
            ("drop", "error"),
        ),
        "na_values": Word(
            "cells that stand for a missing value, such as NA; default: empty ones alone", "CELL"
        ),
        "cache_folder": Word("keep tokens in files here: for data larger than memory", "FOLDER"),
        "check": Word("look for what is wrong with the data, and say it (default)"),
    },
    "lengths and batches": {
        "maxlen": Word("tokens of the longest text; the rest is cut off; default: 128"),
        "window": Word("read texts whole, in windows of so many tokens"),
        "stride": Word("tokens that two windows share; default: a quarter"),
        "seconds": Word("of each sound that are heard; default: 30"),
        "batch_size": Word("texts a step; default: 32"),
        "eval_batch_size": Word("texts a batch of validation; default: 32"),
        "batch_tokens": Word("tokens a batch, at most: bounds the memory"),
        "accumulate": Word("batches a step, in the memory of one; default: 1"),
    },
    "training": {
        "lr": Word("highest learning rate, such as 5e-5; ktlite lr-find suggests one"),
        "epochs": Word("times through the data"),
        "early_stopping": Word("end after so many epochs without a better one"),
        "reduce_on_plateau": Word("lower the rate after so many epochs without a better one"),
        "reduce_factor": Word("what the rate is divided by then; default: 2"),
        "class_weight": Word("'balanced', or as JSON: '{\"spam\": 2}'", "WEIGHT"),
        "label_smoothing": Word("share of each label that is spread over all; default: 0"),
        "loss": Word("such as 'focal', or of regression 'huber'; default: the task's", "NAME"),
        "metrics": Word("figures of Keras or scikit-learn, such as f1_macro", "NAME"),
        "steps_per_epoch": Word("steps an epoch, at most; default: all"),
        "seed": Word("of the split, of new weights and of the order; default: 42"),
    },
    "schedule and optimizer": {
        "cycle_len": Word("with --fit fit: epochs of the first cycle of the rate"),
        "cycle_mult": Word("with --fit fit: how many times longer the next is; default: 1"),
        "lr_decay": Word("with --fit fit: what each cycle's rate is multiplied by; default: 1"),
        "cycle_momentum": Word("change the momentum against the rate (default)"),
        "max_momentum": Word("momentum at the start and the end; default: 0.95"),
        "min_momentum": Word("momentum at the highest rate; default: 0.85"),
        "augment": Word(
            "change training texts at random: some of synonym, insert, swap, delete, typo; "
            "images: randaugment, erasing",
            "WAY",
        ),
        "mixup": Word("mix rows and their labels by shares of Beta(N, N), such as 0.2"),
        "r_drop": Word("run rows twice and bring the predictions together, so strongly: 1"),
        "adversarial": Word("also learn from rows moved against the model: true, or how far: 0.02"),
        "ema": Word("decay of a moving average of the weights, such as 0.999"),
    },
    "the sweep": {
        "start_lr": Word("first rate; default: 1e-7"),
        "max_lr": Word("last rate; default: 10"),
        "lr_mult": Word("what the rate is multiplied by after each batch"),
        "max_epochs": Word("epochs of the sweep, at most"),
        "stop_factor": Word("stop where the loss is so many times its best; default: 4"),
    },
    "interrupted trainings": {
        "checkpoint_folder": Word("keep the newest two checkpoints and the best here", "FOLDER"),
        "resume": Word("go on from the newest one"),
        "save_every": Word("minutes between two; default: 10"),
        "monitor": Word("figure that says which is best; default: val_loss", "NAME"),
        "mode": Word(
            "whether it is better when lower or higher; default: known from its name",
            "WHICH",
            ("min", "max"),
        ),
    },
    "memory and devices": {
        "lora": Word("train adapters of this rank, such as 8, in place of all weights"),
        "lora_alpha": Word("scale of the adapters; default: twice the rank"),
        "remat": Word("compute again in place of keeping: less memory, a third more time"),
        "micro_tokens": Word(
            "tokens that a step runs at a time, auto (default: 1024 on CPUs) or null", "TOKENS"
        ),
        "precision": Word(
            "to compute in; default: float32", "TYPE", ("float32", "bfloat16", "float16")
        ),
        "xla": Word("compile the encoder: true, false or auto (default: on GPUs)", "WHEN"),
        "strategy": Word(
            "mirrored: all GPUs; multiworker: several machines (ktlite launch)", "NAME"
        ),
        "devices": Word("such as GPU:0 GPU:1", "DEVICE"),
    },
    "checkpoints": {
        "revision": Word("branch, tag or commit on the Hub", "NAME"),
        "ignore_config_fields": Word("unknown fields of config.json to accept", "FIELD"),
    },
}
EXPORTING: Mapping[str, Group] = {
    "the export": {
        "format": Word(
            "default: onnx; of models that write texts ctranslate2", "FORMAT",
            ("onnx", "litert", "saved_model", "huggingface", "ctranslate2"),
        ),
        "quantize": Word(
            "store weights as int8 (onnx, litert, ctranslate2) or float16 (litert, huggingface, "
            "ctranslate2)", "TYPE",
            ("int8", "float16"),
        ),
        "target_opset": Word("ONNX's version of operators; default: 17"),
    },
}  # fmt: skip
EXPLAINING: Mapping[str, Group] = {
    "the explanation": {
        "method": Word(
            "default: integrated-gradients, or occlusion where there are no gradients",
            "METHOD",
            ("integrated-gradients", "occlusion", "lime"),
        ),
        "truncate_len": Word("words of each text, at most; default: 512"),
        "n_samples": Word("texts that lime makes; default: 1000"),
        "seed": Word("of these; default: 42"),
    },
}
SERVING: Mapping[str, Group] = {
    "where": {
        "host": Word(
            "address to listen at; default: 127.0.0.1, which other machines do not reach", "ADDRESS"
        ),
        "port": Word("default: 8000; 0: one that is free"),
        "hosts": Word("further names of this machine, such as a proxy passes on", "NAME"),
        "cors": Word("sites whose pages may use it, such as https://example.org", "ORIGIN"),
    },
    "how": {
        "workers": Word("processes, each with the model in memory; default: 1"),
        "batch_size": Word("texts that the model computes at once; default: 32"),
        "cache": Word("keep the answers to so many texts; default: 0"),
        "max_new_tokens": Word("the most tokens that a model writes for a text; default: 512"),
        "limits": Word("as JSON: '{\"texts\": 100, \"timeout\": 5}'", "LIMITS"),
        "runtime": Word(
            "default: what the folder was written for", "NAME",
            ("keras", "onnx", "litert", "saved_model", "ctranslate2"),
        ),
        "access_log": Word("log every request"),
    },
}  # fmt: skip
REST = "more"

EXAMPLES = {
    "train": """\
  ktlite train --model bert-base-uncased --data reviews.csv --text text --label label \\
      --lr 5e-5 --epochs 2 --out reviews-predictor
  ktlite train --config reviews-predictor.run.yaml --out again      # the same once more""",
    "lr-find": """\
  ktlite lr-find --model bert-base-uncased --data reviews.csv --text text --label label \\
      --plot lr.png""",
    "predict": """\
  ktlite predict reviews-predictor "A fine film." "Dull."
  ktlite predict reviews-predictor --input new.csv --text text --out scored.csv
  zcat reviews.txt.gz | ktlite predict reviews-predictor > scored.csv
  ktlite predict cats-predictor cat.jpg
  ktlite predict cats-predictor --input pictures/ --out scored""",
    "evaluate": """\
  ktlite evaluate reviews-predictor --data test.csv --text text --label label --ci""",
    "explain": """\
  ktlite explain reviews-predictor "A warm, funny film." --html why.html""",
    "export": """\
  ktlite export reviews-predictor --out reviews-onnx --quantize int8""",
    "serve": """\
  ktlite serve reviews-predictor --port 8080""",
    "launch": """\
  ktlite launch --workers 2 train.py --epochs 3
  ktlite launch --workers 10.0.0.1:2222,10.0.0.2:2222 --index 0 train.py""",
    "info": """\
  ktlite info reviews-predictor --check""",
    "compare": """\
  ktlite compare first-predictor second-predictor""",
    "convert": """\
  ktlite convert ktrain-predictor --out new-predictor""",
}
