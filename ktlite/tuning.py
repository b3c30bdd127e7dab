"""The search for the learning rate, batch size, ... and checkpoint that validate best."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ktlite._arguments import at_least_one, checked, positive
from ktlite._extras import needs_extra
from ktlite._logging import logger
from ktlite.cards import described, fingerprint
from ktlite.errors import ArgumentError, Problems, TrainingError, listing, plural
from ktlite.learner import Learner
from ktlite.training import plots
from ktlite.training.directions import MODES, direction
from ktlite.training.identity import differences
from ktlite.workflow import get_learner
from ktlite.workflow_checks import EXECUTION

if TYPE_CHECKING:
    import pandas as pd
with needs_extra("train", "ktlite.tuning"):
    import keras

_INSTALL = 'tune needs Optuna: pip install "ktlite[tune]"'
_NAME = "ktlite"
_LOGARITHMIC = ("lr",)
# Arguments of get_learner that are tuned, or that tune decides.
_NOT_OPTIONS = ("model", "train_data", "val_data", "batch_size", "seed", "check", "verbose",
                "preproc", "workers", "use_multiprocessing")  # fmt: skip


@dataclass(frozen=True)
class Tuning:
    """What a search has found.

    Args:
        best: The parameters of the best trial.
        value: Its figure.
        monitor: The figure's name.
        trials: A row for each trial: number, state, value, seconds and parameters.
        study: Optuna's `Study`, for its own plots and analyses.
        runs: What trains with given parameters.

    Example:
        >>> found = ktlite.tune("bert-base-uncased", train_data=df, text_column="text",
        ...                     label_columns="label", trials=20, study="study.db")
        >>> found.best
        {'checkpoint': 'bert-base-uncased', 'lr': 4.1e-05, 'epochs': 3, ...}
        >>> predictor = found.best_learner().get_predictor()
    """

    best: dict[str, Any]
    value: float
    monitor: str
    trials: pd.DataFrame
    study: Any
    runs: Runs

    def best_learner(self, verbose: int = 1) -> Learner:
        """Trains again with the best parameters and the same seed; returns the learner."""
        learner = self.runs.learner(self.best)
        self.runs.fit(learner, self.best, verbose=verbose)
        return learner

    def plot(self, return_fig: bool = False) -> Any:
        """Returns a picture of the figure of each trial, and of the best so far.

        Args:
            return_fig: Without effect, as for other results: a notebook shows what a cell ends
                with, and a script saves it.

        Example:
            >>> found.plot().savefig("trials.png")
        """
        mode = self.study.direction.name[:3].lower()
        return plots.plot_trials(self.trials, self.monitor, mode)

    def __repr__(self) -> str:
        done = plural(len(self.trials), "trial")
        lines = [f"Tuning: {done}, best {self.monitor} {self.value:.4f}"]
        return "\n".join([*lines, *(f"  {name:<14}{value}" for name, value in self.best.items())])


@checked
def tune(
    checkpoint: str | os.PathLike[str] | Sequence[Any],
    train_data: Any,
    val_data: Any = None,
    *,
    lr: Any = (1e-5, 2e-4),
    epochs: Any = (1, 4),
    batch_size: Any = (16, 32),
    weight_decay: Any = 0.01,
    frozen: Any = 0,
    class_weight: Any = None,
    trials: int = 20,
    minutes: float | None = None,
    study: str | os.PathLike[str] | None = None,
    monitor: str = "val_loss",
    mode: str | None = None,
    seed: int = 42,
    verbose: int = 1,
    **options: Any,
) -> Tuning:
    """Searches for the parameters that validate best.

    What is searched is told by the kind of an argument: a tuple of two numbers is a range, a list
    the values to choose from, anything else stays as it is. Each trial trains a new model with
    one cycle. The tree-structured Parzen estimator (Bergstra et al., 2011) proposes parameters; a
    trial whose figure after an epoch is worse than the median of the earlier ones at that epoch
    ends there. The texts are tokenised once for each checkpoint.

    The best figure of many is a little too good: measure the model that you choose on data that
    the search has not seen.

    Args:
        checkpoint: Checkpoint folder or Hub name, or a list of them.
        train_data: As for `get_learner`.
        val_data: As for `get_learner`; all trials have the same.
        lr: The highest learning rate of the cycle; a range is searched on a logarithmic scale.
        epochs: Epochs.
        batch_size: Texts a training batch; a range is searched in whole numbers.
        weight_decay: Decoupled weight decay.
        frozen: Layer groups, from the input on, that keep their weights.
        class_weight: Of all trials: `"balanced"`, or a dict from class to weight.
        trials: How many, those of an earlier search in the same `study` included.
        minutes: End after so much time, with the trials that there are.
        study: An SQLite file that keeps the trials. A search that was stopped goes on from it, with
            the same data and arguments.
        monitor: What to compare: `"val_loss"`, `"val_accuracy"`, ... of the last epoch.
        mode: `"min"` or `"max"`: which way it is better. Default: as is known; else an error asks.
        seed: Of the proposals, and of each training.
        verbose: 1 logs a line for each trial.
        **options: Further arguments of `get_learner`, such as `text_column` and `maxlen`.

    Raises:
        ArgumentError: If arguments cannot work, Optuna is not installed, the study is of another
            search, or no trial came to its end.

    Example:
        >>> found = ktlite.tune(["bert-base-uncased", "roberta-base"], train_data="reviews.csv",
        ...                     text_column="text", label_columns="label", lr=(1e-5, 1e-4),
        ...                     batch_size=[16, 32], minutes=60, study="study.db")
    """
    try:
        import optuna
    except ImportError as error:
        raise ArgumentError(_INSTALL) from error
    is_one = isinstance(checkpoint, (str, os.PathLike))
    given: Any = [checkpoint] if is_one else checkpoint
    names = [os.fspath(name) for name in given]
    space = {
        "checkpoint": names[0] if is_one else names,
        "lr": lr,
        "epochs": epochs,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "frozen": frozen,
    }
    _check(space, trials, minutes, options)
    runs = Runs(train_data, val_data, seed, class_weight, options)
    about = {
        **space,
        "monitor": monitor,
        "seed": seed,
        "class_weight": class_weight,
        **described({k: v for k, v in options.items() if k != "cache_folder"}),
        **runs.fingerprints(names[0]),
    }
    way = mode or direction(monitor)
    if way not in MODES:  # its metrics may know, or say what is measured
        some = {"checkpoint": names[0], "batch_size": 1, "weight_decay": 0.0, "frozen": 0}
        way = runs.learner(some).checked_mode("tune", monitor, mode)
    with _quiet(optuna):
        search = _open(optuna, study, about, way, seed)
        done = sum(t.state.is_finished() for t in search.trials)
        end = None if minutes is None else time.monotonic() + 60 * minutes

        def objective(trial: Any) -> float:
            learner = runs.learner(parameters := _draw(trial, space))
            watch = Watch(trial, monitor, end)
            runs.fit(learner, parameters, callbacks=[watch], verbose=0)
            if watch.pruned:
                raise optuna.TrialPruned
            return watch.value

        def told(search: Any, trial: Any) -> None:
            if verbose:
                value = "stopped" if trial.value is None else f"{monitor} {trial.value:.4f}"
                drawn = listing(f"{name}={_short(value)}" for name, value in trial.params.items())
                logger.info("trial %d of %d: %s with %s", trial.number + 1, trials, value, drawn)

        if trials > done:
            search.optimize(
                objective,
                n_trials=trials - done,
                timeout=None if minutes is None else 60 * minutes,
                catch=(TrainingError,),
                callbacks=[told],
                gc_after_trial=True,  # a model refers to itself: without this, two are in memory
            )
    finished = [t for t in search.trials if t.state == optuna.trial.TrialState.COMPLETE]
    if not finished:
        raise ArgumentError(
            "tune: no trial came to its end; give more minutes, fewer epochs, or a lower lr."
        )
    best = search.best_trial
    parameters = {name: best.params.get(name, value) for name, value in space.items()}
    return Tuning(parameters, float(best.value), monitor, _frame(search), search, runs)


class Runs:
    """Makes learners for trials: of each checkpoint, data that is tokenised once."""

    def __init__(
        self, train_data: Any, val_data: Any, seed: int, class_weight: Any, options: dict[str, Any]
    ) -> None:
        self.seed = seed
        self.class_weight = class_weight
        self.options = options
        self._train_data, self._val_data = train_data, val_data
        self._data = lru_cache(maxsize=None)(self._read)

    def learner(self, parameters: Mapping[str, Any]) -> Learner:
        """Returns a learner that is ready to be trained."""
        preproc, train, val, arguments = self._data(parameters["checkpoint"])
        making = self._given(*EXECUTION, "metrics", "loss", "label_smoothing")
        learner = Learner(
            preproc.get_classifier(seed=self.seed, **making),
            train,
            val,
            batch_size=parameters["batch_size"],
            seed=self.seed,
            check=False,
            **self._given("eval_batch_size", "batch_tokens"),
        )
        learner.arguments = {**arguments, **described(parameters)}
        learner.set_weight_decay(parameters["weight_decay"])
        if parameters["frozen"]:
            learner.freeze(parameters["frozen"])
        return learner

    def fit(self, learner: Learner, parameters: Mapping[str, Any], **options: Any) -> None:
        """Trains a learner of these parameters."""
        lr, epochs = parameters["lr"], parameters["epochs"]
        learner.fit_onecycle(lr, epochs, class_weight=self.class_weight, **options)

    def fingerprints(self, checkpoint: str) -> dict[str, Any]:
        """Returns the fingerprints of the data, which are the same for each checkpoint."""
        _, train, val, _ = self._data(checkpoint)
        return {"train_data": fingerprint(train), "val_data": fingerprint(val)}

    def _given(self, *names: str) -> dict[str, Any]:
        return {name: self.options[name] for name in names if name in self.options}

    def _read(self, checkpoint: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        learner = get_learner(
            checkpoint, self._train_data, self._val_data, seed=self.seed, verbose=0, **self.options
        )
        return learner.preproc, learner.train_data, learner.val_data, learner.arguments


class Watch(keras.callbacks.Callback):
    """Tells the study the figure after each epoch, and ends trials that need not go on."""

    def __init__(self, trial: Any, monitor: str, end: float | None) -> None:
        super().__init__()
        self._trial = trial
        self._monitor = monitor
        self._end = end
        self.value = float("nan")
        self.pruned = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._end is not None and time.monotonic() > self._end:
            from optuna import TrialPruned

            raise TrialPruned

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        if self._monitor not in logs:
            raise ArgumentError(
                f"tune: monitor={self._monitor!r} is not measured; measured are {listing(logs)}."
            )
        self.value = float(logs[self._monitor])
        self._trial.report(self.value, epoch)
        if self._trial.should_prune() and epoch + 1 < self.params["epochs"]:
            self.pruned = self.model.stop_training = True


def _check(
    space: Mapping[str, Any], trials: Any, minutes: float | None, options: Mapping[str, Any]
) -> None:
    problems = Problems("tune")
    known = [n for n in inspect.signature(get_learner).parameters if n not in _NOT_OPTIONS]
    problems.unknown([name for name in options if name not in known], known)
    at_least_one(problems, trials=trials)
    if minutes is not None:
        positive(problems, minutes=minutes)
        alone = options.get("strategy") != "multiworker"
        problems.add_unless(alone, "minutes=: each worker has a clock of its own; give trials=.")
    for name, value in space.items():
        if isinstance(value, tuple):
            problems.add_unless(
                len(value) == 2 and value[0] < value[1],
                f"{name}={value!r}; a range is a tuple (lowest, highest), and values to choose "
                "from are a list.",
            )
        values = value if isinstance(value, (list, tuple)) else [value]
        problems.add_unless(len(values) > 0, f"{name} is empty; give a value or several.")
        for item in values:
            if name in ("epochs", "batch_size"):
                at_least_one(problems, **{name: item})
            if name == "lr":
                positive(problems, lr=item)
    problems.raise_if_any()


def _draw(trial: Any, space: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a value for each parameter."""
    drawn = {}
    for name, value in space.items():
        if isinstance(value, list):
            drawn[name] = trial.suggest_categorical(name, value)
        elif not isinstance(value, tuple):
            drawn[name] = value
        elif all(isinstance(end, int) for end in value):
            drawn[name] = trial.suggest_int(name, *value)
        else:
            drawn[name] = trial.suggest_float(name, *value, log=name in _LOGARITHMIC)
    return drawn


def _open(optuna: Any, path: Any, given: Mapping[str, Any], mode: str, seed: int) -> Any:
    """Returns a new study, or the one that the file holds.

    Raises:
        ArgumentError: If that is one of another search: with another value in `given`.
    """
    search = optuna.create_study(
        storage=None if path is None else f"sqlite:///{os.fspath(path)}",
        study_name=_NAME,
        direction=f"{mode}imize",
        load_if_exists=True,
    )
    about = {name: str(value) for name, value in given.items()}
    changed = differences(search.user_attrs.get("about", about), about)
    if changed:
        raise ArgumentError(
            f"tune: study={os.fspath(path)!r} is of another search: {'; '.join(changed)}. Name "
            "another file, or search as before."
        )
    search.set_user_attr("about", about)
    running = optuna.trial.TrialState.RUNNING
    for trial in search.trials:
        if trial.state == running:  # of a search that was killed
            search.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    # Else a search that goes on would propose what it began with.
    search.sampler = optuna.samplers.TPESampler(seed=seed + len(search.trials))
    search.pruner = optuna.pruners.MedianPruner()
    return search


def _frame(search: Any) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "number": t.number,
            "state": t.state.name.lower(),
            "value": t.value,
            "seconds": t.duration.total_seconds() if t.duration else None,
            **t.params,
        }
        for t in search.trials
    ]
    return pd.DataFrame(rows)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Keeps Optuna's own lines from the screen while it runs."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
