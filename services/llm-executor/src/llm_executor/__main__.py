"""``python -m llm_executor``: the service as a process of its own."""

from bus.host import main

from llm_executor.app import SERVICE

if __name__ == "__main__":
    main(SERVICE)
