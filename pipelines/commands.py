"""Commands of mmembed, run one after the other as a user types them."""

from __future__ import annotations

import subprocess
import sys
import time


def mmembed(*arguments: object) -> None:
    """Run one ``mmembed`` command, as a user would; end this program if it fails."""
    words = [str(argument) for argument in arguments]
    print("\n$ mmembed " + " ".join(words), flush=True)
    began = time.perf_counter()
    status = subprocess.run([sys.executable, "-m", "mmembed", *words], check=False).returncode
    print(f"mmembed {words[0]}: {time.perf_counter() - began:.0f} s", flush=True)
    if status:
        sys.exit(status)
