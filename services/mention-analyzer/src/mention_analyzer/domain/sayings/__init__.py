"""What a text says of the brands that it names."""
