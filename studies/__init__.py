"""One question a file: what it asks, runs and stores."""
