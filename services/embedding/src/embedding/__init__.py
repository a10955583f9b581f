"""Keeps conversations raw, places people by what they say, and finds who is near to whom."""
