"""Which campaigns a user should see, and why: pure rules over what is known."""
