"""One module an exhibit, each with a ``FIGURE``; the registry finds them."""
