"""The methods of a `Predictor` that write it for other runtimes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ktlite._arguments import checked, not_a_string
from ktlite._extras import needs_extra
from ktlite._logging import logger, results, without_results
from ktlite.data.dataset import Dataset, joined
from ktlite.errors import DataError, ExportError, Problems
from ktlite.export import Export, export_model, open_model
from ktlite.export.costs import costs
from ktlite.export.formats import FORMATS, find_format, require_packages
from ktlite.export.onnx_file import create_session
from ktlite.export.writing import folder_size
from ktlite.inference.runner import Runner
from ktlite.predictor.saving import Saving

_FILES = {"onnx": "model.onnx", "litert": "model.tflite"}


class Exporting(Saving):
    """A predictor in formats that other programs run."""

    @checked
    def export(
        self,
        path: str | os.PathLike[str],
        format: str = "onnx",
        quantize: str | None = None,
        **options: Any,
    ) -> Export:
        """Writes a folder that runs elsewhere, and compares it with the model.

        It holds the model with named inputs (`input_ids`, `attention_mask`, `token_type_ids` where
        the model reads them) and outputs for any batch size and length, beside it `config.json`,
        `tokenizer.json`, `ktlite.json` and, where there is one, the run card `run.json`. It is
        opened in its own runtime, and its outputs for texts and for random tokens of several
        lengths are compared with the model's, before it appears at `path`. `load_predictor(path)`
        gives a predictor on that runtime.

        Args:
            path: The folder. An earlier export that is there is replaced, nothing else.
            format: `"onnx"` (ONNX Runtime; `pip install "ktlite[onnx]"`), `"litert"` (LiteRT, once
                TensorFlow Lite), `"saved_model"` (TensorFlow; it takes tokens, not texts) or
                `"huggingface"` (PyTorch, and Keras again). Of a model that writes texts
                `"ctranslate2"` (`pip install "ktlite[ctranslate2]"`), which must be said.
            quantize: `"int8"` (ONNX, LiteRT, CTranslate2) or `"float16"` (LiteRT, Hugging Face,
                CTranslate2): what the weights are stored in. What that costs in accuracy,
                `compare_exports` says.
            **options: `target_opset`, ONNX's version of operators (17).

        Returns:
            What was written, and how far its outputs are from the model's; it is shown, too.

        Raises:
            ArgumentError: If there is no such format, or something else is at `path`.
            ExportError: If the format cannot express the model, the export gives other numbers, or
                a package is missing. Nothing is written then.

        Example:
            >>> predictor.export("reviews-onnx", quantize="int8").size
            24539812
            >>> ktlite.load_predictor("reviews-onnx").predict("A warm, funny, engaging film.")
            'positive'
        """
        self._check_writable()
        options = self._checked_options(format, options)

        def beside(folder: Path, opened: Runner) -> dict[str, Any]:
            exported = type(self)(opened, self.preproc, self.batch_size)
            if self.card is not None:
                self.card.write(folder)
            return {"preprocessor": self.preproc.save(folder), "golden": exported._golden()}

        return export_model(
            self.model,
            path,
            format,
            quantize,
            texts=self.preproc.encode(self.preproc.golden_examples),
            longest=self.preproc.maxlen,
            beside=beside,
            **options,
        )

    def _checked_options(self, format: str, options: dict[str, Any]) -> dict[str, Any]:
        """Returns a format's options, with the names of tokens where it has such.

        Raises:
            ArgumentError: If there is no such format.
            ExportError: If it is for models that write texts and this is none, or the reverse.
        """
        name, task = find_format(format), self.preproc.task
        if getattr(getattr(self.model, "head", None), "apart", False):
            raise ExportError(
                f"export: a model that compares images with texts ({task.name}) has no exports: "
                "it is given one of them, or both. predictor.save(path) writes a folder that "
                "transformers opens, too."
            )
        writes = getattr(self.model, "writes", False)
        if FORMATS[name].writes_texts != writes:
            known = [repr(n) for n, one in FORMATS.items() if one.writes_texts]
            raise ExportError(
                f"export: models that write texts ({task.name}) are exported as "
                f"{' or '.join(known)}, not as {name!r}; predictor.save(path) writes a folder that "
                "transformers opens, too."
                if writes
                else f"export: format={name!r} is for models that write texts; this one's task is "
                f"{task.name}. Take 'onnx'."
            )
        if "tokens" in FORMATS[name].options:
            options = {"tokens": self.preproc.input.vocabularies(), **options}
        return options

    @checked
    def export_model_to_onnx(
        self,
        fpath: str | os.PathLike[str],
        quantize: bool = False,
        target_opset: int | None = None,
        verbose: int = 1,
    ) -> str:
        """Writes a model for ONNX Runtime; `export` under ktrain's name.

        Args:
            fpath: A folder, which then holds `model.onnx` and all that `load_predictor` needs. Or
                the name of a file that ends in `.onnx`, for the model alone, as ktrain writes it.
            quantize: Store the weights as 8-bit integers.
            target_opset: ONNX's version of operators. Default: 17.
            verbose: Without effect; the log says what was written.

        Returns:
            The path of the file.

        Example:
            >>> path = predictor.export_model_to_onnx("reviews.onnx")
            >>> session = predictor.create_onnx_session(path)
            >>> tokens = dict(predictor.preproc.get_tokenizer()("Fine!", return_tensors="np"))
            >>> session.run(None, tokens)[0].argmax()
            1
        """
        precision = "int8" if quantize else None
        return self._written(fpath, "onnx", precision, target_opset=target_opset)

    @checked
    def create_onnx_session(
        self, onnx_model_path: str | os.PathLike[str], provider: str = "CPUExecutionProvider"
    ) -> Any:
        """Opens what `export_model_to_onnx` wrote.

        Args:
            onnx_model_path: The file, or its folder.
            provider: One of `onnxruntime.get_available_providers()`.

        Returns:
            An `onnxruntime.InferenceSession`; `run(None, tokens)` gives logits.

        Raises:
            ArgumentError: If there is no such provider.
            ExportError: If the file cannot be opened, or onnxruntime is not installed.
        """
        return create_session(onnx_model_path, provider)

    @checked
    def export_model_to_tflite(self, fpath: str | os.PathLike[str], verbose: int = 1) -> str:
        """Writes a model for LiteRT; `export` under ktrain's name.

        Args:
            fpath: A folder, which then holds `model.tflite` and all that `load_predictor` needs.
                Or the name of a file that ends in `.tflite`, for the model alone.
            verbose: Without effect; the log says what was written.

        Returns:
            The path of the file.
        """
        return self._written(fpath, "litert")

    def _written(
        self,
        fpath: str | os.PathLike[str],
        format: str,
        quantize: str | None = None,
        **options: Any,
    ) -> str:
        """Exports to a folder, or to a file of the name that the folder's would have."""
        path, name = Path(fpath), _FILES[format]
        if path.suffix.lower() != Path(name).suffix or path.is_dir():
            return str(self.export(path, format, quantize, **options).path / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside the file, so that it appears there whole.
        with tempfile.TemporaryDirectory(prefix=".ktlite-", dir=path.parent) as folder:
            with without_results():  # which name a folder that goes
                written = self.export(Path(folder, "export"), format, quantize, **options)
            os.replace(written.path / name, path)
        results.info("%s", written._replace(path=path, size=path.stat().st_size))
        logger.info("%s: the model alone; a folder in its place is a predictor", path)
        return str(path)

    @checked
    @needs_extra("train", "compare_exports")
    def compare_exports(
        self,
        texts: Any,
        y: Any = None,
        exports: Sequence[str] = ("onnx", "onnx int8"),
        *,
        batch_size: int | None = None,
    ) -> Any:
        """Says what exports cost: accuracy, size and time beside the predictor's own.

        Each is written into a folder that is removed again, opened, and given all texts.

        Args:
            texts: Texts that the model has not been trained on, or a dataset such as
                `learner.val_data`, with its labels.
            y: Their labels.
            exports: Formats, or formats and `quantize`, such as `"litert float16"`.
            batch_size: Texts a batch. Default: the predictor's.

        Returns:
            A data frame, a row each, the predictor's own first ("keras"): the figures of
            `Learner.validate`, `size_mb` (the folder), `one_text_ms` (median) and `texts_per_s`.
            It is logged, too.

        Raises:
            ArgumentError: If there is no such format.
            ExportError: If a package is missing.
            DataError: If there are no labels, or texts or labels cannot be used.

        Example:
            >>> predictor.compare_exports(val_texts, val_labels)
                       loss  accuracy  size_mb  one_text_ms  texts_per_s
            keras      0.37     0.842     91.6          6.6          330
            onnx       0.37     0.842     91.7          3.5          410
            onnx int8  0.37     0.841     24.5          1.4         1100
        """
        import pandas as pd

        problems = Problems("compare_exports")
        not_a_string(problems, exports=exports)
        problems.raise_if_any()
        wanted = [(name, *_parts(name)) for name in exports]
        for _, format, quantize in wanted:
            require_packages(find_format(format, quantize))
        data = joined(texts if y is None else (texts, y))
        if not isinstance(data, Dataset):
            data = self.preproc.preprocess_test(texts, y, verbose=0)
        if data.targets is None:
            raise DataError("compare_exports needs labels to compare with: pass y.")
        size = self.batch_size if batch_size is None else batch_size
        rows = {}
        with tempfile.TemporaryDirectory() as top:
            self.save(Path(top, "keras"))
            rows["keras"] = {
                **costs(self._forward, data, size), "size_mb": folder_size(Path(top, "keras")) / 1e6
            }  # fmt: skip
            for name, format, quantize in wanted:
                with without_results():
                    written = self.export(Path(top, name), format, quantize)
                figures = costs(open_model(written.path), data, size)
                rows[name] = {**figures, "size_mb": written.size / 1e6}
        frame = pd.DataFrame.from_dict(rows, orient="index")
        results.info("%s", frame.to_string(float_format="{:.4g}".format))
        return frame


def _parts(name: str) -> tuple[str, str | None]:
    """Splits "onnx int8" into the format and what it is quantised to."""
    format, _, quantize = name.partition(" ")
    return format, quantize or None
