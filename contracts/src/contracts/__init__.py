"""The events and topics that Limelight services exchange. Depends on pydantic only."""
