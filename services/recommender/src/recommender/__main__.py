"""``python -m recommender``: the service as a process of its own."""

from bus.host import main

from recommender.app import SERVICE

if __name__ == "__main__":
    main(SERVICE)
