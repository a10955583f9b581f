"""Tenants, keys, visibility runs and their reports. Standard library only."""

NAME = "gateway"
