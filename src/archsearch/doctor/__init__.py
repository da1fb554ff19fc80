"""Whether this machine is fit for searches."""
