"""Making calls: models in turn, attempts with back-off, lanes, prices, pieces of answers."""
