"""``python -m gateway``: the service as a process of its own."""

from bus.host import main

from gateway.app import SERVICE

if __name__ == "__main__":
    main(SERVICE)
