"""Backends of the transactional store port."""
