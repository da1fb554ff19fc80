"""Search spaces: what may be tried, and the description of one thing that is."""
