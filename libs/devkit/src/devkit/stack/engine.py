"""Whether a container engine can be used here, and an image be had."""

from __future__ import annotations

import sys
from functools import cache

import docker
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException
from testcontainers.core.config import testcontainers_config

_NO_SOCKET = "No such file or directory"


@cache
def why_not() -> str | None:
    """Why no engine can be used; None if one answers."""
    try:
        client = docker.from_env(timeout=5)
        client.ping()
    except (DockerException, RequestException) as error:
        told = _first_line(error)
        return "no container engine runs here" if _NO_SOCKET in told else f"no engine: {told}"
    client.close()
    if not client.api.base_url.startswith("http+docker://"):
        return "the container engine is on another machine"
    _reap_if_possible()
    return None


@cache
def why_no_image(image: str) -> str | None:
    """Why an image is neither here nor to be had; None once it is here."""
    client = docker.from_env()
    try:
        client.images.get(image)
    except ImageNotFound:
        return _why_not_pulled(client, image)
    finally:
        client.close()
    return None


def _why_not_pulled(client: docker.DockerClient, image: str) -> str | None:
    print(f"pulling {image} ...", file=sys.stderr, flush=True)
    try:
        client.images.pull(image)
    except (DockerException, RequestException) as error:
        return f"{image} is not here and cannot be pulled ({_first_line(error)})"
    return None


def _reap_if_possible() -> None:
    """Let testcontainers' own container remove what a killed test leaves, where it can be had."""
    if not testcontainers_config.ryuk_disabled:
        testcontainers_config.ryuk_disabled = bool(why_no_image(testcontainers_config.ryuk_image))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
