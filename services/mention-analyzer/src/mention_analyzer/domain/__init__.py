"""What a mention is and how it is found. Standard library only."""
