"""Fixtures for the tests of all packages."""

pytest_plugins = ("devkit.pytest_stores",)
