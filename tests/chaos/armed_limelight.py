"""The ``limelight`` command with failpoints armed from the environment."""

from __future__ import annotations

from allinone.cli import app
from devkit.failpoints import arm_from_environment

if __name__ == "__main__":
    arm_from_environment()
    app()
