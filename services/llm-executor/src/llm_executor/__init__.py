"""The only holder of provider keys: calls models durably."""
