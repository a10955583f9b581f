"""Where the recommender keeps what it knows."""
