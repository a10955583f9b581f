"""``python -m mention_analyzer``: the service as a process of its own."""

from bus.host import main

from mention_analyzer.app import SERVICE

if __name__ == "__main__":
    main(SERVICE)
