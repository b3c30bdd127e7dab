"""The model card: what a person who is given a predictor wants to know, as Hugging Face has it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ktlite.cards.run_card import RunCard, as_figure, calibrated
from ktlite.data.preprocessor import Preprocessor
from ktlite.errors import listing
from ktlite.tasks import Task
from ktlite.tasks.calibration import TEMPERATURE

FILE = "README.md"
# The head's tasks that transformers has pipelines of.
_PIPELINES = (
    "text-classification", "token-classification", "question-answering", "image-classification",
    "audio-classification",
)  # fmt: skip
_DATASET = "validation data"


def write_model_card(
    folder: str | os.PathLike[str],
    card: RunCard,
    preproc: Preprocessor,
    in_pytorch: bool,
) -> None:
    """Writes `README.md`: YAML for the Hub, and text with the figures of the run card.

    Args:
        folder: Where to.
        card: Of the model's training.
        preproc: What the model reads, and does.
        in_pytorch: Whether transformers has such models, and opens the folder.
    """
    task, head = preproc.task, preproc.head
    in_pytorch = in_pytorch and head in _PIPELINES
    title = f"{card.model.get('name') or 'A model'}, trained for {task.name}"
    parts = [
        f"---\n{_yaml(card, head, title, in_pytorch)}\n---",
        f"# {title}",
        _what_it_does(card, task),
        _how_to_use(preproc, in_pytorch),
        _figures(card),
        _data(card),
        _training(card),
        "## Limits\n\nThe figures are of validation data like the training data. On data of "
        "another kind, time or language they may be much lower: measure there before you rely on "
        "it. What the data was, who may use the model, and what it must not be used for, is for "
        "its author to add here.",
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    Path(folder, FILE).write_text(text, encoding="utf-8")


def _yaml(card: RunCard, head: str, title: str, in_pytorch: bool) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            head,
            "custom",
            _DATASET,
            metric_type=name.removeprefix("val_"),
            metric_value=round(value, 4),
        )
        for name, value in card.figures[0].items()
        if isinstance(value, (int, float))
    ]
    base = card.model.get("hub_name")
    data = ModelCardData(
        base_model=base,
        library_name="transformers" if in_pytorch else "keras",
        pipeline_tag=head,
        tags=["ktlite", "keras"],
        model_name=title,
        eval_results=results or None,
    )
    return str(data.to_yaml())


def _what_it_does(card: RunCard, task: Task) -> str:
    lines = [f"Task: {task.name}."]
    if task.classes:
        lines.append(f"Labels: {listing((_code(name) for name in task.classes), 50)}.")
    if card.model.get("parameters"):
        lines.append(f"Parameters: {card.model['parameters']:,}.")
    versions = card.environment
    lines.append(f"Trained with ktlite {versions.get('ktlite')}, Keras {versions.get('keras')}.")
    return " ".join(lines)


def _how_to_use(preproc: Preprocessor, in_pytorch: bool) -> str:
    example = preproc.input.in_code(preproc.golden_examples[0])
    text = (
        "## Use\n\n```python\nimport ktlite\n\n"
        f'predictor = ktlite.load_predictor("this-folder")\npredictor.predict({example})\n```'
    )
    if in_pytorch:
        text += (
            "\n\nIt also opens in PyTorch:\n\n```python\nfrom transformers import pipeline\n\n"
            f'model = pipeline("{preproc.head}", model="this-folder")\n```'
        )
        text += _temperature(preproc.task, preproc.input.in_pytorch)
    return text


def _temperature(task: Task, inputs: Sequence[str]) -> str:
    """Says how to have the calibrated probabilities elsewhere; nothing where there are none."""
    temperature = task.calibration.temperature
    if temperature == 1:
        return ""
    several = task.problem_type == "multi_label_classification"
    return (
        "\n\nThe probabilities are calibrated: ktlite divides the logits by the temperature "
        f"{temperature:.4g}. `transformers` knows of no temperature, and its pipeline gives the "
        "same labels with other probabilities. These are ktlite's:\n\n```python\n"
        + "\n".join(inputs)
        + f"\nlogits = model.model(**inputs).logits / {temperature!r}"
        f"  # {TEMPERATURE} in config.json\n"
        f"probabilities = logits.{'sigmoid()' if several else 'softmax(-1)'}\n```"
    )


def _figures(card: RunCard) -> str:
    figures, where = card.figures
    if not figures:
        return "## Figures\n\nNot measured on data that the model has not learned from."
    rows = [(name, as_figure(value)) for name, value in figures.items()]
    text = f"## Figures\n\nOn {where}:\n\n{_table(('figure', 'value'), rows)}"
    if "temperature" in card.calibration:
        text += f"\n\nProbabilities are calibrated: {calibrated(card.calibration)}."
    return text


def _data(card: RunCard) -> str:
    rows = [
        (name, f"{facts['rows']:,}" if "rows" in facts else "unknown", facts.get("sha256", ""))
        for name, facts in card.data.items()
    ]
    return f"## Data\n\n{_table(('data', 'rows', 'sha256 begins with'), rows)}"


def _training(card: RunCard) -> str:
    fits = [(_code(fit["schedule"]), fit["epochs"], _duration(fit["seconds"])) for fit in card.fits]
    given = {name: value for name, value in card.arguments.items() if value not in (None, [], "")}
    arguments = [(name, _code(value)) for name, value in given.items()]
    parts = ["## Training"]
    if fits:
        parts.append(_table(("schedule", "epochs", "time"), fits))
    if arguments:
        parts.append(_table(("argument", "value"), arguments))
    return "\n\n".join(parts) if len(parts) > 1 else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _code(value: Any) -> str:
    """Returns a value as Markdown code that cannot end a table's cell or the code."""
    text = " ".join(str(value).replace("`", "'").replace("|", "¦").split())
    return f"`{text}`"


def _duration(seconds: Any) -> str:
    minutes, rest = divmod(int(round(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def shown(value: Any) -> str:
    """Returns a card's value for a table."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    return listing(value, 6) if isinstance(value, list) else str(value)
