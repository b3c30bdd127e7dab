"""`ktlite predict`, `evaluate` and `explain`: what a saved predictor is used for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ktlite._logging import logger
from ktlite._places import is_file, no_data
from ktlite.cli.options import add_grouped, options_of, parsed
from ktlite.cli.outputs import add_overwrite, check_file
from ktlite.cli.wording import EXPLAINING
from ktlite.deploy.formats import FORMATS, format_of
from ktlite.errors import ArgumentError, Problems, plural

STANDARD = "-"


def add_commands(add: Callable[..., Any]) -> None:
    """Adds the three commands."""
    predict = add(
        "predict",
        run_predict,
        "Predict texts, images or sounds, files or folders of files. Rows come out in their order, "
        "with their columns and two more, `prediction` and `probability`. A folder into a folder "
        "can be killed and started again.",
    )
    _add_predictor(predict)
    predict.add_argument(
        "texts", nargs="*", metavar="TEXT", help="texts, or paths of images or sounds"
    )
    predict.add_argument(
        "--pair", action="store_true", help="TEXT TEXT are one pair, or a question and its context"
    )
    predict.add_argument(
        "--input",
        "-i",
        metavar="PATH",
        help="CSV, TSV, JSONL, Parquet or a text a line; a folder of such, or of images or sounds; "
        "- is standard input, the default where no TEXT is given",
    )
    predict.add_argument(
        "--out",
        "-o",
        dest="output",
        metavar="PATH",
        help="file, or folder; default: -, standard output",
    )
    predict.add_argument("--output", help=argparse.SUPPRESS)
    add_overwrite(predict)
    predict.add_argument("--format", choices=FORMATS, help="of the input; default: by its name")
    predict.add_argument(
        "--output-format", choices=FORMATS[:-1], help="default: by the name of the output, or csv"
    )
    predict.add_argument(
        "--text",
        nargs="+",
        metavar="COLUMN",
        default=[],
        help="column of the texts, or of paths of images or sounds; of pairs two",
    )
    _add_reading(predict)
    predict.add_argument("--block", type=_count, help="rows to hold at a time; of a part")
    _add_running(predict)
    _add_options(predict)

    evaluate = add(
        "evaluate",
        run_evaluate,
        "Compare predictions with the truth in a file, and print the report.",
    )
    _add_predictor(evaluate)
    evaluate.add_argument("--data", required=True, metavar="PATH", help="labelled data")
    evaluate.add_argument(
        "--text", nargs="+", metavar="COLUMN", help="column of the texts, images or sounds"
    )
    evaluate.add_argument("--label", nargs="+", metavar="COLUMN", help="column of the labels")
    _add_reading(evaluate)
    evaluate.add_argument("--names", nargs="+", metavar="NAME", help="of a CSV without a header")
    evaluate.add_argument(
        "--na-values", nargs="+", metavar="CELL", help="cells that stand for a missing value"
    )
    evaluate.add_argument("--missing", choices=("drop", "error"), default="drop",
                          help="rows without text or label")  # fmt: skip
    evaluate.add_argument("--ci", action="store_true", help="95 %% confidence intervals, too")
    _add_running(evaluate)

    explain = add(
        "explain",
        run_explain,
        "Show which words, patches of an image or stretches of a sound moved a prediction.",
    )
    _add_predictor(explain)
    explain.add_argument(
        "texts", nargs="+", metavar="TEXT", help="a text, an image or a sound; of pairs two"
    )
    own = options_of("predictor/explaining.py", "explain", "Explaining")
    add_grouped(explain, {name: own[name] for name in _EXPLAINING}, EXPLAINING)
    explain.add_argument(
        "--target",
        metavar="VALUE",
        help="what to explain in place of the prediction: a class, a "
        "word, or a part of the context as an answer",
    )
    explain.add_argument("--html", metavar="FILE", help="also write it in colours")
    add_overwrite(explain)


_EXPLAINING = ("method", "truncate_len", "n_samples", "seed")


def _add_predictor(parser: Any) -> None:
    parser.add_argument("predictor", metavar="PREDICTOR", help="folder of a saved predictor")


def _add_reading(parser: Any) -> None:
    parser.add_argument("--sep", metavar="CHAR", help="between the fields of CSV")
    parser.add_argument("--encoding", help="of the input; default: detected")


def _add_running(parser: Any) -> None:
    parser.add_argument("--batch-size", type=_count, default=32, help="texts a batch; default: 32")
    parser.add_argument(
        "--devices",
        type=lambda text: text.split(","),
        metavar="DEVICE,...",
        help="to predict on, such as GPU:0,GPU:1",
    )


def _add_options(parser: Any) -> None:
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        type=_option,
        metavar="NAME=VALUE",
        help="argument of the task's predict, such as merge_tokens=false or n_best=3; "
        "of one that writes how to search, such as max_new_tokens=60",
    )


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    return name.replace("-", "_"), parsed(value)


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of 1 or more")
    return int(text)


def _sep(args: Any) -> str | None:
    return "\t" if args.sep == "\\t" else args.sep


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


# Options of `ktlite predict` that mean nothing for a kind of input.
_WITHOUT = {
    "TEXT": ("output", "overwrite", "format", "output_format", "text", "sep", "encoding", "block"),
    "a folder": ("pair", "overwrite", "format"),
    "a file": ("pair",),
}


def run_predict(args: Any) -> tuple[str, Any]:
    """Predicts texts, a file or a folder."""
    problems = Problems("predict")
    problems.add_unless(not (args.texts and args.input), "give TEXT or --input, not both.")
    folder = bool(args.input) and Path(args.input).is_dir()
    kind = "TEXT" if args.texts else "a folder" if folder else "a file"
    for name in _WITHOUT[kind]:
        problems.add_unless(not getattr(args, name), f"{_flag(name)} does not go with {kind}.")
    for name, _ in args.option:
        if name in vars(args):
            problems.add(f"--option {name}: the command has the option {_flag(name)} for it.")
    _check_files(problems, args)
    problems.raise_if_any()
    args.output = args.output or STANDARD
    if folder:
        return _predict_folder(args)
    if args.texts:
        return _predict_texts(args)
    return _predict_file(args)


def _check_files(problems: Problems, args: Any) -> None:
    """Records what is wrong with the files, and with their formats, of one that is predicted."""
    if args.texts or (args.input and Path(args.input).is_dir()):
        return
    if args.output in (None, STANDARD):
        return
    check_file(problems, "--out", args.output, "scored.csv", args.overwrite)


def _predict_texts(args: Any) -> tuple[str, Any]:
    from ktlite.deploy.scoring import PREDICTION, PROBABILITY, score
    from ktlite.deploy.writers import as_json
    from ktlite.predictor import load_predictor

    examples = [tuple(args.texts)] if args.pair else args.texts
    predictor = load_predictor(args.predictor, args.batch_size, devices=args.devices)
    input = predictor.preproc.input
    for text in args.texts:
        if is_file(text) and not input.is_one(text):  # of pictures, the name of a file is one
            logger.warning(
                "%r is taken for a text, though there is a file of that name: --input %s predicts "
                "what is in it.",
                text,
                text,
            )
    found = score(predictor, examples, **dict(args.option))
    rows = [{input.noun: text, PREDICTION: p, PROBABILITY: c} for text, (p, c) in
            zip(examples, found, strict=True)]  # fmt: skip
    lines = (
        prediction if isinstance(prediction, str) else as_json(prediction)
        for prediction, _ in found
    )
    return "\n".join(lines), rows


def _predict_folder(args: Any) -> tuple[str, Any]:
    from ktlite.deploy.resumable import score_folder
    from ktlite.deploy.scoring import BLOCK

    if args.output == STANDARD:
        raise ArgumentError(f"predict: {args.input} is a folder; --out must be a folder, too.")
    count = score_folder(
        args.predictor,
        args.input,
        args.output,
        args.text,
        format=args.output_format,
        sep=_sep(args),
        encoding=args.encoding,
        block=args.block or BLOCK,
        batch_size=args.batch_size,
        devices=args.devices,
        verbose=int(not args.quiet),
        **dict(args.option),
    )
    return f"{args.output}: {plural(count, 'row')}.", {"output": args.output, "rows": count}


def _predict_file(args: Any) -> tuple[str, Any]:
    import contextlib

    from ktlite._progress import progress
    from ktlite.deploy.scoring import BLOCK, Columns, score_file
    from ktlite.deploy.tables import opened, require_pyarrow, standard_input
    from ktlite.deploy.writers import whole_file
    from ktlite.predictor import load_predictor

    reading = {"sep": _sep(args), "encoding": args.encoding}
    to_screen = args.output == STANDARD
    with contextlib.ExitStack() as stack:
        if args.input in (None, STANDARD):
            table = standard_input(args.format or "txt", **reading)
        else:
            table = stack.enter_context(opened(args.input, args.format, **reading))
        written = _output_format(args)
        if "parquet" in (table.format, written):
            require_pyarrow()
        out = args.out_stream.buffer if to_screen else stack.enter_context(whole_file(args.output))
        predictor = load_predictor(args.predictor, args.batch_size, devices=args.devices)
        shown = not args.quiet and not (to_screen and args.out_stream.isatty())
        bar = progress(None, "Predicting", "row", shown=shown)
        count = score_file(
            predictor, table, out, written, Columns(args.text, predictor.preproc.input),
            block=args.block or BLOCK, bar=bar, **dict(args.option),
        )  # fmt: skip
        bar.close()
    if to_screen:
        args.json = False  # the rows are the result
        return "", None
    logger.info("%s: %s.", args.output, plural(count, "row"))
    return "", {"output": args.output, "rows": count}


def _output_format(args: Any) -> str:
    """Returns the format of the rows; `--json` is about what is shown."""
    if args.output_format:
        return str(args.output_format)
    if args.output == STANDARD:
        return "jsonl" if args.json else "csv"
    return format_of(args.output) if Path(args.output).suffix else "csv"


def run_evaluate(args: Any) -> tuple[str, Any]:
    """Reads labelled data as training does, and reports."""
    problems = Problems("evaluate")
    missing = no_data(args.data)
    problems.add_unless(not missing, f"--data: {missing}")
    problems.raise_if_any()
    from ktlite.evaluation import LEVEL, confidence_intervals, report_of
    from ktlite.predictor import load_predictor

    predictor = load_predictor(args.predictor, args.batch_size, devices=args.devices)
    outputs = predictor.outputs(
        args.data,
        "evaluate",
        verbose=int(not args.quiet),
        text_column=_one_or_many(args.text),
        label_columns=_one_or_many(args.label),
        sep=_sep(args),
        encoding=args.encoding,
        names=args.names,
        missing=args.missing,
        na_values=args.na_values,
    )
    report = report_of(outputs, (), LEVEL if args.ci else None, predictor.calibration_note())
    data = {"rows": len(outputs.logits), "on": outputs.on, "metrics": report.metrics}
    if args.ci:
        data["intervals"] = confidence_intervals(outputs)
    return report.text, data


def _one_or_many(columns: list[str] | None) -> Any:
    """Returns one column as itself; numbers, of files without names, as numbers."""
    found = [parsed(name) if name.lstrip("-").isdigit() else name for name in columns or []]
    return found[0] if len(found) == 1 else found or None


def run_explain(args: Any) -> tuple[str, Any]:
    """Explains one prediction."""
    if args.html:
        problems = Problems("explain")
        check_file(problems, "--html", args.html, "explanation.html", args.overwrite)
        problems.raise_if_any()
    from ktlite.predictor import load_predictor

    given = {name: value for name, value in vars(args).items() if name in _EXPLAINING}
    example = args.texts[0] if len(args.texts) == 1 else tuple(args.texts)
    predictor = load_predictor(args.predictor)
    if args.target is not None:  # a class may be the string "1"
        known = args.target in predictor.get_classes()
        given["target"] = args.target if known else parsed(args.target)
    (explanation,) = predictor.explain([example], **given)
    if args.html:
        page = f'<!doctype html>\n<meta charset="utf-8">\n{explanation._repr_html_()}\n'
        Path(args.html).write_text(page, encoding="utf-8")
    return str(explanation), explanation.to_dict()
