"""Calls, claims and how calls fail. Standard library only."""
