"""Whole searches in seconds: the real decisions on learning curves that nobody has to train."""
