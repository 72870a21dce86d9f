"""``python -m runagent_testing`` is ``runagent-fake``."""

from __future__ import annotations

import sys

from runagent_testing._standalone.cli import main

if __name__ == "__main__":
    sys.exit(main())
