"""An answer without any header, the tenant in the body: pip install aiokafka."""

import asyncio
import json
import os
import sys
from uuid import uuid4

from aiokafka import AIOKafkaProducer


async def main() -> None:
    """Send one and wait until the broker has it."""
    answer = {
        "answer_id": str(uuid4()),  # sent again with the same id, it counts once
        "tenant_id": os.environ["TENANT"],
        "prompt": "Which note app?",
        "surface": "app",
        "model": "Some Assistant",
        "text": sys.argv[1],
        "captured_at": "2026-11-20T09:00:00Z",
    }
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA"], acks="all", enable_idempotence=True
    )
    await producer.start()
    try:
        await producer.send_and_wait(
            "answer.captured.v1",
            key=answer["answer_id"].encode(),
            value=json.dumps(answer).encode(),
        )
    finally:
        await producer.stop()


asyncio.run(main())
