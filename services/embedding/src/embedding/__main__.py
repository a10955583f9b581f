"""``python -m embedding``: the service as a process of its own; ``reembed``: all vectors anew."""

import sys

from bus.host import main

from embedding.app import SERVICE, reembed_main

if __name__ == "__main__":
    if sys.argv[1:] == ["reembed"]:
        reembed_main()
    else:
        main(SERVICE)
