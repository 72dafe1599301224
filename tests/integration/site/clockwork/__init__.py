"""An app with periodic jobs."""
