"""JSON values made from JSON Schemas: what structured answers and tool arguments consist of.

Standard library only, and on purpose no validator: tests judge the results with a real one.
"""

from __future__ import annotations

from devkit.simulator.schemas.breaking import broken
from devkit.simulator.schemas.conform import SchemaError, violation
from devkit.simulator.schemas.generate import Facts, generate

__all__ = ["Facts", "SchemaError", "broken", "generate", "violation"]
