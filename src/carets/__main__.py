"""``python -m carets`` is the command ``carets``."""

import sys

from carets.cli import main

sys.exit(main())
