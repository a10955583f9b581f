"""One function per command: key, state and outbox in one transaction (R1 of delivery)."""
