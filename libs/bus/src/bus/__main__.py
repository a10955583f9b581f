"""``python -m bus``: create the topics that LIMELIGHT_LOG_URL lacks; every image can do it."""

from __future__ import annotations

import asyncio
import sys

from runtime.settings import BadSettings, ServiceSettings, load

from bus.errors import BusError
from bus.host import connect
from bus.provision import provision


def main() -> int:
    """Return 0 once all topics are there."""
    try:
        for name in asyncio.run(_created(load(ServiceSettings))):
            print(f"created {name}")
    except BadSettings as error:
        print(error.message, file=sys.stderr)
        return 2
    except BusError as error:
        print(f"topics are not created: {error}", file=sys.stderr)
        return 1
    return 0


async def _created(settings: ServiceSettings) -> list[str]:
    log = await connect(settings)
    try:
        return await provision(log)
    finally:
        await log.close()


if __name__ == "__main__":
    sys.exit(main())
