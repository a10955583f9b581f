"""The rules of the graph, without any database."""
