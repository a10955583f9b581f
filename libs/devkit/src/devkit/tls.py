"""Certificates of a made-up authority, and a proxy that ends TLS in front of a plain server.

So a store that cannot speak TLS by itself shows that its client can: the proxy does what a TLS
listener does, and passes the bytes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from devkit.stopping import Stopping

# What a PostgreSQL client sends first when it wants TLS, and the answer that it may begin.
_SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
_GRANTED = b"S"
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Certificate:
    """PEM files: a certificate with its chain, its private key (PKCS 8), and both in one."""

    chain_file: Path
    key_file: Path
    both_file: Path


class Authority:
    """A certificate authority that nobody trusts who is not told to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self._issued = 0
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, *names: str) -> Certificate:
        """A certificate for these host names and addresses, good for servers and clients."""
        self._issued += 1
        issued = self._ca.issue_cert(*names)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        parts = {"chain": chain, "key": key, "both": key + chain}
        paths = {name: self._folder / f"{self._issued}-{name}.pem" for name in parts}
        for name, path in paths.items():
            path.write_bytes(parts[name])
        return Certificate(paths["chain"], paths["key"], paths["both"])


class TlsProxy(Stopping):
    """Listens on a loopback port of its own, in a thread of its own, while it is entered.

    ``target`` is a port or a Unix socket. ``postgres``: clients ask for TLS in PostgreSQL's
    protocol, as its own listener has it.
    """

    def __init__(
        self, target: int | Path, certificate: Certificate, *, postgres: bool = False
    ) -> None:
        self._target = target
        self._postgres = postgres
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate.chain_file, certificate.key_file)
        self._context.set_alpn_protocols(["h2", "http/1.1"])  # gRPC insists on the first
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def stop(self) -> None:
        """Close every connection."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        context = None if self._postgres else self._context
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self._postgres:
                    await self._grant(reader, writer)
                await self._pass_on(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _grant(self, reader: StreamReader, writer: StreamWriter) -> None:
        if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
            raise ConnectionAbortedError("a client without TLS")
        writer.write(_GRANTED)
        await writer.start_tls(self._context)

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        if isinstance(self._target, Path):
            there, back = await asyncio.open_unix_connection(self._target)
        else:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            ways = [_copy(reader, back), _copy(there, writer)]
            tasks = [asyncio.create_task(way) for way in ways]
            try:  # when one side hangs up, so does the other
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            back.close()


async def _copy(source: StreamReader, sink: StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        sink.write(data)
        await sink.drain()
