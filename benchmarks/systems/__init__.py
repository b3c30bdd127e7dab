"""One file a system, with the jobs of `compare.py`."""
