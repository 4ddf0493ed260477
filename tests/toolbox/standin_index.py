"""A package index in a folder: stand-ins for what is heavy; what installs and builds is real, and packed again."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

TAG = "py3-none-any"


class Index:
    """PEP 503 in files; `url` is what an installer is given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def url(self) -> str:
        return self._folder.as_uri()

    def add(self, name: str, version: str, *, requires: Sequence[str] = (), files: Mapping[str, bytes]) -> None:
        """A wheel that holds `files` and asks for `requires`."""
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        about += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        self._write(name, version, {**files, f"{_info(name, version)}/METADATA": about.encode()})

    def add_installed(self, name: str) -> None:
        """The package as it is installed here, its programs included."""
        found = distribution(name)
        version, info = found.version, _info(name, found.version)
        files, made_anew = {}, {point.name for point in found.entry_points}
        for path in found.files or ():
            inside = str(path)
            if inside.startswith("../../../bin/") and path.name not in made_anew:
                inside = f"{info.removesuffix('.dist-info')}.data/scripts/{path.name}"
            if _is_its_own(found, inside):
                files[inside] = Path(path.locate()).read_bytes()
        self._write(name, version, files)

    def _write(self, name: str, version: str, files: Mapping[str, bytes]) -> None:
        info = _info(name, version)
        content = {**files, f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {TAG}\n".encode()}
        rows = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in content.items()]
        content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
        place = self._folder / name
        place.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(place / f"{info.removesuffix('.dist-info')}-{TAG}.whl", "w") as wheel:
            for path, data in content.items():
                wheel.writestr(_entry(path), data)
        links = "".join(f'<a href="{file.name}">{file.name}</a>\n' for file in sorted(place.glob("*.whl")))
        (place / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{links}</body></html>\n")


def _info(name: str, version: str) -> str:
    return f"{name.replace('-', '_')}-{version}.dist-info"


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _entry(path: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path)
    entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
    return entry


def _is_its_own(found: Distribution, path: str) -> bool:
    """What the wheel brought, and not what the installer wrote."""
    made_here = (
        "/RECORD",
        "/WHEEL",
        "/INSTALLER",
        "/REQUESTED",
        "/direct_url.json",
        "/uv_cache.json",
        "/uv_build.json",
    )
    return ".." not in path and not path.endswith((".pyc", *made_here))
