"""HTML as nested calls: whatever text goes in is escaped, so that no name or message can become markup."""

from __future__ import annotations

from typing import Self

from kd_hpc.screen.escapes import markup

VOID = frozenset(("meta", "input", "br"))


class Markup(str):
    """Text that is HTML already."""

    def __add__(self, other: str) -> Self:
        return type(self)(str(self) + str(text(other)))


def text(content: object) -> Markup:
    """`content` as HTML: markup as it is, everything else escaped."""
    return content if isinstance(content, Markup) else Markup(markup(str(content)))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element. Attributes of None or False are left away, True gives a bare one; `class_` and `for_` lose their _,
    other underscores become hyphens.
    """
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if name in VOID:
        return Markup(opening)
    return Markup(f"{opening}{join(children)}</{name}>")


def join(children: object, between: str = "") -> Markup:
    """All of an iterable's parts, one after the other."""
    parts = children if isinstance(children, list | tuple) else list(children)  # type: ignore[call-overload]
    return Markup(between.join(text(part) for part in parts if part is not None))


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{markup(str(value))}"'
