"""Names that the shell completes: the corpora, models and bots of the workspace one is in.

Completing must be quick and never fail, so only folders and `pasquin.toml` are looked at, with nothing imported;
without a workspace there is nothing to complete. `--workspace` is not known to a completion: it is for scripts.
"""

from __future__ import annotations

import tomllib
from pathlib import Path


def corpora(incomplete: str) -> list[str]:
    """Complete corpora whose names begin so."""
    return _complete("corpora", incomplete)


def models(incomplete: str) -> list[str]:
    """Complete models whose names begin so."""
    return _complete("models", incomplete)


def models_or_corpora(incomplete: str) -> list[str]:
    """Both, each name once."""
    return sorted({*corpora(incomplete), *models(incomplete)})


def bots(incomplete: str) -> list[str]:
    """Bots of pasquin.toml whose names begin so."""
    root = _workspace()
    if root is None:
        return []
    try:
        tables = tomllib.loads((root / "pasquin.toml").read_text(encoding="utf-8")).get("bots", {})
    except (OSError, ValueError):
        return []
    return sorted(name for name in tables if name.startswith(incomplete)) if isinstance(tables, dict) else []


def _complete(kind: str, incomplete: str) -> list[str]:
    root = _workspace()
    manifests = root.glob(f"{kind}/*/manifest.json") if root else ()
    return sorted(path.parent.name for path in manifests if path.parent.name.startswith(incomplete))


def _workspace() -> Path | None:
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "pasquin.toml").is_file()), None)
