"""The llm-executor under load: ``python tests/load/executor.py [--short] [--only throughput]``.

Only finds the modules beside it: as a script this file's folder holds names of installed packages.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.load.executor_rows import main  # noqa: E402 - only now can it be found

if __name__ == "__main__":
    main()
