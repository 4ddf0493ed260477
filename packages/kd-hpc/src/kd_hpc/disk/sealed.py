"""Files that carry a digest of themselves, so that no flipped bit in them is ever believed: JSON, zip archives, TOML.

A JSON object has its digest under `checksum`, over its canonical form. A zip archive (weights, checkpoints, arrays) has
it in the archive's comment, where every reader of zip files passes it over, and it covers all bytes before that: the
checksums inside an archive cover its members, not the tables that say where they are. A TOML file has it in a last
line of comment. Files of earlier versions carry none; of those an archive's own checksums are looked at.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from kd_hpc.disk.files import MOST_BYTES, MOST_TEXT, NOT_OURS, read_regular
from kd_hpc.errors import Damaged

CHECKSUM = "checksum"
_MARK = b"kd sha256 "
_SEAL_BYTES = len(_MARK) + 64
_TOML_MARK = b"# " + _MARK
_END, _END_BYTES, _EMPTY_COMMENT = b"PK\5\6", 22, b"\0\0"
"""An archive without a comment ends in a record of so many bytes, which begins and ends like this."""


def seal_object(content: dict[str, Any]) -> dict[str, Any]:
    """`content`, which is JSON, with its digest."""
    return {**content, CHECKSUM: _digest_of(content)}


def require_object(content: dict[str, Any]) -> None:
    """Raise Damaged if `content` carries a digest that is not its own."""
    if content.get(CHECKSUM, "") not in ("", _digest_of(content)):
        raise Damaged("it is damaged: its checksum is another")


def object_bytes(content: dict[str, Any]) -> bytes:
    """What a file holds of `content`, which is JSON."""
    return json.dumps(seal_object(content)).encode()


def read_object(path: Path, most: int = MOST_TEXT) -> dict[str, Any]:
    """The JSON object in the file `path`, as it was written. Raises Damaged, and OSError where it cannot be read."""
    return parse_object(_content(path, most))


def parse_object(content: bytes) -> dict[str, Any]:
    """The same of bytes that were read already."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"it is damaged: it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise Damaged("it is damaged: it is no JSON object")
    require_object(found)
    return found


def known_object(path: Path) -> dict[str, Any]:
    """The same of a file that may be lost: what is not there, or not whole, says nothing."""
    with contextlib.suppress(OSError, Damaged):
        return read_object(path)
    return {}


def read_archive(path: Path) -> bytes:
    """The zip archive `path`, as it was written. Raises Damaged, and OSError where it cannot be read."""
    content = _content(path, MOST_BYTES)
    require_archive(content)
    return content


def _content(path: Path, most: int) -> bytes:
    try:
        return read_regular(path, most)
    except OSError as error:
        if error.errno in NOT_OURS:
            raise Damaged(f"it is damaged: {error.strerror}") from None
        raise


def seal_toml(content: bytes) -> bytes:
    """The TOML text `content` with its digest in a line of comment."""
    body = content.partition(_TOML_MARK)[0].rstrip(b"\n") + b"\n"
    return body + _TOML_MARK + hashlib.sha256(body).hexdigest().encode() + b"\n"


def require_toml(content: bytes) -> None:
    """Raise Damaged if `content` is not what `seal_toml` made; earlier versions wrote no such line."""
    body, mark, digest = content.rpartition(_TOML_MARK)
    if mark and digest.strip() != hashlib.sha256(body).hexdigest().encode():
        raise Damaged("it is damaged: its digest is another")


def _digest_of(content: dict[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != CHECKSUM}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def seal_archive(content: bytes) -> bytes:
    """The zip archive `content`, which has no comment yet, with its digest as its comment."""
    assert _has_no_comment(content), "nobody else has written a comment"
    body = content[: -len(_EMPTY_COMMENT)] + _SEAL_BYTES.to_bytes(2, "little")
    return body + _MARK + hashlib.sha256(body).hexdigest().encode()


def is_sealed(content: bytes) -> bool:
    """True if the archive says that it carries its digest."""
    return content[-_SEAL_BYTES:].startswith(_MARK)


def require_archive(content: bytes) -> None:
    """Raise Damaged unless `content` is a whole zip archive: by its digest, or by the checksums inside."""
    if is_sealed(content):
        body, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
        if seal != _MARK + hashlib.sha256(body).hexdigest().encode():
            raise Damaged("it is damaged: its digest is another")
        return
    if not _has_no_comment(content):
        raise Damaged("it is damaged: it does not end as a zip archive does")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise Damaged(f"it is damaged: it is no zip archive ({error})") from None
    if damaged is not None:
        raise Damaged(f"it is damaged: {damaged} fails its checksum")


def seal_bytes(content: bytes) -> bytes:
    """`content` of any kind behind its digest, for a file that nobody else reads."""
    return _MARK + hashlib.sha256(content).hexdigest().encode() + content


def read_bytes(path: Path) -> bytes:
    """The content that `seal_bytes` sealed. Raises Damaged, and OSError where it cannot be read."""
    found = _content(path, MOST_BYTES)
    content = found[_SEAL_BYTES:]
    if found != seal_bytes(content):
        raise Damaged("it is damaged: its digest is another")
    return content


def _has_no_comment(content: bytes) -> bool:
    return content[-_END_BYTES:].startswith(_END) and content.endswith(_EMPTY_COMMENT)
