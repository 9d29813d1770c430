"""``python -m mmembed`` is the ``mmembed`` command."""

import sys

from mmembed.cli import main

if __name__ == "__main__":
    sys.exit(main())
