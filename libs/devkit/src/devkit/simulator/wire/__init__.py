"""The wire formats: reading the requests of each API and writing its answers."""
