"""Images: ktrain's loaders, models and looks. `from ktlite import vision`."""

from __future__ import annotations

from typing import Any

from ktlite._hints import missing
from ktlite.inputs.image_augmentation import get_data_aug
from ktlite.inputs.image_changes import RandAugment, RandomErasing
from ktlite.vision.classes import preprocess_csv
from ktlite.vision.loaders import (
    images_from_array,
    images_from_csv,
    images_from_df,
    images_from_fname,
    images_from_folder,
)
from ktlite.vision.models import (
    image_classifier,
    image_classifiers,
    image_regression_model,
    image_regression_models,
    print_image_classifiers,
    print_image_regression_models,
)
from ktlite.vision.showing import preview_data_aug, show_image, show_random_images
from ktlite.vision.standard import StandardImagePreprocessor

__all__ = [
    "RandAugment",
    "RandomErasing",
    "StandardImagePreprocessor",
    "get_data_aug",
    "image_classifier",
    "image_classifiers",
    "image_regression_model",
    "image_regression_models",
    "images_from_array",
    "images_from_csv",
    "images_from_df",
    "images_from_fname",
    "images_from_folder",
    "preprocess_csv",
    "preview_data_aug",
    "print_image_classifiers",
    "print_image_regression_models",
    "show_image",
    "show_random_images",
]


def __getattr__(name: str) -> Any:
    missing(__name__, name, __all__)
