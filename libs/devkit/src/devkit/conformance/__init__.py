"""Suites that every implementation of a port has to pass; for tests only, they need pytest."""

from __future__ import annotations

import pytest

# These are no test modules by name, so plain asserts would fail without showing the values.
pytest.register_assert_rewrite(
    "devkit.conformance.log",
    "devkit.conformance.log_groups",
    "devkit.conformance.log_offsets",
    "devkit.conformance.log_records",
    "devkit.conformance.polling",
)
