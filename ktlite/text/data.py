"""ktrain's path of the loaders: `from ktlite.text.data import texts_from_csv`."""

from ktlite.text.loaders import (
    texts_from_array,
    texts_from_csv,
    texts_from_df,
    texts_from_folder,
)

__all__ = ["texts_from_array", "texts_from_csv", "texts_from_df", "texts_from_folder"]
