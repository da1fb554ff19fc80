"""Runs trials: Ray, workers, placement, lost workers."""
