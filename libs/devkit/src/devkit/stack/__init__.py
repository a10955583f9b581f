"""Everything of the distributed setup as local processes: servers, services, simulator."""

from __future__ import annotations

from devkit.stack.deployment import SERVICES, Deployment
from devkit.stack.servers import ALL, Servers

__all__ = ["ALL", "SERVICES", "Deployment", "Servers"]
