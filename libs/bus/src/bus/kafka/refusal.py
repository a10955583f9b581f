"""Why brokers that answer do not let us in: aiokafka logs it and raises only that it could not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka import errors  # type: ignore[import-untyped]
from aiokafka.conn import collect_hosts, create_conn  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

_SECONDS = 3.0
_WRONG_HOST = (62, 64)  # OpenSSL's numbers for a host name and an address that do not match


async def refusal(options: Mapping[str, Any]) -> str | None:
    """Try each broker once more and say which setting it objects to; None if it is no setting.

    ``options`` are those of an aiokafka client.
    """
    others = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    for host, port, _ in collect_hosts(options["bootstrap_servers"]):
        try:
            async with asyncio.timeout(_SECONDS):
                await _enter(host, port, others)
        except (errors.KafkaError, OSError) as error:
            told = _told(error)
            if told is not None:
                return f"{host}:{port} {told}"
    return None


async def _enter(host: str, port: int, options: Mapping[str, Any]) -> None:
    connection = await create_conn(host, port, **options)
    try:
        # A broker that wants SASL answers the first request, which is about versions, to anybody.
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def _told(error: Exception) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error)
    if isinstance(error, ssl.SSLError):
        return f"fails at TLS ({error.reason}): look at LIMELIGHT_LOG_URL and _LOG_CERT_FILE"
    if isinstance(error, errors.SaslAuthenticationFailed):
        return "refuses this user: look at LIMELIGHT_LOG_USERNAME and LIMELIGHT_LOG_PASSWORD"
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return f"wants another LIMELIGHT_LOG_SASL_MECHANISM: {error}"
    if isinstance(error, errors.KafkaConnectionError | ConnectionResetError):
        return (
            "hangs up: does it want TLS (LIMELIGHT_LOG_URL=kafka+ssl://...), a user"
            " (LIMELIGHT_LOG_USERNAME) or a certificate (LIMELIGHT_LOG_CERT_FILE), or none of them?"
        )
    return None


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _WRONG_HOST:
        return (
            f"has a certificate of another name ({error.verify_message}): write the name it was"
            " issued to in LIMELIGHT_LOG_URL"
        )
    return (
        f"has a certificate that is not trusted ({error.verify_message}): name the file of its CA"
        " in LIMELIGHT_LOG_CA_FILE"
    )
