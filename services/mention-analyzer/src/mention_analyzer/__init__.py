"""Finds brands in what models answer."""
