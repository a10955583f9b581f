"""How good recommendations are, offline, through the code that makes them in production."""
