"""Ranks the campaigns that each user should see next."""
