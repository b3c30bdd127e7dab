"""The methods of a `Predictor` that take names of files, under ktrain's names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ktlite._arguments import check_paths, checked
from ktlite.data.files import check_exists, visible
from ktlite.errors import DataError, Problems
from ktlite.predictor.predicting import Predicting


class FileNames(Predicting):
    """Files to predictions: pictures, or texts, a file each."""

    @checked
    def predict_filename(
        self, img_path: str | os.PathLike[str], return_proba: bool = False, verbose: int = 0
    ) -> Any:
        """Predicts what is in a file.

        Args:
            img_path: The file: a picture, or where the model reads texts, a text.
            return_proba: Give probabilities in place of labels.
            verbose: 1 shows a progress bar.

        Returns:
            What `predict` returns of a list of one.

        Raises:
            DataError: If there is no such file, or it cannot be read.

        Example:
            >>> predictor.predict_filename("cats/1.jpg")
            ['cat']
        """
        check_paths("predict_filename", img_path=img_path)
        path = Path(img_path)
        problems = Problems("predict_filename", DataError)
        check_exists(problems, path, path.is_file(), "file")
        problems.raise_if_any()
        return self._predict_files([path], return_proba, verbose)

    @checked
    def predict_folder(
        self, folder: str | os.PathLike[str], return_proba: bool = False, verbose: int = 0
    ) -> list[tuple[str, Any]]:
        """Predicts what is in each file of a folder; the folders in it are not looked at.

        Args:
            folder: It.
            return_proba: As for `predict_filename`; so is `verbose`.
            verbose: See `return_proba`.

        Returns:
            (file name, prediction) of each, by name.

        Raises:
            DataError: If there is no such folder, or none of its files is of the kind that the
                model reads.

        Example:
            >>> predictor.predict_folder("cats")[:2]
            [('1.jpg', 'cat'), ('2.jpg', 'cat')]
        """
        check_paths("predict_folder", folder=folder)
        top, kind = Path(folder), self.preproc.input
        problems = Problems("predict_folder", DataError)
        check_exists(problems, top, top.is_dir(), "folder")
        problems.raise_if_any()
        files = sorted(path for path in visible(top) if path.is_file() and kind.is_file(path))
        problems.add_unless(bool(files), f"{top} holds no {kind.kind} files.")
        problems.raise_if_any()
        predicted = self._predict_files(files, return_proba, verbose)
        return [(file.name, found) for file, found in zip(files, predicted, strict=True)]

    def _predict_files(self, files: list[Path], return_proba: bool, verbose: int) -> Any:
        items, _ = self.preproc.input.of_files(files, None, "the files")
        return self.predict(items, return_proba, verbose=verbose)
