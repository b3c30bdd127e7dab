"""Whether a figure is better when it is lower or when it is higher: known, or asked for."""

from __future__ import annotations

import re
from typing import Any

import keras

from ktlite.errors import Problems

MODES = ("min", "max")
# Whole names: a part of one says nothing (`one_minus_auc`, `false_positives`).
_HIGHER = frozenset(
    """
    acc accuracy auc aupr auprc auroc average_precision balanced_accuracy bertscore binary_accuracy
    binary_io_u binary_iou bleu categorical_accuracy chrf cohen_kappa concordance_correlation
    cosine_similarity d2 dcg dice
    em entity_f1 exact exact_match explained_variance explained_variance_score f1 f1_score f_beta
    f_score fbeta fbeta_score gleu hit_rate hits io_u iou jaccard jaccard_score kappa kendall
    kendalltau map masked_lm_accuracy matthews matthews_corrcoef mcc mean_average_precision
    mean_io_u mean_iou mean_reciprocal_rank meteor mrr ndcg ndcg_score npv one_hot_io_u
    one_hot_mean_io_u pearson pearson_correlation pearsonr pr_auc ppv precision
    precision_at_recall precision_score r2 r2_score r_squared recall recall_at_precision
    recall_score roc_auc roc_auc_score rouge rouge1 rouge2 rougel rougelsum rouge_l sacrebleu
    sensitivity sensitivity_at_specificity sentence_order_accuracy sparse_categorical_accuracy
    sparse_top_k_categorical_accuracy spearman spearmanr specificity specificity_at_sensitivity
    top_k_accuracy top_k_categorical_accuracy triplet_accuracy true_negatives true_positives
    """.split()  # noqa: SIM905  (a list of a hundred quoted strings is harder to read)
)
_LOWER = frozenset(
    """
    binary_crossentropy binary_focal_crossentropy bits_per_byte bits_per_character brier
    brier_score calibration_error categorical_crossentropy categorical_focal_crossentropy
    categorical_hinge cer cross_entropy crossentropy deviance ece error error_rate
    expected_calibration_error false_negatives false_positives fnr fpr hamming hinge huber
    kl_divergence kullback_leibler_divergence log_cosh logcosh loss mad mae mape max_error
    mean_absolute_error mean_absolute_percentage_error mean_gamma_deviance mean_poisson_deviance
    mean_squared_error mean_squared_logarithmic_error median_absolute_error mse msle nll perplexity
    pinball poisson rmse rmsle root_mean_squared_error smape sparse_categorical_crossentropy
    squared_hinge ter wer zero_one
    """.split()  # noqa: SIM905
)
_AVERAGES = ("macro", "micro", "weighted", "samples", "ovr", "ovo", "binary")


def direction(monitor: str, model: Any = None) -> str | None:
    """Returns whether a figure is better when lower, `"min"`, or higher, `"max"`.

    Args:
        monitor: Its name in the logs, such as `"val_accuracy"`.
        model: The compiled model whose metrics are monitored: what Keras says of one that it has
            made goes before the name.

    Returns:
        None where that is not known: a name of one's own can mean either.

    Example:
        >>> direction("val_f1_macro"), direction("val_bleu"), direction("val_wer")
        ('max', 'max', 'min')
    """
    name = monitor.removeprefix("val_")
    said = getattr(_metrics(model).get(name), "_direction", None)
    if said in ("up", "down"):
        return "max" if said == "up" else "min"
    for output in getattr(model, "output_names", None) or ():
        name = name.removeprefix(f"{output}_")
    return _of_name(re.sub(r"[\s-]+", "_", name.strip().lower()))


def check_direction(problems: Problems, monitor: str, mode: str | None, model: Any = None) -> None:
    """Records a `mode` that is none, and a monitor that needs one."""
    problems.choice("mode", mode, (None, *MODES))
    problems.add_unless(
        mode is not None or direction(monitor, model) is not None,
        f"monitor={monitor!r}: it is not known whether this is better when lower or when higher; "
        "pass mode='min' or mode='max'.",
    )


def _of_name(name: str) -> str | None:
    if name.startswith("neg_"):  # scikit-learn's scorers: the higher the better
        return "max" if _of_name(name.removeprefix("neg_")) == "min" else None
    for form in _forms(name):
        if form in _HIGHER:
            return "max"
        # The last word of what is minimised in training, whatever it is of.
        if form in _LOWER or form.endswith(("_loss", "_error")):
            return "min"
    return None


def _forms(name: str) -> list[str]:
    """Returns a name as it is, and without what does not change its meaning."""
    cut = re.sub(r"(@|_at_)\d+$", "", name)  # recall@10
    plain = [word for word in cut.split("_") if word not in _AVERAGES]
    numbered = re.sub(r"_\d+$", "", name)  # Keras numbers metrics of one name
    return [name, cut, "_".join(plain), numbered]


def _metrics(model: Any) -> dict[str, Any]:
    """Returns the metrics that Keras has of a model, by name, built or not yet."""
    if model is None or not getattr(model, "compiled", False):
        return {}
    config = model._compile_config.config
    given = keras.tree.flatten([config.get("metrics") or (), config.get("weighted_metrics") or ()])
    return {metric.name: metric for metric in given if isinstance(metric, keras.metrics.Metric)}
