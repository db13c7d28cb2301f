"""What a browser would make of a page."""

from __future__ import annotations

from html.parser import HTMLParser

KNOWN_SCRIPTS = 3
"""A page's own, at most: its data, and what draws them."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.scripts = 0
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.scripts += tag == "script"
        if tag in ("iframe", "object", "embed", "base", "link", "img", "form"):
            self.bad.append(f"an element {tag}")
        for name, value in attrs:
            if name.startswith("on"):
                self.bad.append(f"an event handler {name}")
            address = "".join(c for c in value or "" if ord(c) > 32)
            if name in ("href", "src", "xlink:href") and address.lower().startswith(
                ("javascript:", "http", "data:text")
            ):
                self.bad.append(f"{name} = {value!r}")


def new_markup(page: str, scripts: int = KNOWN_SCRIPTS) -> str:
    """What is in a page that nobody wrote there on purpose; empty if nothing is."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    if reader.scripts > scripts:
        reader.bad.append(f"{reader.scripts} scripts, not {scripts} at most")
    return ", ".join(sorted(set(reader.bad)))


def tags(text: str) -> set[str]:
    """Elements that a text makes, when it is read as HTML."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.tags
