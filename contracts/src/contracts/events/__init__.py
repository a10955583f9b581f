"""Event models by domain. Within a major version a model only ever gains optional fields."""
