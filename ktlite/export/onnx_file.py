"""ONNX (https://onnx.ai), and ONNX Runtime to run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._extras import needs_extra
from ktlite.errors import ExportError, Problems, listing
from ktlite.export.exported import ExportedModel, as_field
from ktlite.export.quiet import quiet

FILE = "model.onnx"
OPSET = 17
_TYPES = {"tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(float)": "float32"}
_LIMIT = 2**31  # bytes of a protocol buffer, which an ONNX file is


def write_onnx(
    model: Any, folder: Path, quantize: str | None = None, target_opset: int | None = None
) -> None:
    """Writes `model.onnx`: named inputs and outputs, any batch size and length.

    The inputs are int64, as tokenizers of other libraries give them. With `quantize="int8"` the
    matrices and the tables of embeddings are stored as 8-bit integers with a scale a column, and
    what they are multiplied with is quantised as it comes (dynamically).

    Args:
        model: A model of ktlite.models.
        folder: Where to write.
        quantize: None or `"int8"`.
        target_opset: The version of ONNX's operators. Default: 17.

    Raises:
        ExportError: If the model is larger than ONNX files can be, or it cannot be said with these
            operators.
    """
    with needs_extra("onnx", error=ExportError):
        import onnx
        import tf2onnx

    from ktlite.export.tracing import traced

    size = sum(int(np.prod(weight.shape)) * 4 for weight in model.weights)
    if size >= _LIMIT:
        raise ExportError(
            f"the model has {size / 1e9:.1f} GB of weights; a file in ONNX format holds 2.1 GB. "
            "Export it as 'saved_model'."
        )
    function = traced(model, "int64")
    opset = OPSET if target_opset is None else target_opset
    try:
        with quiet("tf2onnx"):
            proto, _ = tf2onnx.convert.from_function(
                function, input_signature=function.input_signature, opset=opset
            )
    except ValueError as error:
        raise ExportError(f"target_opset={opset!r}: {error}") from error
    unknown = {node.op_type for node in proto.graph.node if not onnx.defs.has(node.op_type)}
    if unknown:
        raise ExportError(
            f"ONNX has no operator for TensorFlow's {listing(sorted(unknown))}, which this model "
            "needs. Export it as 'saved_model'."
        )
    if quantize and any(node.op_type == "Loop" for node in proto.graph.node):
        raise ExportError(
            "ONNX Runtime ends the process when it opens a recurrent model with 8-bit weights. "
            "Leave quantize out."
        )
    _name_dimensions(proto.graph)
    onnx.save_model(proto, folder / FILE)
    if quantize:
        _quantize(folder / FILE)


def _name_dimensions(graph: Any) -> None:
    """Calls what may vary "batch", "choices" and "length", in inputs and outputs alike."""

    def free(value: Any) -> list[Any]:
        return [dim for dim in value.type.tensor_type.shape.dim if not dim.HasField("dim_value")]

    choices = ("choices",) if len(free(graph.input[0])) == 3 else ()
    for value in (*graph.input, *graph.output):
        for dim, name in zip(free(value), ("batch", *choices, "length"), strict=False):
            dim.dim_param = name


def _quantize(file: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    whole = file.with_suffix(".float32")
    try:
        with quiet():
            quant_pre_process(file, whole, skip_symbolic_shape=True)
            quantize_dynamic(
                whole,
                file,
                op_types_to_quantize=["MatMul", "Gather"],
                per_channel=True,
                # 7 bits of weights: processors without VNNI add pairs of products in 16 bits.
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )
    finally:
        whole.unlink(missing_ok=True)


class OnnxModel(ExportedModel):
    """Runs `model.onnx` with ONNX Runtime, without TensorFlow or Keras.

    It computes on the devices of `onnxruntime.get_available_providers()`, which a package such
    as onnxruntime-gpu adds to.

    Args:
        folder: Where the file lies.
        facts: As of `ExportedModel`.

    Raises:
        ExportError: If ONNX Runtime cannot open the file.
    """

    def __init__(self, folder: str | os.PathLike[str], facts: Mapping[str, Any]) -> None:
        super().__init__(facts)
        self.session = create_session(Path(folder) / FILE)
        self.fields = tuple(
            as_field(item.name, _TYPES[item.type], item.shape) for item in self.session.get_inputs()
        )
        self._outputs = [item.name for item in self.session.get_outputs()]

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self.session.run(None, inputs), strict=True))


def create_session(file: str | os.PathLike[str], provider: str | None = None) -> Any:
    """Returns an `onnxruntime.InferenceSession` of a file.

    Args:
        file: The file, or the folder of an export.
        provider: Which of `onnxruntime.get_available_providers()` runs it. Default: all of them,
            the first that can.

    Raises:
        ArgumentError: If there is no such provider.
        ExportError: If ONNX Runtime cannot open the file.
    """
    with needs_extra("onnx", error=ExportError):
        import onnxruntime
    file = Path(file) / FILE if Path(file).is_dir() else Path(file)
    providers = onnxruntime.get_available_providers()
    if provider is not None:
        problems = Problems("create_onnx_session")
        problems.choice("provider", provider, providers)
        problems.raise_if_any()
        providers = [provider]
    options = onnxruntime.SessionOptions()
    # Threads that wait for work by spinning take the cores from whoever shares them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(os.fspath(file), options, providers=providers)
    except Exception as error:  # its errors have no common class but this
        raise ExportError(f"ONNX Runtime cannot open {file}: {error}") from error
