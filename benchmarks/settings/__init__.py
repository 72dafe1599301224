"""One module of settings for each peer that is a Django app."""
