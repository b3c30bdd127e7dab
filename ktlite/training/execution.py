"""How a model is run: on which devices, in which precision, compiled or not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ktlite._arguments import at_least_one, between_0_and_1
from ktlite.errors import Problems
from ktlite.models.adapters import add_adapters
from ktlite.models.towers import towers_of
from ktlite.tasks import Task
from ktlite.tasks.losses import is_mean_of_rows
from ktlite.training.distribution import check_strategy, make_strategy, scope
from ktlite.training.freezing import compile_like
from ktlite.training.metrics import as_metric
from ktlite.training.objectives import Objective, Regularisation
from ktlite.training.optimizers import AdamW, LossScaleOptimizer
from ktlite.training.pieces import check_micro_tokens, train_in_pieces, train_like
from ktlite.training.remat import check_remat, rematerialise, rematerialises
from ktlite.training.xla import check_xla, compile_encoder, wants_xla

# Keras' policies. Weights stay float32: half-precision ones lose small updates, and AdamW's
# clipping with them.
POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
    "mixed_bfloat16": "mixed_bfloat16",
    "mixed_float16": "mixed_float16",
}


@dataclass(frozen=True)
class Execution:
    """How a model is built and run.

    Args:
        strategy: `"mirrored"`, `"multiworker"` or a `tf.distribute.Strategy`; None: one device.
        devices: Names of devices to mirror over, such as `["GPU:0", "GPU:1"]`.
        precision: `"float32"`, `"bfloat16"` or `"float16"`, or Keras' names of the mixed
            policies that the latter stand for. None: Keras' global policy.
        xla: Whether training compiles the encoder with XLA; `"auto"`: on GPUs. A model without
            one runs as it is.
        accumulate: Batches to one step of the optimizer, which is that of one batch of all their
            rows.
        remat: Whether training keeps no activations inside blocks, and computes them again.
        lora: Rank of low-rank adapters to train in place of the encoder. None: train all.
        lora_alpha: As `ktlite.models.adapters.add_adapters` takes it.
        ema: Decay of a moving average of the weights, such as 0.999, counted in steps of the
            optimizer. Validation sees the average, and training ends with it.
        micro_tokens: As `ktlite.training.pieces.train_in_pieces` takes it.
        mixup: As `ktlite.training.objectives.Regularisation` takes it, and so the next two.
        r_drop: Likewise.
        adversarial: Likewise.

    Example:
        >>> execution = Execution(strategy="mirrored", precision="bfloat16")
        >>> model = execution.build(lambda policy: from_pretrained(name, dtype=policy), task)
    """

    strategy: Any = None
    devices: Sequence[str] | None = None
    precision: str | None = None
    xla: bool | str = "auto"
    accumulate: int = 1
    remat: bool = False
    lora: int | None = None
    lora_alpha: float | None = None
    ema: float | None = None
    micro_tokens: int | str | None = "auto"
    mixup: float | None = None
    r_drop: float | None = None
    adversarial: Any = False

    def check(self, problems: Problems, **batch_sizes: Any) -> None:
        """Records everything that cannot work.

        Args:
            problems: Where to.
            **batch_sizes: By their names; those that are whole numbers are checked to be
                multiples of the number of devices.
        """
        if self.precision is not None:
            problems.choice("precision", self.precision, list(POLICIES))
        check_xla(problems, self.xla)
        check_remat(problems, self.remat)
        check_micro_tokens(problems, self.micro_tokens)
        self.regularisation.check(problems)
        at_least_one(problems, accumulate=self.accumulate)
        if self.lora is not None:
            at_least_one(problems, lora=self.lora)
        problems.add_unless(
            self.lora_alpha is None or self.lora is not None,
            f"lora_alpha={self.lora_alpha!r} goes with lora, the rank.",
        )
        if self.ema is not None:
            between_0_and_1(problems, ema=self.ema)
        before = len(problems.found)
        check_strategy(problems, self.strategy, self.devices)
        if len(problems.found) > before:
            return
        replicas = self.replicas
        for name, size in batch_sizes.items():
            problems.add_unless(
                not isinstance(size, int) or size % replicas == 0,
                f"{name}={size}; expected a multiple of {replicas}: so many devices share a batch.",
            )

    @classmethod
    def of(cls, where: str, arguments: Mapping[str, Any]) -> Execution:
        """Returns the execution that some arguments of a call of `where` ask for.

        Raises:
            ArgumentError: If one is unknown, or they cannot work; all are named at once.
        """
        problems = Problems(where)
        known = [field.name for field in fields(cls)]
        problems.unknown([name for name in arguments if name not in known], known)
        problems.raise_if_any()
        execution = cls(**arguments)
        execution.check(problems)
        problems.raise_if_any()
        return execution

    @property
    def regularisation(self) -> Regularisation:
        """What the loss of a step is made of beside the rows."""
        return Regularisation(self.mixup, self.r_drop, self.adversarial)

    @property
    def replicas(self) -> int:
        """The number of devices that share a batch."""
        return 1 if self._strategy is None else self._strategy.num_replicas_in_sync

    @functools.cached_property
    def _strategy(self) -> Any:
        return make_strategy(self.strategy, self.devices)

    def build(
        self,
        make: Callable[[str | None], Any],
        task: Task,
        metrics: Sequence[Any] | None = None,
        loss: Any = None,
        label_smoothing: float = 0.0,
    ) -> Any:
        """Returns a compiled model.

        Args:
            make: Returns the `TransformerModel` in a given dtype policy (None: the global).
            task: Its loss and metrics.
            metrics: As `ktlite.training.metrics.as_metric` takes them. Default: the task's.
            loss: As `Task.custom_loss` takes it. Default: the task's.
            label_smoothing: Likewise.
        """
        own = loss is None and not label_smoothing
        loss = task.custom_loss(loss, label_smoothing)
        self.regularisation.check_task(task)
        with scope(self._strategy):
            model = make(None if self.precision is None else POLICIES[self.precision])
            if self.lora is not None:
                add_adapters(model, self.lora, self.lora_alpha)
            compile_model(model, task, metrics, loss=loss, accumulate=self.accumulate, ema=self.ema)
        objective = None
        if self.regularisation:
            objective = Objective(model, self.regularisation, task.divergence)
        train_in_pieces(
            model,
            self.micro_tokens,
            counted=task.counts_targets,
            known=own if task.counts_targets else is_mean_of_rows(loss),
            across=task.compares_rows,
            objective=objective,
        )
        if self.remat and towers_of(model):
            rematerialise(model)
        if towers_of(model) and wants_xla(self.xla):
            compile_encoder(model)
        return model


def compile_model(
    model: Any,
    task: Task,
    metrics: Sequence[Any] | None = None,
    *,
    loss: Any = None,
    accumulate: int = 1,
    ema: float | None = None,
) -> None:
    """Compiles a model with ktlite's AdamW, and the loss and metrics of its task, or others."""
    averaging: dict[str, Any] = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    # Keras refuses 1, which is its None.
    optimizer: Any = AdamW(
        gradient_accumulation_steps=accumulate if accumulate > 1 else None, **averaging
    )
    if model.dtype_policy.name == "mixed_float16":
        optimizer = LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=task.loss() if loss is None else loss,
        metrics=task.metrics() if metrics is None else [as_metric(m, task) for m in metrics],
        # Keras' "auto" would compile the whole step with XLA on a GPU, anew for each shape.
        jit_compile=False,
    )
    task.into_config(model.config)


def run_like(model: Any, other: Any) -> None:
    """Compiles a model as another one is, and lets it train as that does.

    In pieces, of the same objective, with activations made again, with XLA.
    """
    compile_like(model, other)
    train_like(model, other)
    if rematerialises(other):
        rematerialise(model)
    if any(tower.stack.compiled for tower in towers_of(other)):
        compile_encoder(model)
