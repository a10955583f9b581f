"""``python -m graph_loader``: the service as a process of its own."""

from bus.host import main

from graph_loader.app import SERVICE

if __name__ == "__main__":
    main(SERVICE)
