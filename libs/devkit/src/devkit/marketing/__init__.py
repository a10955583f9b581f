"""Invented people who talk to an invented shop: for demos, tests and measurements."""

from __future__ import annotations

from devkit.marketing.people import Person, Sample, sample
from devkit.marketing.shop import CAMPAIGNS, WANTS

__all__ = ["CAMPAIGNS", "WANTS", "Person", "Sample", "sample"]
