"""One module a figure, each with a ``FIGURE``; the registry finds them."""
