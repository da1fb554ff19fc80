"""Searches: what is drawn and trained, on Ray; Optuna proposes, the record remembers."""
