"""Standard error without the lines that nobody needs."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stderr_without(pattern: str) -> Iterator[None]:
    """Holds back what is written to standard error; at the end, lines without `pattern` appear.

    That of compiled code too, which Python's `sys.stderr` does not see.

    Args:
        pattern: What the lines to drop begin with, a regular expression.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines():
                if line.strip() and not re.match(pattern, line):
                    sys.stderr.write(line + "\n")
