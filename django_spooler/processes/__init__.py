"""The processes that run tasks: who starts them, looks after them, and takes up what a dead one left."""
