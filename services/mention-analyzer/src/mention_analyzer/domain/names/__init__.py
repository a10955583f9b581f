"""Finding the names of brands in a text."""
