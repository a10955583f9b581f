"""Composition root of the all-in-one: stores, services and ops port in one process."""

from __future__ import annotations

import os
from typing import Any

from bus.host import Service
from devkit.simulator import SimulatorConfig, default_config, load_config
from gateway.app import DEMO_TENANT
from runtime import memory, tracing
from runtime.deadline import Deadline
from runtime.health import Check, ops_app
from runtime.loop_lag import loop_lag
from runtime.server import HttpServer
from runtime.settings import load

from allinone.control import Control
from allinone.data_dir import DataDir
from allinone.embedded import Embedded
from allinone.options import Options
from allinone.pruning import log_pruning
from allinone.services import SERVICES

NAME = "allinone"


class AllInOne:
    """The whole platform in this process."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.data = DataDir(options.data_dir)
        self._embedded: Embedded | None = None
        self._services: dict[str, Service] = {}
        self._whole: Service | None = None
        self._ops: HttpServer | None = None

    @property
    def url(self) -> str:
        """Address of the public API."""
        return f"http://{self._options.host}:{self._options.port}"

    @property
    def ops_url(self) -> str:
        """Address of health and metrics."""
        assert self._ops is not None
        return self._ops.url

    async def start(self) -> None:
        """Start everything; when it returns, requests are served.

        Raises:
            DataDirError: the data directory is in use, or newer than this version.
            PortTaken: the port is in use.
            NewerSchema, LogTooNew: a store was written by a newer version.
        """
        self.data.open()
        try:
            tracing.configure(NAME, os.environ.get("LIMELIGHT_OTLP_ENDPOINT"))
            config = simulated(self._options)
            self._embedded = await Embedded.start(self.data, config)
            await self._start_services(self._embedded, config)
        except BaseException:
            await self._close()
            raise

    async def stop(self) -> None:
        """Drain the services, then stop the stores."""
        if self._whole is not None:
            await self._whole.stop(Deadline(self._options.shutdown_seconds))
        await self._close()

    async def _close(self) -> None:
        if self._embedded is not None:
            await self._embedded.stop()
        self.data.close()

    async def _start_services(self, embedded: Embedded, config: SimulatorConfig) -> None:
        ours = self._ours(config)
        for spec in SERVICES:
            wanted = spec.settings.model_fields
            given = await embedded.settings_for(spec)
            given |= {name: value for name, value in ours.items() if name in wanted}
            settings = load(spec.settings, **given)
            self._services[spec.name] = await spec.build(settings, embedded.log)
        control = Control(self.data, self._replays())
        app = ops_app(self._checks(embedded))
        app.router.routes.extend(control.routes())
        ops = HttpServer(app, "127.0.0.1", self._options.ops_port, variable="LIMELIGHT_OPS_PORT")
        parts = [part for service in self._services.values() for part in service.components]
        self._ops = ops
        whole = Service([loop_lag(NAME), ops, log_pruning(embedded.log), *parts])
        await whole.start()
        self._whole = whole
        memory.settle()
        control.announce(ops.url)

    def _ours(self, config: SimulatorConfig) -> dict[str, Any]:
        """What this process fills in of the services' settings."""
        return {
            "host": self._options.host,
            "port": self._options.port,
            "bootstrap_key": self.data.demo_key(),
            **_demo(config),
        }

    def _replays(self) -> dict[str, Any]:
        return {
            name: service.replays
            for name, service in self._services.items()
            if service.replays is not None
        }

    def _checks(self, embedded: Embedded) -> dict[str, Check]:
        checks: dict[str, Check] = {"log": embedded.log.healthy}
        for name, service in self._services.items():
            checks |= {f"{name}.{check}": run for check, run in service.checks.items()}
        return checks


def simulated(options: Options) -> SimulatorConfig:
    """What the simulator is told. Raises ValueError: the file is not there or not right."""
    if options.simulator_config is None:
        return default_config()
    try:
        return load_config(options.simulator_config)
    except OSError as error:
        raise ValueError(
            f"LIMELIGHT_SIMULATOR_CONFIG: cannot read {options.simulator_config}: {error.strerror}"
        ) from error


def _demo(config: SimulatorConfig) -> dict[str, Any]:
    """What anyone may see and ask; the environment has the last word."""
    models = tuple(f"simulator/{model}" for model in config.truth.model_by_id)
    ours = {"demo_tenant": DEMO_TENANT, "demo_models": models}
    return {
        name: value for name, value in ours.items() if f"LIMELIGHT_{name.upper()}" not in os.environ
    }
