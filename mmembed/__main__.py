"""``python -m mmembed`` is the ``mmembed`` command."""

import sys

from mmembed.cli.commands import run

if __name__ == "__main__":
    sys.exit(run())
