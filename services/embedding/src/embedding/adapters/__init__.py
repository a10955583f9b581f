"""One module per technology behind the ports of the domain."""
