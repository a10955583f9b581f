"""``python -m devkit.stack``: servers as local processes, with ``--services`` all of Limelight."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from devkit.running import ProcessError
from devkit.servers.local import ServerUnavailable
from devkit.stack.deployment import KEY, SERVICES, Deployment
from devkit.stack.servers import Servers


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; 1 if a server or service cannot be had, with the reason."""
    options = _parser().parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with ExitStack() as running:
            _start(options, running)
            ended.wait()
            print("stopping ...", flush=True)
    except (ServerUnavailable, RuntimeError, ProcessError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devkit.stack", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".limelight/stack"), help="folder of all")
    parser.add_argument("--services", action="store_true", help="start every service as well")
    return parser


def _start(options: argparse.Namespace, running: ExitStack) -> None:
    print("starting servers ...", flush=True)
    servers = running.enter_context(Servers.start(options.data))
    for name, url in servers.urls().items():
        print(f"  {name:10} {url}")
    for service in SERVICES:
        _write(options.data / f"{service}.env", servers.environment(service))
    print(f"What each service must be told is in {options.data}/*.env, for example:")
    print(f"  set -a; . {options.data}/recommender.env; python -m recommender")
    if options.services:
        deployment = running.enter_context(Deployment(options.data, servers))
        deployment.start()
        _tell(deployment)
    print("Ctrl-C ends all.", flush=True)


def _write(path: Path, environment: Mapping[str, str]) -> None:
    path.write_text("".join(f"{name}='{value}'\n" for name, value in environment.items()))


def _tell(deployment: Deployment) -> None:
    for line in _lines(deployment):
        print(line)


def _lines(deployment: Deployment) -> Iterator[str]:
    yield f"gateway: http://127.0.0.1:{deployment.gateway_port}/docs with the key {KEY}"
    yield "Models are simulated; metrics of each service:"
    for service, process in deployment.services.items():
        yield f"  {service:18} http://127.0.0.1:{process.ops_port}/metrics"


if __name__ == "__main__":
    sys.exit(main())
