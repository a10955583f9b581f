"""At-least-once delivery over a log: inbox, outbox, relay, retry and dead letters."""
