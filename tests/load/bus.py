"""Records per second through the bus, beside bare clients: ``python tests/load/bus.py [--short]``.

Only finds the modules beside it: as a script this file would itself be what ``import bus`` finds.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.load.bus_rows import main  # noqa: E402 - only now can it be found

if __name__ == "__main__":
    main()
