"""The documentation is run: its examples, its links, its generated pages, its map of theorems."""
