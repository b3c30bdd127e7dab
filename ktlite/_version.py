"""The one place that states ktlite's version; setup.cfg reads it from here."""

__version__ = "0.1.0.dev0"
