"""Models in formats that other programs run, each checked against the model that it is of."""

from ktlite.export.formats import FORMATS, RUNTIMES
from ktlite.export.writing import Export, export_model, open_model

__all__ = ["FORMATS", "RUNTIMES", "Export", "export_model", "open_model"]
