"""``python -m runagent``: the same as the command ``runagent``."""

from __future__ import annotations

import sys

from runagent._cli import main

if __name__ == "__main__":
    sys.exit(main())
