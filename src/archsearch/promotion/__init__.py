"""A candidate against the champion, with evidence."""
