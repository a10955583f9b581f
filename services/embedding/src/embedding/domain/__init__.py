"""What people say as vectors: kept raw, added up per user, compared."""

SERVICE = "embedding"
