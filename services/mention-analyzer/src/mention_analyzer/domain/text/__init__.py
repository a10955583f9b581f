"""How an answer is laid out."""
