"""One module per technology behind the port of the domain."""
