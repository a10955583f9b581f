"""``python -m allinone``: the same as ``limelight``."""

from allinone.cli import app

if __name__ == "__main__":
    app()
