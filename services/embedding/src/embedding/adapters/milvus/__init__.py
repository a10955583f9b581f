"""The vector index on Milvus: a server, or Milvus Lite in a file."""

from __future__ import annotations

from embedding.adapters.milvus.index import MilvusVectorIndex

__all__ = ["MilvusVectorIndex"]
