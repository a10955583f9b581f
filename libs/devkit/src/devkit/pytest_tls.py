"""Pytest fixtures of certificates, for the tests of secured connections."""

from __future__ import annotations

import pytest

from devkit.tls import Authority, Certificate

LOOPBACK = "127.0.0.1"
"""What the certificate of the tests is for; ``localhost`` is another name of the same machine."""


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for the session."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which has issued nothing that a server of the tests has."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Certificate:
    """A server's certificate for 127.0.0.1, and for no other name."""
    return authority.issue(LOOPBACK)
