"""A Keras model as a function with named inputs and outputs, for the converters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ktlite._process import check_process
from ktlite.encodings.field import Field
from ktlite.export.exported import CHOICE, output_names
from ktlite.models.adapters import has_adapters


def traced(model: Any, dtype: str = "int32") -> Any:
    """Returns a `tf.function` of the inputs that a model reads, for any batch size and length.

    Args:
        model: A model of ktlite.models. It computes as in prediction: no dropout, no XLA.
        dtype: Of the inputs that are whole numbers.

    Returns:
        A function of tensors [batch, ...], named and in the order of the model's fields, which
        returns a dict of named tensors.
    """
    model = _plain(model)
    check_process()
    whole = _function(model, model.fields, "int32")
    tensors = whole.get_concrete_function().inputs
    read = [
        field
        for field, tensor in zip(model.fields, tensors, strict=False)  # then come the weights
        if tensor.consumers()
    ]
    if dtype == "int32" and len(read) == len(model.fields):
        return whole  # traced already
    return _function(model, read, dtype)


def _plain(model: Any) -> Any:
    """Returns the model, or its twin in float32, with adapters in its kernels.

    Formats differ in half precision, and adapters beside the kernels only cost time by now.
    """
    adapted = has_adapters(model)
    if model.compute_dtype == "float32" and not adapted:
        return model
    import keras

    policy = keras.dtype_policies.serialize(keras.DTypePolicy("float32"))
    twin = type(model).from_config({**model.get_config(), "dtype": policy})
    if not adapted:
        twin.set_weights(model.get_weights())
        return twin
    layers = [layer for layer in model._flatten_layers() if getattr(layer, "lora_enabled", False)]
    beside = {id(x) for layer in layers for x in (layer.lora_kernel_a, layer.lora_kernel_b)}
    # A kernel's layer gives it with the adapter's product in it.
    whole = {id(layer._kernel): layer.kernel for layer in layers}
    kept = [weight for weight in model.weights if id(weight) not in beside]
    for ours, weight in zip(twin.weights, kept, strict=True):
        ours.assign(whole.get(id(weight), weight))
    return twin


def _function(model: Any, fields: Sequence[Field], whole: str) -> Any:
    import tensorflow as tf

    def run(*tensors: Any) -> dict[str, Any]:
        inputs = {
            field.name: tf.cast(tensor, field.dtype)
            for field, tensor in zip(fields, tensors, strict=True)
        }
        outputs = _named(model(inputs, training=False), model.task_name)
        return {name: tf.identity(output, name=name) for name, output in outputs.items()}

    outer = (None,) * (2 if model.task_name == CHOICE else 1)
    signature = [
        tf.TensorSpec(
            (*outer, *field.shape), whole if field.dtype == "int32" else field.dtype, field.name
        )
        for field in fields
    ]
    return tf.function(run, input_signature=signature, autograph=False)


def _named(outputs: Any, head: str | None) -> Mapping[str, Any]:
    if isinstance(outputs, Mapping):
        return outputs
    names = output_names(head)
    parts = [outputs] if len(names) == 1 else [outputs[..., i] for i in range(len(names))]
    return dict(zip(names, parts, strict=True))
