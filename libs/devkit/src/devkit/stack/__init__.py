"""Everything of the distributed setup as local processes: servers, services, simulator."""

from __future__ import annotations

from devkit.stack.choice import start_container, start_server
from devkit.stack.deployment import SERVICES, Deployment
from devkit.stack.server import Server
from devkit.stack.servers import ALL, Servers

__all__ = ["ALL", "SERVICES", "Deployment", "Server", "Servers", "start_container", "start_server"]
