"""`python -m stream.cli` is `braggstream`."""

import sys

from stream.cli.app import main

sys.exit(main())
