"""The lake on MongoDB."""

from __future__ import annotations

from embedding.adapters.mongo.lake import MongoLake

__all__ = ["MongoLake"]
