"""`python -m ktlite.cli`: the command line where its script is not on the path."""

import sys

from ktlite.cli.main import main

sys.exit(main())
