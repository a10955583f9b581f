"""Calls, lanes, prices and how calls fail. Standard library only."""

SERVICE = "llm-executor"
