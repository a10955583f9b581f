"""Which pages an answer refers to, and what that is worth."""
