"""Where the tokens of a sequence lie among the ids that a network reads.

A sequence holds only what is drawn: the codes of an image, or the tokens of a text. Ids that a layout fixes (start of
image, its size, ends of rows) are put in by the adapter and are no tokens, so that no position is spent on a law that
is a point mass. A row end after every second token::

    prompt        before   tokens and row ends      after
    p p p p p p   s        x0 x1 e x2 x3 e          t
                  |         |  |    |
    law of        x0        x1 .    x3              the law of x2 is read where e is

What comes after the last token has no influence on any law.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scd_analysis.errors import InputError
from scd_analysis.validate import check_at_least, check_between, check_known


@dataclass(frozen=True)
class Layout:
    """How a sequence becomes ids.

    Attributes
    ----------
    token_ids : sequence of int
        Id of each token value; its length is V.
    num_tokens : int
        N.
    before : tuple of int
        Ids between the prompt and the first token, in the negative prompt too.
    row_end : int or None
        Id after each row of the grid.
    after : tuple of int
        Ids after the last token.
    grid : tuple of int or None
        (height, width) of an image.
    end : int or None
        Token value after which every token is the same value, as ``generate`` pads a finished text.
    separate : bool
        Whether the network holds image codes apart from its vocabulary, with embeddings and a head of their own.
    """

    token_ids: tuple[int, ...] | range
    num_tokens: int
    before: tuple[int, ...] = ()
    row_end: int | None = None
    after: tuple[int, ...] = ()
    grid: tuple[int, int] | None = None
    end: int | None = None
    separate: bool = False

    def __post_init__(self) -> None:
        check_at_least(len(self.token_ids), 1, "len(token_ids)")
        check_at_least(self.num_tokens, 1, "num_tokens")
        if self.grid is not None and self.grid[0] * self.grid[1] != self.num_tokens:
            raise InputError(f"grid = {self.grid}: does not hold {self.num_tokens} tokens")
        if self.row_end is not None and self.grid is None:
            raise InputError(f"row_end = {self.row_end}: needs a grid")
        if self.end is not None:
            check_between(self.end, 0, len(self.token_ids) - 1, "end")

    def body(self) -> list[int]:
        """Ids after the prompt and ``before``, up to the last row end; -1 where a token lies."""
        if self.row_end is None or self.grid is None:
            return [-1] * self.num_tokens
        height, width = self.grid
        return ([-1] * width + [self.row_end]) * height


def text(config: Any, *, num_tokens: int, end_id: int | None = None) -> Layout:
    """Free text: every id of the vocabulary is a token value."""
    return Layout(range(config.get_text_config().vocab_size), num_tokens, end=end_id)


def _vocabulary(config: Any) -> Mapping[str, int]:
    words: Mapping[str, int] | None = getattr(config, "vocabulary_map", None)
    if not words:
        raise InputError("config.vocabulary_map is empty: the layout needs the names of the image tokens")
    return words


def _chameleon_codes(config: Any) -> tuple[int, ...]:
    """Ids in the order of the codebook, whose entry 27 is named ``IMGIMGCHZ``."""
    digits = str.maketrans("ABCDEFGHIJ", "0123456789")
    words = {name: i for name, i in _vocabulary(config).items() if name.startswith("IMGIMG")}
    codes = {int(name[len("IMGIMG") : -1].translate(digits)): i for name, i in words.items()}
    return tuple(codes[code] for code in sorted(codes))


def anole(config: Any, *, height: int = 32, width: int = 32) -> Layout:
    """Chameleon and Anole: a start of image, a raster without row ends, an end of image."""
    words = _vocabulary(config)
    start, end = words["<racm3:break>"], words["<eoss>"]
    return Layout(_chameleon_codes(config), height * width, (start,), None, (end,), (height, width))


def lumina_mgpt(config: Any, *, height: int = 48, width: int = 48) -> Layout:
    """Lumina-mGPT: start of image, height and width in units of two tokens, rows each with its end, end of image."""
    words = _vocabulary(config)
    if height % 2 or width % 2:
        raise InputError(f"height, width = {height}, {width}: Lumina-mGPT counts in units of two tokens")
    sizes = tuple(words[f"<reserved{8800 + side // 2:05d}>"] for side in (height, width))
    start, row_end, end = words["<racm3:break>"], words["<reserved08799>"], words["<eoss>"]
    return Layout(_chameleon_codes(config), height * width, (start, *sizes), row_end, (end,), (height, width))


def janus(config: Any, *, height: int | None = None, width: int | None = None) -> Layout:
    """Janus: a raster of codes with embeddings and a head of their own; the prompt ends with the start of image."""
    side = int(config.vision_config.image_size) // int(config.vision_config.patch_size)
    height, width = height or side, width or side
    return Layout(range(config.vq_config.num_embeddings), height * width, grid=(height, width), separate=True)


def emu3(config: Any, *, height: int = 90, width: int = 90) -> Layout:
    """Emu3: rows each with its end; the prompt ends with ``<|image start|>90*90<|image token|>``."""
    words = _vocabulary(config)
    names = sorted(name for name in words if name.startswith("<|visual token"))
    after = tuple(words[name] for name in ("<|extra_201|>", "<|image end|>") if name in words)
    codes = tuple(words[name] for name in names)
    return Layout(codes, height * width, (), words["<|extra_200|>"], after, (height, width))


LAYOUTS: dict[str, Callable[..., Layout]] = {
    "text": text,
    "anole": anole,
    "lumina-mgpt": lumina_mgpt,
    "janus": janus,
    "emu3": emu3,
}
"""Layouts by name; each is called with the network's configuration."""


def get_layout(name: str | Layout | None, config: Any, **sizes: Any) -> Layout:
    """A layout by name, or the one that the kind of network implies.

    Raises
    ------
    UnknownNameError
        Listing the names.
    InputError
        Where the kind of network leaves it open, or the sizes are not those of the layout.
    """
    if isinstance(name, Layout):
        return name
    if name is None:
        kind = str(config.model_type)
        if kind == "chameleon":
            raise InputError("layout = None: a Chameleon has layout 'anole', 'lumina-mgpt' or 'text'")
        name = kind if kind in ("janus", "emu3") else "text"
    check_known(name, LAYOUTS, "layout")
    given = {key: value for key, value in sizes.items() if value is not None}
    if name == "text":
        if "num_tokens" not in given:
            raise InputError("num_tokens = None: how many tokens of text?")
    elif "num_tokens" in given:
        raise InputError(f"num_tokens = {given['num_tokens']}: an image has height * width tokens")
    try:
        return LAYOUTS[name](config, **given)
    except TypeError as error:
        raise InputError(f"layout = {name!r}: {error}") from None
