"""Decides: the next trial, whether one goes on or stops, and what was learnt."""
