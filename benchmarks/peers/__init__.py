"""One module per peer, imported by its producers and its workers: its task, and ``enqueue``."""
