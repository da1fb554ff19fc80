"""One search from its request to its result."""
