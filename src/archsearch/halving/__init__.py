"""Asynchronous successive halving (ASHA), stopping variant, as pure functions; and its arms."""
