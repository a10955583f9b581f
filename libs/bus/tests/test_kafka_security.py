"""A Kafka that wants TLS and a user: it works as any other, and what is wrong is named."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bus import __main__ as bus_main
from bus.errors import LogRefused, LogUnavailable
from bus.host import connect
from bus.port import Log, TopicSpec
from bus.record import OutRecord
from devkit.conformance.polling import drain, numbered, unique, values
from devkit.ports import free_port
from devkit.servers.kafka import KafkaServer, Secured, ServerUnavailable
from devkit.tls import Authority
from runtime.settings import BadSettings, ServiceSettings, load

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.asyncio, pytest.mark.timeout(180)]
DAY = timedelta(days=1)
USER, PASSWORD = "ada", "tulips-and-trams"
GIVEN = {"log_username": USER, "log_password": PASSWORD}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[KafkaServer]:
    secured = Secured(authority, {USER: PASSWORD})
    try:
        started = KafkaServer.start(tmp_path_factory.mktemp("kafka"), secured=secured)
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    with started:
        yield started


@pytest.fixture
def settings(server: KafkaServer, authority: Authority) -> dict[str, Any]:
    return GIVEN | {
        "log_url": server.url,
        "log_ca_file": authority.file,
        "log_sasl_mechanism": "SCRAM-SHA-512",
    }


@asynccontextmanager
async def opened(values: dict[str, Any]) -> AsyncIterator[Log]:
    log = await connect(load(ServiceSettings, **values))
    try:
        yield log
    finally:
        await log.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that a busy machine slows down says all the same what it objects to."""
    monkeypatch.setattr("bus.kafka.refusal._SECONDS", 30.0)


@pytest_asyncio.fixture
async def log(settings: dict[str, Any]) -> AsyncIterator[Log]:
    async with opened(settings) as found:
        yield found


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_everything_works_for_a_user_over_tls(
    settings: dict[str, Any], mechanism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.kafka.log._HEALTH_SECONDS", 30.0)
    async with opened(settings | {"log_sasl_mechanism": mechanism}) as log:
        topic, group = unique("secured"), unique("group")
        await log.create_topics([TopicSpec(topic, 2, DAY)])
        producer = await log.producer()
        await producer.send(numbered(topic, 20))
        consumer = await log.consumer(group, [topic])
        found = await drain(consumer, 20)
        assert set(values(found)) == {record.value for record in numbered(topic, 20)}
        await consumer.commit(await log.end_offsets(topic))
        assert await log.committed(group, topic) == await log.end_offsets(topic)
        assert len(await log.read(found[0].source, 0, 100)) > 0
        assert await log.healthy()


WRONG = [
    ({"log_password": "roses"}, "LIMELIGHT_LOG_PASSWORD"),
    ({"log_username": "bob"}, "LIMELIGHT_LOG_USERNAME"),
    ({"log_ca_file": None}, "LIMELIGHT_LOG_CA_FILE"),
    ({"log_sasl_mechanism": None, "log_username": None, "log_password": None}, "_LOG_USERNAME"),
]


@pytest.mark.parametrize(("change", "named"), WRONG)
async def test_what_the_broker_refuses_is_named(
    settings: dict[str, Any], change: dict[str, Any], named: str
) -> None:
    async with opened(settings | change) as log:
        with pytest.raises(LogRefused, match=named) as caught:
            await log.producer()
        assert not await log.healthy()
    assert PASSWORD not in str(caught.value)


async def test_plain_text_where_tls_is_wanted(settings: dict[str, Any]) -> None:
    plain = {"log_url": settings["log_url"].replace("kafka+ssl:", "kafka:"), "log_ca_file": None}
    async with opened(settings | plain) as log:
        with pytest.raises(LogRefused, match=r"kafka\+ssl://"):
            await log.topics()


async def test_a_user_may_be_let_in_later(settings: dict[str, Any], log: Log) -> None:
    topic = unique("secured")
    await log.create_topics([TopicSpec(topic, 1, DAY)])
    async with opened(settings | {"log_password": "roses"}) as other:
        with pytest.raises(LogUnavailable):  # so that a service waits, and loses nothing
            await other.consumer(unique("group"), [topic])
    producer = await log.producer()
    await producer.send([OutRecord(topic, b"k", b"v")])


async def test_a_broker_that_is_away_is_no_fault_of_the_settings(
    settings: dict[str, Any],
) -> None:
    async with opened(settings | {"log_url": f"kafka+ssl://127.0.0.1:{free_port()}"}) as log:
        with pytest.raises(LogUnavailable) as caught:
            await log.producer()
    assert not isinstance(caught.value, LogRefused)


async def test_another_name_and_a_client_certificate(authority: Authority, tmp_path: Path) -> None:
    mine = authority.issue("limelight")
    secured = Secured(authority, names=("127.0.0.1",), certificates=True)
    with KafkaServer.start(tmp_path / "kafka", secured=secured) as server:
        known = {"log_url": server.url, "log_ca_file": authority.file}
        async with opened(known | {"log_url": server.url.replace("127.0.0.1", "localhost")}) as log:
            with pytest.raises(LogRefused, match="issued to in LIMELIGHT_LOG_URL"):
                await log.topics()
        async with opened(known) as log:
            with pytest.raises(LogRefused, match="LOG_CERT_FILE"):
                await log.topics()
        files = {"log_cert_file": mine.chain_file, "log_key_file": mine.key_file}
        async with opened(known | files) as log:
            assert await log.topics() == set()


async def test_a_file_that_is_no_certificate(settings: dict[str, Any], tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no PEM")
    with pytest.raises(BadSettings, match="LIMELIGHT_LOG_CA_FILE"):
        await connect(load(ServiceSettings, **settings | {"log_ca_file": bad}))
    own = {"log_cert_file": bad, "log_key_file": bad}
    with pytest.raises(BadSettings, match="LIMELIGHT_LOG_CERT_FILE"):
        await connect(load(ServiceSettings, **settings | own))


_SERVICE = """
from bus.host import Service, ServiceSpec, main
from runtime.settings import ServiceSettings

async def build(settings, log):
    await log.producer()
    return Service([])

main(ServiceSpec("toy", ServiceSettings, build, (), ()))
"""


async def test_a_service_that_is_not_let_in_says_so_and_ends(settings: dict[str, Any]) -> None:
    changed = settings | {"log_password": "roses"}
    variables = {f"LIMELIGHT_{name.upper()}": str(value) for name, value in changed.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVICE, env=variables, stderr=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[1].decode()
    assert process.returncode == 1
    assert "toy: connect producer: " in said
    assert "LIMELIGHT_LOG_PASSWORD" in said
    assert "Traceback" not in said
    assert "roses" not in said


async def test_topics_are_created_by_the_settings(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"LIMELIGHT_{name.upper()}", str(value))
    assert await asyncio.to_thread(bus_main.main) == 0
    assert "created completion.requested.v1" in capsys.readouterr().out
    monkeypatch.setenv("LIMELIGHT_LOG_PASSWORD", "roses")
    assert await asyncio.to_thread(bus_main.main) == 1
    assert "LIMELIGHT_LOG_PASSWORD" in capsys.readouterr().err
