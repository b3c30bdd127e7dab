"""A number a text, or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktlite.errors import DataError, Problems, listing
from ktlite.tasks.arrays import in_digits, plain
from ktlite.tasks.calibration import Calibration
from ktlite.tasks.losses import keras_loss
from ktlite.tasks.spelling import spelled_numbers
from ktlite.tasks.task import Report, Task
from ktlite.tasks.teaching import SoftLoss, of_numbers


class Regression(Task):
    """Regression of numbers, by mean squared error.

    The model's outputs are standardised: 0 stands for the mean of the training targets, 1 for
    a standard deviation more. So prices learn at the same rate as ratings, and of several
    targets none outweighs the others. Predictions and metrics are in the targets' own units,
    losses are not.

    Args:
        names: Of the targets, where there are several.
        mean: What an output of 0 stands for, a number for each target. Default: 0.
        scale: What an output of 1 is more than that, above 0. Default: 1.
        calibration: What `calibrate` has learned, as `get_config` gives it.

    Raises:
        DataError: If the lists differ in length, or are no numbers as described.

    Example:
        >>> task = Regression(mean=[3.0], scale=[2.0])
        >>> task.encode([1, 2.5])
        array([1. , 2.5], dtype=float32)
        >>> task.decode(np.array([[-1.0]]))
        [1.0]
    """

    name = "regression"
    head = "text-classification"
    problem_type = "regression"
    one_answer = True

    def __init__(
        self,
        names: Sequence[Any] = (),
        mean: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self.calibration = Calibration.from_config(calibration)
        self._names = plain(list(names))
        self.mean = np.array([0.0] * self.outputs if mean is None else mean, "float64")
        self.scale = np.array([1.0] * self.outputs if scale is None else scale, "float64")
        problems = Problems("Regression", DataError)
        for name, given in (("mean", self.mean), ("scale", self.scale)):
            fine = given.shape == (self.outputs,) and np.isfinite(given).all()
            problems.add_unless(
                fine and (name == "mean" or bool((given > 0).all())),
                f"{name}={given.tolist()}; expected {self.outputs} finite numbers"
                f"{'' if name == 'mean' else ' above 0'}.",
            )
        problems.add_unless(
            len(set(self._names)) == len(self._names),
            f"names={listing(self._names)}; expected distinct ones.",
        )
        problems.raise_if_any()

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Task | None:
        """Learns the units of the targets."""
        if not len(labels):
            return None
        values = _numbers(labels, source)
        names = list(class_names) or list(range(values.shape[1]))
        if len(names) != values.shape[1]:
            raise DataError(
                f"{source}: {len(names)} names ({listing(names)}) for {values.shape[1]} target(s)."
            )
        spread = values.std(axis=0)
        return cls(
            names if len(names) > 1 else (),
            mean=values.mean(axis=0).tolist(),
            scale=np.where(spread > 0, spread, 1.0).tolist(),
        )

    @property
    def outputs(self) -> int:
        return len(self._names) or 1

    @property
    def classes(self) -> list[Any]:
        """The names of several targets; empty for one."""
        return list(self._names)

    @property
    def predicts_classes(self) -> bool:
        return False

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        """Returns float32 [texts] for one target, [texts, targets] for several."""
        values = _numbers(labels, source)
        if values.shape[1] != self.outputs:
            wanted = "one number" if self.outputs == 1 else f"{self.outputs} numbers"
            raise DataError(
                f"{source}: regression takes {wanted} a text, got labels of shape "
                f"{list(np.shape(labels))}."
            )
        return (values[:, 0] if self.outputs == 1 else values).astype("float32")

    def soft_loss(self, temperature: float) -> SoftLoss:
        return of_numbers()

    def targets_of(self, logits: np.ndarray) -> np.ndarray:
        mean, scale = self._units()
        values = logits * scale + mean
        return (values[:, 0] if self.outputs == 1 else values).astype("float32")

    def loss(self) -> Any:
        return self.custom_loss("mean_squared_error")

    def custom_loss(self, loss: Any = None, label_smoothing: float = 0.0) -> Any:
        """Returns a Keras loss, such as `"huber"` or `"mae"`, of the standardised targets."""
        import keras
        from keras import ops

        if loss is None or label_smoothing:
            return super().custom_loss(loss, label_smoothing)
        (mean, scale), standard = self._units(), keras_loss(loss)

        class Standardised(keras.losses.Loss):
            fn = staticmethod(standard)  # as in the classes that Keras makes of functions

            def call(self, y_true: Any, y_pred: Any) -> Any:
                y_true = ops.reshape(ops.cast(y_true, y_pred.dtype), ops.shape(y_pred))
                return call((y_true - mean) / scale, y_pred)

        # Without the mean over the batch, which the class takes.
        call = getattr(standard, "call", standard)
        return Standardised(name=getattr(standard, "name", getattr(standard, "__name__", None)))

    def _units(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and scale as Keras computes with them."""
        return self.mean.astype("float32"), self.scale.astype("float32")

    def in_units(self, outputs: Any) -> Any:
        """Turns the model's outputs, a tensor [..., targets], into the targets' units."""
        mean, scale = self._units()
        return outputs * scale + mean

    def metrics(self) -> list[Any]:
        import keras
        from keras import ops

        def mae(y_true: Any, y_pred: Any) -> Any:
            y_true = ops.reshape(ops.cast(y_true, y_pred.dtype), ops.shape(y_pred))
            return ops.mean(ops.abs(y_true - self.in_units(y_pred)), axis=-1)

        return [keras.metrics.MeanMetricWrapper(mae, name="mae")]

    def renamed(self, names: Sequence[str]) -> Task:
        if not len(names) or len(names) != len(self.classes):
            return super().renamed(names)
        return type(self).from_config({**self.get_config(), "names": list(names)})

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        raise DataError("a regression has no probabilities; predict() gives the numbers.")

    def _values(self, logits: np.ndarray) -> np.ndarray:
        """Returns predictions in the targets' units, float64 [texts, targets]."""
        return np.asarray(logits, "float64").reshape(-1, self.outputs) * self.scale + self.mean

    def _as_matrix(self, targets: np.ndarray) -> np.ndarray:
        return np.asarray(targets, "float64").reshape(-1, self.outputs)

    def decode(self, logits: np.ndarray) -> list[Any]:
        return self._listed(self._values(logits))

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return self._listed(np.asarray(targets, "float32").reshape(-1, self.outputs))

    def _listed(self, values: np.ndarray) -> list[Any]:
        return list(in_digits(values[:, 0] if self.outputs == 1 else values))

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return (self._off(logits, targets) ** 2).mean(axis=1)

    def target_weights(self) -> np.ndarray:
        return np.diag(self.scale)

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        return {"true": self._as_matrix(targets), "predicted": self._values(logits)}

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        columns = self._columns(measured)
        return {name: float(np.mean([c[name] for c in columns])) for name in columns[0]}

    def _columns(self, measured: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
        """Returns the figures of each target."""
        return [_scores(*pair) for pair in zip(measured["true"].T, measured["predicted"].T,
                                               strict=True)]  # fmt: skip

    def calibrate(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Keeps what `sets` needs; there are no probabilities, and no temperature."""
        self.calibration = Calibration.of_scores(self._off(logits, targets).max(axis=1))

    def sets(self, logits: np.ndarray, coverage: float) -> list[Any]:
        """Returns (lowest, highest) for each text, for several targets one each.

        As far to both sides of the prediction as it takes (Lei et al., 2018, arXiv:1604.04173). Of
        several targets the share `coverage` of texts has all of them inside.
        """
        reach = self.calibration.limit(coverage) * self.scale
        values = self._values(logits)
        ends = np.stack([values - reach, values + reach], axis=-1).tolist()
        return [
            tuple(row[0]) if self.outputs == 1 else [tuple(pair) for pair in row] for row in ends
        ]

    def _off(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns distances from the truth in standard deviations, float64 [texts, targets]."""
        return np.abs(self._values(logits) - self._as_matrix(targets)) / self.scale

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        """Compares predictions with targets; of several, metrics are the mean."""
        measured = self.measure(logits, targets)
        columns, metrics = self._columns(measured), self.figures(measured)
        lines = [f"{name:>10} {value:10.4f}" for name, value in metrics.items()]
        if self.outputs > 1:
            width = max(len("mean"), *(len(str(name)) for name in self._names))
            heads = "".join(f"{name:>10}" for name in metrics)
            rows = [*zip(self._names, columns, strict=True), ("mean", metrics)]
            lines = [f"{'':>{width}}{heads}"] + [
                f"{name!s:>{width}}" + "".join(f"{value:10.4f}" for value in column.values())
                for name, column in rows
            ]
        return Report("\n".join(lines), metrics, list(metrics.items()))

    def get_config(self) -> dict[str, Any]:
        return {
            "names": self.classes,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            **self.calibration.config(),
        }


def _numbers(labels: Any, source: str) -> np.ndarray:
    """Returns labels as float64 [texts, targets]."""
    try:
        values = np.asarray(labels)
        if values.dtype.kind in "OU":  # of a file: in whatever spelling
            flat = spelled_numbers(values.ravel().tolist())
            values = flat.reshape(values.shape)
        values = values.astype("float64")
    except (TypeError, ValueError) as error:
        raise DataError(f"{source}: regression needs numbers as labels: {error}.") from error
    if values.ndim not in (1, 2):
        raise DataError(
            f"{source}: regression takes numbers, [texts] or [texts, targets]; got labels of shape "
            f"{list(values.shape)}."
        )
    values = values.reshape(len(values), -1)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(f"{source}: label of text {row} is {values[row, column]}.")
    return values


def _scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Returns the figures of one target."""
    from scipy.stats import rankdata

    off = truth - predicted
    total = float(((truth - truth.mean()) ** 2).sum())
    squared = float((off**2).sum())
    # Where all targets are equal, as scikit-learn has it.
    r2 = 1 - squared / total if total else float(squared == 0)
    varied = len(truth) > 1 and np.ptp(predicted) > 0 and np.ptp(truth) > 0

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a, b)[0, 1]) if varied else float("nan")

    return {
        "mae": float(np.abs(off).mean()),
        "rmse": float(np.sqrt((off**2).mean())),
        "r2": r2 if len(truth) > 1 else float("nan"),
        "spearman": correlation(rankdata(truth), rankdata(predicted)),
        "pearson": correlation(truth, predicted),
    }
