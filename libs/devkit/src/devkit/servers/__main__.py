"""Fetches and builds all local servers into the cache, so that no test has to wait for that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from devkit.servers.ferretdb import ferretdb_binary
from devkit.servers.kafka import kafka_jars
from devkit.servers.kafka_connect import connect_jars
from devkit.servers.neo4j import neo4j_jars

FETCHED = (ferretdb_binary, kafka_jars, connect_jars, neo4j_jars)


def main() -> None:
    """Tell what cannot be had; the tests of that are skipped, and say so too."""
    with ThreadPoolExecutor(len(FETCHED)) as threads:
        fetching = [threads.submit(fetch) for fetch in FETCHED]
    for one in fetching:
        if (error := one.exception()) is not None:
            print(f"Not to be had here: {error}")


if __name__ == "__main__":
    main()
