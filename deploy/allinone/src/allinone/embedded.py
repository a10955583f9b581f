"""The stores of the all-in-one, and which setting of a service each one fills."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from bus.host import ServiceSpec
from bus.local import LocalLog
from bus.provision import specs
from devkit.embedded import EmbeddedPostgres, EmbeddedRedis
from devkit.simulator import RunningSimulator, SimulatorConfig, serve

from allinone.data_dir import DataDir

# What the gateway keeps may be flushed; what the recommender keeps is its store.
_REDIS_DATABASES = {"gateway": 0, "recommender": 1}


@dataclass
class Embedded:
    """Running stores and the provider simulator."""

    log: LocalLog
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    simulator: RunningSimulator

    @classmethod
    async def start(cls, data: DataDir, simulated: SimulatorConfig) -> Embedded:
        """Start all of them side by side."""
        log, postgres, redis, simulator = await asyncio.gather(
            LocalLog.open(data.log),
            EmbeddedPostgres.start(data.postgres),
            EmbeddedRedis.start(data.redis),
            serve(simulated),
        )
        await log.create_topics(specs())
        return cls(log, postgres, redis, simulator)

    async def settings_for(self, spec: ServiceSpec) -> dict[str, Any]:
        """What the stores fill in of a service's settings, by the names of its fields."""
        wanted = spec.settings.model_fields
        offered: dict[str, Any] = {
            "redis_url": self.redis.database(_REDIS_DATABASES.get(spec.name, 0)),
            "simulator_url": self.simulator.base_url,
            "sole_instance": True,
        }
        for name in {"postgres_dsn", "graph_url"} & set(wanted):
            offered[name] = await self.postgres.database(spec.name)
        return {name: value for name, value in offered.items() if name in wanted}

    async def stop(self) -> None:
        """Stop all of them; the log last, it is what the others rest on."""
        await self.simulator.stop()
        await asyncio.gather(self.postgres.stop(), self.redis.stop())
        await self.log.close()
