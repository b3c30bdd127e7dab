"""Information extraction by questions: a column of answers for each question."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ktlite._arguments import at_least_one, checked, not_a_string, positive, without_effect
from ktlite.applications.given import Model, as_predictor
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.squad import read_any_questions
from ktlite.errors import DataError, Problems, did_you_mean, listing
from ktlite.learner import Learner
from ktlite.predictor import Predictor
from ktlite.tasks import QuestionAnswering
from ktlite.training.execution import compile_model

MODEL = "bert-large-uncased-whole-word-masking-finetuned-squad"  # ktrain's default
CONF = " CONF"  # what the name of a column of probabilities ends with, as in ktrain


class AnswerExtractor:
    """Extracts information from texts by asking questions.

    Args:
        model: A predictor that answers questions, the folder of one, or a checkpoint that was
            fine-tuned to answer questions: its folder or Hub name. Default: ktrain's, a large
            BERT of 1.3 GB; `"deepset/roberta-base-squad2"` is a smaller one that also says where
            there is no answer.
        maxlen: With a checkpoint: longest input in tokens; longer texts are read in windows.
        model_name: ktrain's name of `model`.
        bert_squad_model: ktrain's older name of `model`.
        framework: Accepted for ktrain's sake.
        device: Accepted for ktrain's sake.
        quantize: Refused: export a predictor with `quantize="int8"`, and give its folder.

    Raises:
        ArgumentError: If the predictor does something else.

    Example:
        >>> extractor = ktlite.AnswerExtractor("deepset/roberta-base-squad2")
        >>> extractor.extract(df["report"], df, [("What is the risk?", "Risk")])
        >>> extractor.extract(df["report"], df, [("When was {company} founded?", "Founded")])
    """

    @checked
    def __init__(
        self,
        model: Model | None = None,
        maxlen: int = 384,
        *,
        model_name: Model | None = None,
        bert_squad_model: Model | None = None,
        framework: str | None = None,
        device: Any = None,
        quantize: bool = False,
    ) -> None:
        chosen = chosen_model(
            "AnswerExtractor", model, model_name, bert_squad_model, quantize=quantize
        )
        without_effect("AnswerExtractor", framework=framework, device=device)
        self.predictor = as_answerer(chosen, maxlen)

    def __repr__(self) -> str:
        return f"AnswerExtractor: {self.predictor!r}"

    @checked
    def extract(
        self,
        texts: Any,
        df: Any = None,
        question_label_pairs: Sequence[Any] = (),
        min_conf: float = 0.0,
        return_conf: bool = False,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> Any:
        """Asks each text each question.

        Args:
            texts: The texts; of a missing or empty one nothing is asked.
            df: A DataFrame to add the answers to, a row a text. `{name}` in a question stands
                for the row's value in the column of that name; where that is missing, nothing is
                asked. Default: one of the answers alone.
            question_label_pairs: (question, name of the column of its answers), or questions,
                which are then the names.
            min_conf: The least probability of an answer, from 0 to 1. (ktrain's is a sum of
                logits.)
            return_conf: Add a column with each answer's probability, named `"<label> CONF"`.
            batch_size: Texts a batch. Default: the predictor's.
            verbose: 1 shows a progress bar for many texts.

        Returns:
            A new DataFrame. Where there is no answer, it is None.

        Raises:
            ArgumentError: If arguments cannot work; all of them are named at once.
        """
        import pandas as pd

        problems = Problems("extract")
        not_a_string(problems, texts=texts, question_label_pairs=question_label_pairs)
        problems.raise_if_any()
        pairs = [(item, item) if isinstance(item, str) else item for item in question_label_pairs]
        texts = list(texts)
        _check(texts, df, pairs, min_conf, return_conf)
        columns: dict[str, list[Any]] = {}
        for question, label in pairs:
            asked = _filled(question, df, len(texts))
            there = [
                i
                for i, (question, text) in enumerate(zip(asked, texts, strict=True))
                if question is not None and isinstance(text, str) and text.strip()
            ]
            found = self.predictor.predict(
                [(asked[i], texts[i]) for i in there], True, batch_size=batch_size, verbose=verbose
            )
            answers: list[Any] = [None] * len(texts)
            chances: list[Any] = [None] * len(texts)
            for i, (answer, chance) in zip(there, found, strict=True):
                chances[i] = chance
                if answer and chance >= min_conf:
                    answers[i] = answer
            columns[label] = answers
            if return_conf:
                columns[f"{label}{CONF}"] = chances
        new = pd.DataFrame(columns, index=None if df is None else df.index, dtype=object)
        if return_conf:
            new = new.astype({f"{label}{CONF}": "float64" for _, label in pairs})
        if df is None:
            return new
        # By position: an index may have a label twice.
        joined = pd.concat([df.reset_index(drop=True), new.reset_index(drop=True)], axis=1)
        return joined.set_axis(df.index, axis=0)

    @checked
    def finetune(
        self,
        data: Any,
        epochs: int = 3,
        learning_rate: float = 2e-5,
        batch_size: int = 8,
        max_seq_length: int = 512,
        verbose: int = 1,
    ) -> Learner:
        """Trains the model on, in place, with one-cycle.

        Args:
            data: A list of dicts with `question`, `context` and `answers` (a text of the context,
                `{"text", "answer_start"}`, or None), or whatever else
                `ktlite.get_learner(train_data=)` takes for questions.
            epochs: How often to go through the data.
            learning_rate: The highest.
            batch_size: Rows a batch.
            max_seq_length: Longest input in tokens; at most as many as the model has positions.
            verbose: 0 silences the progress bar.

        Returns:
            The learner that did it, to look at.

        Raises:
            DataError: If the data cannot be used; the message says why.
        """
        problems = Problems("finetune")
        at_least_one(problems, epochs=epochs, batch_size=batch_size, max_seq_length=max_seq_length)
        positive(problems, learning_rate=learning_rate)
        problems.raise_if_any()
        model, preproc = self.predictor.model, self.predictor.preproc
        raw = read_any_questions(data, None, None, source="data")
        maxlen = min(max_seq_length, model.spec.tokens.max_positions)
        if maxlen != preproc.maxlen:
            preproc = _with_maxlen(preproc, maxlen)
        train = preproc.dataset(raw, verbose=verbose)
        compile_model(model, preproc.task)
        learner = Learner(model, train, batch_size=batch_size)
        learner.fit_onecycle(learning_rate, epochs, verbose=verbose)
        self.predictor = Predictor(model, preproc, self.predictor.batch_size)
        return learner


def chosen_model(where: str, *given: Model | None, quantize: bool = False) -> Model:
    """Returns the one model of several arguments that mean the same, or the default.

    Raises:
        ArgumentError: If there is more than one, or `quantize`.
    """
    named = [model for model in given if model is not None]
    problems = Problems(where)
    problems.add_unless(
        len(named) < 2, "model, model_name and bert_squad_model mean the same; give one of them."
    )
    problems.add_unless(
        not quantize,
        "quantize=True would change answers here: export a predictor with quantize='int8', see "
        "what that costs by compare_exports, and give its folder as the model.",
    )
    problems.raise_if_any()
    return named[0] if named else MODEL


def as_answerer(model: Model, maxlen: int = 384) -> Predictor:
    """Returns a predictor that answers questions; arguments and errors as of `as_predictor`."""
    return as_predictor(model, QuestionAnswering(), maxlen)


def _check(
    texts: list[Any], df: Any, pairs: Sequence[Any], min_conf: Any, return_conf: bool
) -> None:
    problems = Problems("extract")
    problems.add_unless(
        bool(pairs),
        "question_label_pairs is empty; expected such as [('Who wrote it?', 'Author')].",
    )
    problems.add_unless(
        isinstance(min_conf, (int, float)) and 0 <= min_conf <= 1,
        f"min_conf={min_conf!r}; expected a probability, 0 to 1 (ktrain's is a sum of logits: 0.5 "
        "is a fair start).",
    )
    is_frame = hasattr(df, "columns") and hasattr(df, "iloc")
    problems.add_unless(
        df is None or is_frame, f"df is of type {type(df).__name__}; expected a DataFrame."
    )
    if is_frame and len(df) != len(texts):
        problems.add(f"{len(texts)} texts for a DataFrame of {len(df)} rows; expected as many.")
    labels = list(df.columns) if is_frame else []
    for pair in pairs:
        fine = isinstance(pair, (tuple, list)) and len(pair) == 2
        if not fine or not all(isinstance(part, str) and part.strip() for part in pair):
            problems.add(f"{pair!r:.60} is no (question, label).")
            continue
        for label in (pair[1], f"{pair[1]}{CONF}") if return_conf else (pair[1],):
            problems.add_unless(label not in labels, f"there is a column {label!r} already.")
            labels.append(label)
        for name in _fields(pair[0]) if is_frame else ():
            problems.add_unless(
                name in df.columns,
                f"{pair[0]!r} asks for a column {name!r}, which there is not."
                f"{did_you_mean(name, df.columns)} The columns are {listing(df.columns)}.",
            )
    problems.raise_if_any()


def _fields(question: str) -> list[str]:
    """Returns the names in braces."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(question) if name]
    except ValueError as error:
        raise DataError(f"{question!r}: {error}.") from None


def _filled(question: str, df: Any, count: int) -> list[str | None]:
    """Returns the question for each row; None where a value that it asks for is missing."""
    names = [] if df is None else _fields(question)
    if not names:
        return [question] * count
    asked = df[list(dict.fromkeys(names))]
    known = asked.notna().all(axis=1)
    values: list[Mapping[str, Any]] = asked.to_dict("records")
    return [
        question.format_map(row) if there else None
        for row, there in zip(values, known, strict=True)
    ]


def _with_maxlen(preproc: Preprocessor, maxlen: int) -> Preprocessor:
    """Returns the same preprocessor with another longest text."""
    with tempfile.TemporaryDirectory() as folder:
        config = preproc.save(Path(folder))
        kind = preproc.input.kind
        inputs = {kind: {**config["inputs"][kind], "maxlen": maxlen}}
        return Preprocessor.load(Path(folder), {**config, "inputs": inputs})
