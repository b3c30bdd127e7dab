"""`ktlite info` and the commands that turn a predictor's folder into something else."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ktlite._labels import label_names
from ktlite._logging import logger, without_results
from ktlite.cli.options import Option, add_grouped, options_of, without
from ktlite.cli.outputs import add_overwrite, check_folder
from ktlite.cli.wording import EXPORTING, SERVING
from ktlite.errors import PredictorError, Problems, listing
from ktlite.storage import MANIFEST, read_manifest

_OPSET = Option("target_opset", "int", None, "ONNX's version of operators. Default: 17.")


def add_commands(add: Callable[..., Any]) -> None:
    """Adds the commands."""
    info = add("info", run_info, "Say what a folder is: predictor, task, labels, model, size.")
    info.add_argument("path", metavar="PATH", help="folder of a predictor or a checkpoint")
    info.add_argument("--check", action="store_true", help="also compare all files' checksums")

    convert = add(
        "convert",
        run_convert,
        "Turn a predictor that ktrain saved into one of ktlite's.",
    )
    convert.add_argument("old", metavar="OLD", help="folder that ktrain's predictor.save wrote")
    _add_out(convert, "new")

    export = add(
        "export",
        run_export,
        "Write a predictor for another runtime, and compare the two.",
    )
    export.add_argument("predictor", metavar="PREDICTOR", help="folder of a saved predictor")
    _add_out(export, "place")
    own = options_of("predictor/exporting.py", "export", "Exporting")
    taken = {name: own[name] for name in ("format", "quantize")}
    add_grouped(export, {**taken, _OPSET.name: _OPSET}, EXPORTING)

    serve = add("serve", run_serve, "Serve a predictor over HTTP, with a page to try it on.")
    serve.add_argument("path", metavar="PREDICTOR", help="folder of a saved predictor")
    add_grouped(serve, _served(), SERVING)

    compare = add("compare", run_compare, "Set two trained models side by side.")
    for name in ("run1", "run2"):
        compare.add_argument(
            name, metavar=name.upper(), help="folder of a predictor, or a checkpoint_folder"
        )


def _add_out(parser: Any, positional: str) -> None:
    """Adds --out, and the second folder of earlier versions, which is not shown."""
    parser.add_argument("--out", metavar="FOLDER", help="folder to write")
    parser.add_argument(positional, nargs="?", help=argparse.SUPPRESS)
    add_overwrite(parser)


def _out(args: Any, positional: str) -> str:
    """Returns the folder to write, however it was given."""
    given = [path for path in (args.out, getattr(args, positional)) if path is not None]
    if len(given) != 1:
        args.parser.error("give the folder to write once: --out FOLDER")
    return str(given[0])


def _served() -> dict[str, Option]:
    # The key comes from the environment: everybody on a machine can read its command lines.
    return without(options_of("deploy/serving/server.py", "serve"), ("path", "api_key"))


def run_info(args: Any) -> tuple[str, Any]:
    """Reads JSON files only: no model is loaded."""
    folder = Path(args.path)
    if not folder.is_dir():
        raise PredictorError(f"{folder}: there is no such folder.")
    facts = _facts(folder, args.check)
    width = max(map(len, facts))
    shown = [
        f"{name:<{width}}  {listing(value, 20) if isinstance(value, list) else value}"
        for name, value in facts.items()
        if value not in (None, [])
    ]
    return "\n".join(shown), facts


def _facts(folder: Path, check: bool) -> dict[str, Any]:
    config = _json(folder / "config.json")
    model = {
        "model": config.get("model_type"),
        "layers": config.get("num_hidden_layers") or config.get("n_layers"),
        "width": config.get("hidden_size") or config.get("dim"),
    }
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    files = {"files": sorted(file.name for file in folder.iterdir()), "size": _megabytes(size)}
    if not (folder / MANIFEST).is_file():
        kind = "checkpoint" if config else "neither predictor nor checkpoint"
        if any(folder.glob("*.preproc")):
            kind = f"predictor of ktrain; ktlite convert {folder} --out NEW"
        return {"kind": kind, **model, "labels": label_names(config), **files}
    from ktlite.data.preprocessor import inputs_of

    manifest = read_manifest(folder) if check else _json(folder / MANIFEST)
    preproc = manifest.get("preprocessor", {})
    task = preproc.get("task", {})
    kind, settings = inputs_of(preproc) if preproc else ("", {})
    return {
        "kind": "predictor" if preproc else "saved by ktlite, no predictor",
        "task": task.get("name"),
        "labels": [str(label) for label in task.get("classes") or task.get("names") or []],
        "reads": f"{kind}s" if kind else None,
        "maxlen": settings.get("maxlen"),
        "stride": settings.get("stride"),
        **model,
        "precision": manifest.get("precision"),
        "runtime": _runtime(manifest.get("format")),
        "ktlite": manifest.get("ktlite_version"),
        **files,
        "check": "all files are as they were written" if check else None,
    }


def _runtime(format: str | None) -> str | None:
    """Returns a format's runtime as `load_predictor` calls it."""
    return "keras" if format == "huggingface" else format


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes()) if file.is_file() else {}
    except ValueError as error:
        raise PredictorError(f"{file}: it is damaged: {error}.") from None


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def run_convert(args: Any) -> tuple[str, Any]:
    """Converts ktrain's folder."""
    from ktlite.deploy.ktrain_files import convert_ktrain

    out = _out(args, "new")
    problems = Problems("convert")
    check_folder(problems, "--out", out, args.overwrite)
    problems.raise_if_any()
    predictor = convert_ktrain(args.old, out)
    task = predictor.preproc.task
    labels = listing(task.classes)
    return f"{out}: {task.name}{f' of {labels}' if labels else ''}.", {
        "predictor": out,
        "task": task.name,
        "labels": task.classes,
    }


def run_export(args: Any) -> tuple[str, Any]:
    """Exports, with the difference that was measured."""
    from ktlite.export.writing import check_export
    from ktlite.predictor import load_predictor

    names = ("format", "quantize", _OPSET.name)
    given = {name: vars(args)[name] for name in names if name in vars(args)}
    options = {name: value for name, value in given.items() if name == _OPSET.name}
    out = _out(args, "place")
    check_export(out, given.get("format", "onnx"), given.get("quantize"), options)
    problems = Problems("export")
    check_folder(problems, "--out", out, args.overwrite)
    problems.raise_if_any()
    logger.info("export: loading %s", args.predictor)
    with without_results():  # which are the command's
        made = load_predictor(args.predictor).export(out, **given)
    return str(made), {**made._asdict(), "path": str(made.path)}


def run_serve(args: Any) -> tuple[str, Any]:
    """Serves until it is told to stop."""
    from ktlite.deploy.serving import serve

    serve(args.path, **{name: vars(args)[name] for name in _served() if name in vars(args)})
    return "", None


def run_compare(args: Any) -> tuple[str, Any]:
    """Compares run cards."""
    from ktlite.cards import compare

    found = compare(args.run1, args.run2)
    tables = {"differences": found.differences, "metrics": found.metrics}
    data = {name: json.loads(table.to_json(orient="index")) for name, table in tables.items()}
    return str(found), data
