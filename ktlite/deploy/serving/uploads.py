"""Files that a browser or `curl -F` sends: `multipart/form-data` (RFC 7578)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email.message import Message
from typing import Any, NamedTuple

from fastapi import HTTPException

FORM = "multipart/form-data"
_CRLF = b"\r\n"
_MOST_HEADERS = 4_096  # bytes of a part's


class Part(NamedTuple):
    """A part of a form.

    Args:
        name: Of the field.
        file: Of the file; None: it is a value.
        content: The bytes.
    """

    name: str
    file: str | None
    content: bytes


def parts_of_form(body: bytes, content_type: str) -> Iterator[Part]:
    """Yields the parts of a form in their order.

    Args:
        body: Of the request.
        content_type: The header, which says what stands between the parts.

    Raises:
        HTTPException: 400 where the body is no such form.
    """
    boundary = _header(content_type).get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise HTTPException(400, f"{FORM} without a boundary in the header Content-Type.")
    # A delimiter begins a line; the first one may begin the body.
    _, *parts = (_CRLF + body).split(_CRLF + b"--" + boundary.encode("latin-1", "replace"))
    if not parts or not parts[-1].startswith(b"--"):
        raise HTTPException(400, f"the form is cut off: its last line is not --{boundary:.40}--.")
    for part in parts[:-1]:
        head, blank, content = part.partition(_CRLF + _CRLF)
        if not blank or len(head) > _MOST_HEADERS:
            raise HTTPException(400, "a part of the form has no end of its headers.")
        yield Part(*_named(head), content)


def fields_of_form(body: bytes, content_type: str, noun: str, field: str) -> dict[str, Any]:
    """Returns what a form gives, as JSON would: examples as bytes, options as values.

    Args:
        body: Of the request.
        content_type: The header.
        noun: What an example is called: files of this name are single ones, of its plural one or
            many.
        field: What examples are called in JSON.

    Raises:
        HTTPException: 400 where it is no form, 422 where files are called otherwise.
    """
    one, many = [], []
    fields: dict[str, Any] = {}
    for part in parts_of_form(body, content_type):
        if part.name == noun:
            one.append(part.content)
        elif part.name == f"{noun}s":
            many.append(part.content)
        elif part.file is not None:
            raise HTTPException(
                422, f"a file is called {part.name!r:.60}; expected {noun}, or {noun}s for several."
            )
        else:
            fields[part.name] = _value(part.content)
    if len(one) > 1 or (one and many):
        raise HTTPException(422, f"send one file as {noun}, or all of them as {noun}s.")
    if one or many:
        fields[field] = one[0] if one else many
    return fields


def _header(value: str) -> Message:
    message = Message()
    message["content-type"] = value
    return message


def _named(head: bytes) -> tuple[str, str | None]:
    """Returns the names of the field and of the file, by a part's headers."""
    for line in head.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            found = _header(value.strip())
            field, file = (found.get_param(key, None) for key in ("name", "filename"))
            if isinstance(field, str):
                return field, None if file is None else str(file)
    raise HTTPException(400, "a part of the form has no name.")


def _value(content: bytes) -> Any:
    """Returns a number, true, false or null as itself; anything else is a string."""
    text = content.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # of too many brackets
        return text
