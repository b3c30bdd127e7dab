"""`ktlite train` and `ktlite lr-find`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ktlite._logging import without_results
from ktlite.cli.options import Option, add_grouped, options_of, without
from ktlite.cli.outputs import add_overwrite, check_file, check_folder
from ktlite.cli.runfile import read_run, write_run
from ktlite.cli.wording import TRAINING
from ktlite.errors import Problems, listing

FITS = ("fit_onecycle", "autofit", "fit")
# What a file or a shell cannot give, or goes under another name here.
_NOT_OFFERED = {
    "callbacks",
    "learning_rate",
    "n_cycles",
    "preproc",
    "sample_weight",
    "show_plot",
    "suggest",
    "restore_weights_only",
    "use_multiprocessing",
    "verbose",
    "workers",
}
_SHORT = {"train_data": "--data", "text_column": "--text", "label_columns": "--label"}
_OUT = Option("out", "str", None, "Folder to save the predictor in.")
_PLOT = Option("plot", "str", None, "Image to draw the curve in, such as lr.png.")


def add_commands(add: Callable[..., Any]) -> None:
    """Adds both commands."""
    train = add(
        "train",
        run_train,
        "Fine-tune a checkpoint on labelled texts, images or sounds and save the predictor. The "
        "options may stand in a file (--config); beside the predictor appears FOLDER.run.yaml, "
        "which repeats the run.",
    )
    find = add(
        "lr-find",
        run_find,
        "Try learning rates, and suggest one. A file of options (--config) may be that of ktlite "
        "train.",
    )
    for parser, options in ((train, _train_options()), (find, _find_options())):
        parser.usage = "%(prog)s [OPTION ...]"  # they would fill a screen at every mistake
        parser.add_argument("--config", metavar="FILE", help="YAML or TOML file with options")
        add_grouped(parser, options, TRAINING, _SHORT)
        add_overwrite(parser)
    train.add_argument(
        "--fit",
        choices=FITS,
        default=None,
        help="the rate goes up and down once (fit_onecycle, the default); once an epoch until it "
        "gets no better (autofit); is plain, or in cycles (fit)",
    )


def _learner_options() -> dict[str, Option]:
    return without(options_of("workflow.py", "get_learner"), _NOT_OFFERED)


def _fit_options() -> dict[str, Option]:
    found: dict[str, Option] = {}
    for name in reversed(FITS):  # the first one's words are the ones to show
        found |= options_of("learner/fitting.py", name, "Fitting")
    return without(found, _NOT_OFFERED)


def _train_options() -> dict[str, Option]:
    return {**_learner_options(), **_fit_options(), "out": _OUT}


def _find_options() -> dict[str, Option]:
    found = options_of("learner/rate_finding.py", "lr_find", "RateFinding")
    return {**_learner_options(), **without(found, _NOT_OFFERED), "plot": _PLOT}


def _settings(args: Any, options: Mapping[str, Option], *more: str) -> dict[str, Any]:
    """Returns what the file says, and over it what the command line does."""
    known = [*options, *more]
    settings = read_run(args.config, known) if args.config else {}
    given = {name: value for name, value in vars(args).items() if name in known}
    settings |= {name: value for name, value in given.items() if value is not None}
    problems = Problems(args.parser.prog)
    for name in ("model", "train_data"):
        flag = _SHORT.get(name, f"--{name}")
        problems.add_unless(name in settings, f"{flag} is not given.")
    problems.raise_if_any()
    return settings


def _get_learner(settings: Mapping[str, Any], verbose: int) -> Any:
    from ktlite.workflow import get_learner

    chosen = {name: value for name, value in settings.items() if name in _learner_options()}
    if chosen.get("sep") == "\\t":  # as one types it where the shell leaves it
        chosen["sep"] = "\t"
    if not verbose:
        chosen.setdefault("check", False)  # what it finds are remarks
    return get_learner(**chosen, verbose=verbose)


def run_train(args: Any) -> tuple[str, Any]:
    """Trains, saves the predictor, and writes the file that repeats the run."""
    options = _train_options()
    settings = _settings(args, options, "fit")
    how = settings.setdefault("fit", FITS[0])
    problems = Problems("train")
    problems.choice("fit", how, FITS)
    if "out" in settings:
        check_folder(problems, "--out", settings["out"], args.overwrite)
    else:
        problems.add("--out is not given: where to save the predictor?")
    problems.add_unless("lr" in settings, "--lr is not given; ktlite lr-find suggests one.")
    problems.add_unless("epochs" in settings or how == "autofit", "--epochs is not given.")
    _check_numbers(problems, settings)
    chosen = {name: value for name, value in settings.items() if name in _fit_options()}
    taken = [*options_of("learner/fitting.py", how, "Fitting")]
    problems.unknown([name for name in chosen if name not in taken], taken)
    problems.raise_if_any()
    out = Path(settings["out"])
    settings.setdefault("seed", _default_seed())
    started, verbose = time.perf_counter(), int(not args.quiet)
    learner = _get_learner(settings, verbose)
    history = getattr(learner, how)(**chosen, verbose=verbose).history
    seconds = time.perf_counter() - started
    figures = learner.metrics() if learner.val_data is not None else {}
    learner.get_predictor().save(out)
    from ktlite.training.workers import is_first

    run = out.with_name(f"{out.name}.run.yaml")
    if is_first(learner.model):
        write_run(run, settings, "ktlite train")
    epochs = {name: values for name, values in history.items() if name not in _STEPS}
    data = {
        "predictor": str(out),
        "run": str(run),
        "metrics": figures,
        "history": epochs,
        "seconds": round(seconds, 1),
    }
    shown = listing(f"{name} {value:.4g}" for name, value in figures.items())
    return f"{out}: {shown or 'saved'}. {run} repeats the run.", data


_STEPS = ("lr", "momentum", "iterations")  # of each step, too many to show


def _default_seed() -> int:
    from ktlite.text.loaders import DEFAULT_SEED

    return DEFAULT_SEED


def _check_numbers(problems: Problems, settings: Mapping[str, Any]) -> None:
    """Records those settings of a fit that it would refuse when all else is loaded."""
    from ktlite._arguments import at_least_one, positive  # NumPy is not for `--help`

    if "lr" in settings:
        positive(problems, lr=settings["lr"])
    for name in ("epochs", "early_stopping", "reduce_on_plateau"):
        if settings.get(name) is not None:
            at_least_one(problems, **{name: settings[name]})


def run_find(args: Any) -> tuple[str, Any]:
    """Sweeps, and writes the plot."""
    options = _find_options()
    settings = _settings(args, options, "fit", *_train_options())  # one file for both commands
    if "plot" in settings:
        problems = Problems("lr-find")
        check_file(problems, "--plot", settings["plot"], "lr.png", args.overwrite)
        problems.raise_if_any()
    verbose = int(not args.quiet)
    learner = _get_learner(settings, verbose)
    own = options_of("learner/rate_finding.py", "lr_find", "RateFinding")
    chosen = {name: value for name, value in settings.items() if name in own}
    with without_results():  # which are the command's
        found = learner.lr_find(**chosen, verbose=verbose)
    suggested = {name: getattr(found, name) for name in ("valley", "steepest", "min_over_10")}
    lines = [str(found)]
    if "plot" in settings:
        learner.lr_plot(suggest=True, return_fig=True).savefig(settings["plot"])
        lines.append(f"  {'plot':<12} {settings['plot']}")
    return "\n".join(lines), {"suggested": suggested, "plot": settings.get("plot")}
