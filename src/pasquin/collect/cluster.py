"""Collecting on a Ray cluster: the nodes read accounts, and this process stores what they read.

Pages come here, and one process writes them, with the cursor after each, as without a cluster. All nodes ask one desk
on the head for their turns, so a host, and an account at it, is asked just as often as by one machine; what it said to
wait for holds for all of them. What a node had not handed over when it died is read by another, from the last stored
cursor.

Files are read here, and so is what costs money: the purse of a run is in one process. Nodes keep no answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final
from uuid import uuid4

from pasquin import __version__, networks
from pasquin.collect.wanted import Wanted
from pasquin.config import CollectSettings
from pasquin.errors import NetworkError, ResourceError
from pasquin.networks import HasNotes, HasPurse, HasRules, Page, Rules, Source
from pasquin.networks.transport import open_budgets, shared, take_turns_from
from pasquin.workers.cluster import cause_of, check_version, nodes_with_cores, open_cluster

_LOST_WITH: Final = 3
"""Nodes that may be lost while they read a source; it is passed over then."""
_LOOK_SECONDS: Final = 0.2
"""How soon a thread that waits for a page notices Ctrl-C."""
_WAITING: Final = "waiting"
"""The threads of the desk in which readers wait for a host; what ends a turn never waits behind them."""
_MOST_WAITING: Final = 256
_SHORT_CALLS: Final = 8


class NodeLost(Exception):  # noqa: N818 - it is no failure of ours
    """The node that was reading is gone."""


@contextmanager
def open_nodes(on: str, settings: CollectSettings) -> Iterator[ReadingNodes]:
    """The nodes of the Ray cluster `on` (as `workers.open_workers` takes it) as readers, until the block ends.

    Raises ResourceError when Ray is not installed or does not answer, or a node has another version of Pasquin.
    """
    with open_cluster(on):
        nodes = ReadingNodes(settings)
        try:
            yield nodes
        finally:
            nodes.close()


class ReadingNodes:
    """A reader on each node of the cluster that this process is connected to, and one desk for all."""

    def __init__(self, settings: CollectSettings) -> None:
        """`settings.workers` sources are read at a time on each node."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._settings = ray, settings
        self._on_node = partial(NodeAffinitySchedulingStrategy, soft=False)
        self.transport = shared(settings)
        head = next(node["NodeID"] for node in ray.nodes() if "node:__internal_head__" in node["Resources"])
        groups = {_WAITING: _MOST_WAITING}
        desk = ray.remote(num_cpus=0, max_concurrency=_SHORT_CALLS, concurrency_groups=groups)(Desk)
        self._desk = desk.options(scheduling_strategy=self._on_node(head)).remote(settings, __version__)
        self._readers: dict[str, _Node] = {}
        self._sources: dict[str, NodeSource] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._pass_on, name="collect-sayings", daemon=True).start()

    @property
    def at_once(self) -> int:
        """How many sources are read at a time by all nodes."""
        return self._settings.workers * max(1, len(self._readers))

    def _find(self) -> None:
        """Start a reader on each node that has none: at the beginning, and where nodes joined since."""
        made = self._ray.remote(_Reading)
        for name in nodes_with_cores(self._ray):
            with self._lock:
                if name in self._readers:
                    continue
            options = made.options(
                num_cpus=0, max_concurrency=self._settings.workers + 2, scheduling_strategy=self._on_node(name)
            )
            node = _Node(name, options.remote(self._settings, name, self._desk))
            try:
                self._ray.get(node.actor.ready.remote(__version__))
            except self._ray.exceptions.RayTaskError as exc:
                raise cause_of(exc) from None
            except self._ray.exceptions.RayError:  # it is gone already
                continue
            with self._lock:
                self._readers[name] = node

    def over(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """`wanted`, with sources that are read by the nodes that are there now, where that is possible.

        Raises ResourceError when a node has another version of Pasquin.
        """
        self._find()
        for one in wanted:
            if not one.source.reads_files and not isinstance(one.source, HasPurse):
                one.source = self._sources.setdefault(one.network, NodeSource(self, one.network, one.source))
        return list(wanted)

    def pages(self, network: str, account: str, since: str | None, heard: Callable[[_Answer], None]) -> Iterator[Page]:
        """The pages that the least busy node reads; `heard` is called with each answer.

        Raises NodeLost when it is gone, what the source raises, and Interrupted when collecting is stopped.
        """
        with self._busy() as node:
            reading = uuid4().hex
            answer = node.actor.begin.remote(reading, network, account, since)
            try:
                while True:
                    found = self._wait(answer)
                    heard(found)
                    if found.page is None:
                        return
                    answer = node.actor.following.remote(reading)
                    yield found.page
            except self._ray.exceptions.RayTaskError as exc:
                cause = cause_of(exc)
                raise (_headless() if isinstance(cause, self._ray.exceptions.RayError) else cause) from None
            except self._ray.exceptions.RayError as exc:
                self._lose(node)
                raise NodeLost from exc
            finally:
                node.actor.end.remote(reading)

    @contextmanager
    def _busy(self) -> Iterator[_Node]:
        with self._lock:
            if not self._readers:
                raise ResourceError(
                    "All nodes of the Ray cluster that were reading are gone. What was collected is kept; run the same "
                    "command again when there is a node."
                )
            node = min(self._readers.values(), key=lambda node: node.busy)
            node.busy += 1
        try:
            yield node
        finally:
            with self._lock:
                node.busy -= 1

    def _wait(self, answer: Any) -> _Answer:
        while True:
            done, _ = self._ray.wait([answer], timeout=_LOOK_SECONDS)
            self.transport.pause(0)  # Ctrl-C
            if done:
                found: _Answer = self._ray.get(answer)
                return found

    def _lose(self, node: _Node) -> None:
        """Take a node that is gone off the list, and give back the turns that it had."""
        with self._lock:
            lost = self._readers.pop(node.name, None)
        if lost is not None:
            try:
                self._ray.get(self._desk.drop.remote(node.name))
            except self._ray.exceptions.RayError as exc:
                raise _headless() from exc

    def _pass_on(self) -> None:
        """Say here what the desk has to say, until the end."""
        with suppress(self._ray.exceptions.RayError):  # the end came first
            while not self._closed.is_set():
                for text in self._ray.get(self._desk.heard.remote(1.0)):
                    self.transport.say(text)

    def close(self) -> None:
        """End the readers and the desk."""
        self._closed.set()
        for actor in (*(node.actor for node in self._readers.values()), self._desk):
            self._ray.kill(actor)


class NodeSource:
    """A network as its `Source`, read by nodes."""

    reads_files = False

    def __init__(self, nodes: ReadingNodes, network: str, here: Source) -> None:
        """`here` is the source in this process: it reads what is a file of this machine."""
        self._nodes, self._network, self._here = nodes, network, here
        self._rules: dict[tuple[str, str], Rules] = {}
        self._notes: dict[str, bool] = {}
        """What there is to say, and whether it was said."""

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        """As the network's own; a page may come twice when a node was lost."""
        if _is_file(account):
            yield from self._here.posts(account, since)
            return
        for _ in range(_LOST_WITH):
            with suppress(NodeLost):
                for page in self._nodes.pages(self._network, account, since, self._heard):
                    yield page
                    since = page.cursor if page.cursor is not None else since
                return
        raise NetworkError(
            f"{_LOST_WITH} nodes of the Ray cluster were lost while they read this source. Collect it without `--on`."
        )

    def _heard(self, answer: _Answer) -> None:
        for rules in answer.rules:
            self._rules[(rules.host, rules.digest)] = rules
        for note in answer.notes:
            self._notes.setdefault(note, False)

    def rules(self) -> list[Rules]:
        """The rules of servers that nodes asked, all of them accepted."""
        return [*self._rules.values(), *(self._here.rules() if isinstance(self._here, HasRules) else ())]

    def notes(self) -> list[str]:
        """What is to be said of what nodes read, and was not asked for before."""
        new = sorted(note for note, said in self._notes.items() if not said)
        self._notes.update(dict.fromkeys(new, True))
        return [*new, *(self._here.notes() if isinstance(self._here, HasNotes) else ())]


def _headless() -> ResourceError:
    return ResourceError(
        "The head of the Ray cluster, which keeps the budgets, is gone. What was collected is kept; run the same "
        "command again when it is back."
    )


def _is_file(account: str) -> bool:
    with suppress(OSError, ValueError):
        return "://" not in account and Path(account).expanduser().exists()
    return False


class _Node:
    """A reader, as this process knows it."""

    def __init__(self, name: str, actor: Any) -> None:
        self.name, self.actor, self.busy = name, actor, 0


class _Answer:
    """A page, None at the end, and what the source has to say by then."""

    def __init__(self, page: Page | None, source: Source) -> None:
        self.page = page
        self.rules = list(source.rules()) if isinstance(source, HasRules) else []
        self.notes = list(source.notes()) if isinstance(source, HasNotes) else []


class _Reading:
    """The reader on a node: many sources at a time, each by one call after the other."""

    def __init__(self, settings: CollectSettings, name: str, desk: Any) -> None:
        take_turns_from(DeskTurns(name, desk))
        self._settings = settings
        self._sources: dict[str, Source] = {}
        self._open: dict[str, tuple[Source, Iterator[Page]]] = {}
        self._lock = threading.Lock()

    def ready(self, wanted: str) -> None:
        check_version(wanted)

    def begin(self, reading: str, network: str, account: str, since: str | None) -> _Answer:
        with self._lock:
            if network not in self._sources:
                self._sources[network] = networks.open_source(network, self._settings)
            source = self._sources[network]
        self._open[reading] = source, source.posts(account, since)
        return self.following(reading)

    def following(self, reading: str) -> _Answer:
        source, pages = self._open[reading]
        return _Answer(next(pages, None), source)

    def end(self, reading: str) -> None:
        self._open.pop(reading, None)


class Desk:
    """Gives turns to readers in other processes, and takes back those of readers that are gone."""

    def __init__(self, settings: CollectSettings, wanted: str) -> None:
        """The budgets are those of this machine, with what hosts told earlier runs."""
        check_version(wanted)
        self._budgets = open_budgets(settings)
        self._said: SimpleQueue[str] = SimpleQueue()
        self._budgets.on_wait = self._said.put
        self._turns: dict[str, tuple[str, AbstractContextManager[None]]] = {}
        self._gone: set[str] = set()
        self._lock = threading.Lock()

    def limit(self, host: str, requests: int, seconds: float, account: str) -> None:
        """As `Budgets.limit`."""
        self._budgets.limit(host, requests, seconds, account)

    def hold(self, host: str, seconds: float) -> None:
        """As `Budgets.hold`."""
        self._budgets.hold(host, seconds)

    def begin(self, reader: str, host: str, account: str) -> str:
        """Wait for a turn for `reader`; the ticket by which it ends. Raises what `Budgets.turn` does."""
        turn, ticket = self._budgets.turn(host, account), uuid4().hex
        turn.__enter__()
        with self._lock:
            self._turns[ticket] = reader, turn
            gone = reader in self._gone
        if gone:
            self.end(ticket)
        return ticket

    def end(self, ticket: str) -> None:
        """The request is answered; a turn that was taken back has ended before."""
        with self._lock:
            held = self._turns.pop(ticket, None)
        if held is not None:
            held[1].__exit__(None, None, None)

    def drop(self, reader: str) -> None:
        """`reader` is gone for good: its turns end, and those it waits for, as soon as they come."""
        with self._lock:
            self._gone.add(reader)
            held = [ticket for ticket, (holder, _) in self._turns.items() if holder == reader]
        for ticket in held:
            self.end(ticket)

    def stop(self) -> None:
        """End all waiting with Interrupted."""
        self._budgets.stop()

    def heard(self, seconds: float) -> list[str]:
        """What is to be said to the person, waited for so long."""
        said: list[str] = []
        with suppress(Empty):
            said.append(self._said.get(timeout=seconds))
            while True:
                said.append(self._said.get_nowait())
        return said


class DeskTurns:
    """`Turns` that a desk in another process gives to this one, the reader `name`."""

    def __init__(self, name: str, desk: Any) -> None:
        import ray

        self._ray, self._name, self._desk = ray, name, desk
        self._limited: set[tuple[str, int, float, str]] = set()
        self.on_wait: Callable[[str], None] | None = None
        self._stopped = threading.Event()

    def limit(self, host: str, requests: int, seconds: float, account: str = "") -> None:
        """As `Budgets.limit`; what was said already is not said again."""
        if (host, requests, seconds, account) not in self._limited:
            self._get(self._desk.limit.remote(host, requests, seconds, account))
            self._limited.add((host, requests, seconds, account))

    def hold(self, host: str, seconds: float) -> None:
        """As `Budgets.hold`."""
        self._get(self._desk.hold.remote(host, seconds))

    @contextmanager
    def turn(self, host: str, account: str = "") -> Iterator[None]:
        """As `Budgets.turn`."""
        begin = self._desk.begin.options(concurrency_group=_WAITING)
        ticket = self._get(begin.remote(self._name, host, account))
        try:
            yield
        finally:
            self._get(self._desk.end.remote(ticket))

    def stop(self) -> None:
        """End the pauses of this process."""
        self._stopped.set()

    def pause(self, seconds: float) -> None:
        """Sleep, until `stop`."""
        self._stopped.wait(seconds)

    def _get(self, answer: Any) -> Any:
        try:
            return self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as exc:
            raise cause_of(exc) from None
