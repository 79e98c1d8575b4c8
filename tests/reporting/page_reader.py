"""What a browser would make of a page, and text that tries to be more than text."""

from __future__ import annotations

from html.parser import HTMLParser

from executor.reporting.text import visible

HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b]0;owned\x07\x1b[2J\r\b\u202e\u2066|`a` ```\n"
    "```\n# heading\n[x](javascript:alert(3)) ![y](https://evil.test/p.png) </pre></svg></style>&lt;\ud800\n--- | ---\n"
)


class Reader(HTMLParser):
    """What a browser's parser would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag and its attributes."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text.append(data)


TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "code", "pre", "br", "table", "tr", "td", "th",
    "svg", "text", "line", "polyline", "circle", "rect",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "xmlns", "viewbox", "role", "aria-label", "x", "y",
    "x1", "y1", "x2", "y2", "points", "text-anchor", "cx", "cy", "r", "width", "height",
}  # fmt: skip


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def check_page(page: str) -> Reader:
    reader = read(page)
    assert reader.tags <= TAGS
    assert reader.attributes <= ATTRIBUTES
    assert not [value for value in reader.values if "javascript:" in value or "evil" in value]
    assert visible(page) == page
    return reader
