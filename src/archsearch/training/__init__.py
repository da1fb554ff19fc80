"""Training of one trial. `result` and `checkpoint_file` import no torch; the rest does."""
