"""ktrain's `Transformer`: a checkpoint's preprocessor that also makes its models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ktlite._arguments import checked
from ktlite.data.preprocessor import Preprocessor
from ktlite.errors import Problems, listing
from ktlite.inputs.input import INPUTS, Input, find_input
from ktlite.tasks import TASKS, MultiLabel, Regression, Task

MAXLEN = 128


class Transformer(Preprocessor):
    """A Hugging Face checkpoint, ready to preprocess what it reads and to be fine-tuned.

    Args:
        model_name: Checkpoint folder, or Hub name.
        maxlen: Longest text in tokens, at most what the checkpoint has positions for. (`maxlen`,
            `window` and `stride` are of texts.)
        class_names: Names for integer labels 0, 1, 2, ..., or for label columns.
        classes: ktrain's older name of `class_names`.
        batch_size: Accepted for ktrain's sake; `get_learner` takes the batch size.
        use_with_learner: Accepted for ktrain's sake; datasets always work with a Learner.
        task: One of `ktlite.tasks.TASKS`, such as `"regression"`, or a task. Default: a
            classification or a regression, inferred from the labels where they leave no doubt.
        revision: Branch, tag or commit on the Hub.
        window: Read texts whole, in windows of so many tokens, in place of `maxlen`. Each window
            learns the label of its text; a text's prediction is the mean of its windows' logits.
        stride: Tokens that a window shares with the next, at most half of them. Default: a
            quarter of `window`.
        seconds: Of each sound that are heard, where the checkpoint reads sounds. Default: 30.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        ArgumentError: If `maxlen`, `window` or `stride` does not fit it.

    Example:
        >>> t = text.Transformer("distilbert-base-uncased", maxlen=128)
        >>> train = t.preprocess_train(x_train, y_train)
        >>> val = t.preprocess_test(x_test, y_test)
        >>> learner = ktlite.get_learner(t.get_classifier(), train_data=train, val_data=val)
    """

    @checked
    def __init__(
        self,
        model_name: str | os.PathLike[str],
        maxlen: int = MAXLEN,
        class_names: Sequence[Any] = (),
        classes: Sequence[Any] = (),
        batch_size: int | None = None,
        use_with_learner: bool = True,
        *,
        task: str | Task | None = None,
        revision: str | None = None,
        ignore_config_fields: Sequence[str] = (),
        window: int | None = None,
        stride: int | None = None,
        seconds: float | None = None,
    ) -> None:
        from ktlite.models.auto import read_spec
        from ktlite.models.checkpoint import find_checkpoint

        self.revision = revision
        self.folder = find_checkpoint(model_name, revision=revision)
        self.model_name = os.fspath(model_name)
        self.ignore_config_fields = tuple(ignore_config_fields)
        spec = read_spec(self.folder, self.ignore_config_fields)
        kind = find_input(spec.input)
        given: dict[str, Any] = {
            "maxlen": maxlen,
            "window": window,
            "stride": stride,
            "seconds": seconds,
        }
        _check_options("Transformer", kind, given)
        taken = {name: given[name] for name in kind.options} | {
            "name": self.model_name,
            "embeds": _embeds(task),
        }
        input = kind.of_checkpoint(self.folder, spec, **taken)
        super().__init__(
            None,
            getattr(input, "maxlen", None),
            class_names=list(class_names) or list(classes),
            task_name=task,
            input=input,
        )

    @checked
    def get_classifier(
        self,
        fpath: str | os.PathLike[str] | None = None,
        multilabel: bool | None = None,
        metrics: Sequence[Any] | None = None,
        *,
        loss: Any = None,
        label_smoothing: float = 0.0,
        seed: int = 42,
        **execution: Any,
    ) -> Any:
        """Returns the checkpoint as a compiled classifier for the labels seen.

        Args:
            fpath: A fine-tuned checkpoint folder to start from instead.
            multilabel: Whether the labels were taken for multi-label ones; anything else
                is an error. Default: as they were taken.
            metrics: What Keras takes, over the head's logits; or, for classes, names and
                functions of scikit-learn, such as `"f1_macro"`. Default: the task's.
            loss: `"focal"`, a loss of Keras' or a function of targets and logits; for regression
                any of Keras' names too. Default: the task's.
            label_smoothing: Share of each target that is spread over all classes (Szegedy et
                al., 2015, arXiv:1512.00567).
            seed: Of the new head and of dropout.
            **execution: `precision`, `strategy`, `devices`, `xla`, `accumulate`, `remat`, `lora`
                and `lora_alpha`, as in `get_learner`.

        Returns:
            A compiled `TransformerModel` with logits [batch, classes], or of another shape
            where the task has another head.

        Raises:
            ArgumentError: If no labels have been seen, or `multilabel` does not fit them.
        """
        problems = Problems("get_classifier")
        problems.add_unless(
            multilabel is None or multilabel == isinstance(self.task, MultiLabel),
            f"multilabel={multilabel!r}, but the labels were taken for {self.task.name}; pass "
            f"task={'multilabel' if multilabel else 'classification'!r} where they are read.",
        )
        problems.raise_if_any()
        return self._model(fpath, metrics, loss, label_smoothing, seed, execution)

    @checked
    def get_regression_model(
        self,
        fpath: str | os.PathLike[str] | None = None,
        metrics: Sequence[Any] | None = None,
        *,
        loss: Any = None,
        seed: int = 42,
        **execution: Any,
    ) -> Any:
        """Returns the checkpoint as a compiled regression model; arguments as `get_classifier`."""
        problems = Problems("get_regression_model")
        if self._task is None:
            problems.add(
                "no labels have been seen yet: make the Transformer with task='regression', and "
                "call preprocess_train(texts, y) first."
            )
        elif not isinstance(self._task, Regression):
            problems.add(
                f"the labels were taken for {self.task.name}; make the Transformer with "
                "task='regression' before preprocess_train."
            )
        problems.raise_if_any()
        return self._model(fpath, metrics, loss, 0.0, seed, execution)

    def _model(
        self,
        fpath: Any,
        metrics: Sequence[Any] | None,
        loss: Any,
        label_smoothing: float,
        seed: int,
        execution: dict[str, Any],
    ) -> Any:
        from ktlite.models import from_pretrained
        from ktlite.training.execution import Execution

        def make(policy: str | None) -> Any:
            return from_pretrained(
                fpath or self.folder,
                self.head,
                num_labels=self.task.outputs or None,  # 0: the head has none
                labels=self.task.output_names or None,
                seed=seed,
                dtype=policy,
                ignore_config_fields=self.ignore_config_fields,
            )

        return Execution.of("get_classifier", execution).build(
            make, self.task, metrics, loss, label_smoothing
        )


def _check_options(where: str, kind: type[Input], given: Mapping[str, Any]) -> None:
    """Raises for arguments that this kind of input does not take, unless they are as usual."""
    usual = {"maxlen": MAXLEN}
    problems = Problems(where)
    for name, value in given.items():
        problems.add_unless(
            name in kind.options or value == usual.get(name),
            f"{name}={value!r} goes with {_takers(name)}; this checkpoint reads {kind.kinds()}.",
        )
    problems.raise_if_any()


def _takers(name: str) -> str:
    """Returns what kinds of things take an argument: `"texts"`."""
    return listing(kind.kinds() for kind in INPUTS.values() if name in kind.options)


def _embeds(task: str | Task | None) -> bool:
    """Says whether the model is to give vectors of texts."""
    from ktlite.models.heads import EMBEDDING

    known = TASKS.get(task) if isinstance(task, str) else task
    return getattr(known, "head", None) == EMBEDDING
