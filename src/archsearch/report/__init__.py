"""The report of a search: page, figures, tables."""
