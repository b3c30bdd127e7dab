"""The command line: `ktlite train`, `predict`, `serve` and others, on files."""
