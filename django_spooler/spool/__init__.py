"""The spool directory: files, their names and states, and the processes that serve them."""
