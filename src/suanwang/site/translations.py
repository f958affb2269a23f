"""Compiling the console's catalogues with Babel, for machines without ``msgfmt``."""

from __future__ import annotations

from pathlib import Path

LOCALE = Path(__file__).resolve().parents[1] / "console" / "locale"


def compile_stale(folder: Path = LOCALE) -> list[Path]:
    """Compile every catalogue whose source is newer than its result; returns what it wrote."""
    written = []
    for source in sorted(folder.glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        _compile(source, target)
        written.append(target)
    return written


def _compile(source: Path, target: Path) -> None:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with source.open("rb") as file:
        catalogue = read_po(file, locale=source.parents[1].name)
    part = target.with_suffix(".mo.part")
    with part.open("wb") as file:
        write_mo(file, catalogue)
    part.rename(target)


if __name__ == "__main__":
    compile_stale()
