"""One graph of people, campaigns and brands, and which campaigns are near whom in it."""
