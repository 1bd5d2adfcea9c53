"""The transport against a server that misbehaves: patience, budgets, bounds, secrets, and never inward."""

from __future__ import annotations

import gzip
import ipaddress
import json
import logging
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import formatdate
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_server import HostileServer, bomb, cut_short, give, hostile_server, reset
from pasquin.config import CollectSettings, load
from pasquin.errors import Interrupted, InwardAddress, NetworkError, RateLimited, Refused, UsageError
from pasquin.networks.transport import USER_AGENT, Oversized, Transport, shared, shown
from pasquin.networks.transport.guard import Guard, is_public
from pasquin.networks.transport.rates import wait_asked


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with hostile_server() as running:
        yield running


def transport(server: HostileServer, **options: Any) -> Transport:
    chosen = {"allow_private_hosts": (server.host,), **options.pop("settings", {})}
    return Transport(CollectSettings(**chosen), **{"backoff": 0.01, **options})


# --- patience


@pytest.mark.parametrize(
    "headers",
    [
        lambda: {"Retry_After": "1"},
        lambda: {"Retry_After": formatdate(time.time() + 2, usegmt=True), "Date": formatdate(time.time(), usegmt=True)},
        lambda: {"ratelimit_remaining": "0", "ratelimit_reset": str(int(time.time()) + 2), "ratelimit_policy": "9;w=2"},
        lambda: {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": _iso(time.time() + 1)},
        lambda: {"RateLimit": '"default";r=0;t=1'},
    ],
    ids=["seconds", "http-date", "epoch", "iso", "draft"],
)
def test_no_request_before_the_reset_from_any_worker(
    server: HostileServer, headers: Callable[[], dict[str, str]]
) -> None:
    def answer(request: Any, number: int) -> None:
        if number == 5:
            server.close_for(1.0)
            give(request, b"slow down", 429, **headers())
        else:
            give(request, b'{"ok": true}')

    server.answers["/limited"] = answer
    asking = transport(server)
    threads = [
        threading.Thread(target=lambda: [asking.get_json(server.url("/limited")) for _ in range(3)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.violations == 0
    assert len(server.took("/limited")) == 25


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"


def test_last_request_of_a_quota_is_heeded_before_it_is_refused(server: HostileServer) -> None:
    server.answers["/"] = lambda request, _: (
        server.close_for(1.0),
        give(request, b"{}", ratelimit_remaining="0", ratelimit_reset=str(int(time.time()) + 2)),
    )
    asking = transport(server)
    asking.get(server.url("/"))
    asking.get(server.url("/other"))
    assert server.violations == 0


def test_a_long_wait_ends_with_the_time_and_is_remembered(server: HostileServer, tmp_path: Path) -> None:
    server.answers["/"] = lambda request, _: give(request, b"", 429, Retry_After="5000")
    with pytest.raises(RateLimited, match="wants no request before") as caught:
        transport(server, folder=tmp_path).get(server.url("/"))
    assert 4990 < caught.value.until - time.time() < 5010
    with pytest.raises(RateLimited):  # another process, minutes later
        transport(server, folder=tmp_path).get(server.url("/"))
    assert len(server.asked) == 1


def test_a_hold_of_a_second_is_heeded_by_a_collector_started_at_once(server: HostileServer, tmp_path: Path) -> None:
    server.answers["/"] = lambda request, _: (server.close_for(1.0), give(request, b"", 429, Retry_After="1"))
    with pytest.raises(NetworkError):
        transport(server, folder=tmp_path, tries=1).get(server.url("/"))
    transport(server, folder=tmp_path).get(server.url("/other"))
    assert server.violations == 0


def test_what_may_pass_is_tried_again_and_what_will_not_is_not(server: HostileServer) -> None:
    troubles: list[Callable[[Any], None]] = [
        lambda request: give(request, b"", 503),
        reset,
        lambda request: cut_short(request, b'{"half":'),
        lambda request: give(request, b"<html>", 502),
    ]
    server.answers["/flaky"] = lambda request, n: troubles[n - 1](request) if n < 5 else give(request, b'{"a": 1}')
    asking = transport(server)
    assert asking.get_json(server.url("/flaky")) == {"a": 1}
    server.answers["/down"] = lambda request, _: give(request, b"", 500)
    with pytest.raises(NetworkError, match=r"it answered 500 \(5 tries\)"):
        asking.get(server.url("/down"))
    assert len(server.took("/down")) == 5
    for status in (400, 401, 403, 404, 410, 451):
        server.answers[f"/{status}"] = lambda request, _, status=status: give(request, b'{"error": "Gone"}', status)
        with pytest.raises(Refused, match=str(status)) as caught:
            asking.get(server.url(f"/{status}"))
        assert (caught.value.status, caught.value.body) == (status, b'{"error": "Gone"}')
        assert len(server.took(f"/{status}")) == 1
    assert asking.get(server.url("/404"), accept=(404,)).status == 404


def test_a_post_that_may_have_arrived_is_not_sent_again(server: HostileServer) -> None:
    server.answers["/once"] = lambda request, _: reset(request)
    asking = transport(server)
    with pytest.raises(NetworkError, match="the connection broke"):
        asking.post(server.url("/once"), {"text": "hello"})
    assert len(server.took("/once")) == 1
    with pytest.raises(NetworkError):
        asking.post(server.url("/once"), {"text": "hello"}, repeatable=True)
    assert len(server.took("/once")) == 6


def test_stop_ends_the_waiting_of_all_threads(server: HostileServer) -> None:
    server.answers["/"] = lambda request, _: give(request, b"", 429, Retry_After="600")
    asking, ended = transport(server), list[BaseException]()

    def ask() -> None:
        try:
            asking.get(server.url("/"))
        except Interrupted as exc:
            ended.append(exc)

    said = list[str]()
    asking.on_wait(said.append)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while not said:
        time.sleep(0.01)
    asking.stop()
    for thread in threads:
        thread.join(5)
    assert len(ended) == 4
    assert "asks for patience" in said[0]


# --- budgets


def test_budgets_hold_for_host_and_account_over_all_workers(server: HostileServer) -> None:
    asking = transport(server)
    asking.limit(server.url("/"), 20, 1.0)
    asking.limit(server.url("/"), 5, 1.0, account="one")
    plans = [(account, number) for account in ("one", "two", "") for number in range(12)]
    random.Random(3).shuffle(plans)
    threads = [
        threading.Thread(target=lambda part=plans[start::6]: [_ask(asking, server, *plan) for plan in part])
        for start in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 36
    assert _most_within([one.at for one in server.asked], 0.95) <= 20
    assert _most_within([one.at for one in server.asked if "account=one" in one.headers["X-Query"]], 0.95) <= 5


def _ask(asking: Transport, server: HostileServer, account: str, number: int) -> None:
    query = f"account={account}&n={number}"
    asking.get(server.url("/?" + query), account=account, headers={"X-Query": query})


def _most_within(moments: list[float], seconds: float) -> int:
    moments = sorted(moments)
    return max(sum(start <= one < start + seconds for one in moments) for start in moments)


# --- bounds


def test_answers_are_bounded_whatever_they_claim(server: HostileServer) -> None:
    server.answers["/claims"] = lambda request, _: give(request, b"x", Content_Length=str(10**12))
    server.answers["/streams"] = lambda request, _: _endless(request)
    server.answers["/bomb"] = lambda request, _: bomb(request, 200)
    server.answers["/nested"] = lambda request, _: give(request, b"x", Content_Encoding="gzip, gzip")
    asking = transport(server, tries=1)
    for path in ("/claims", "/streams", "/bomb"):
        with pytest.raises(Oversized, match="more than 1 MB"):
            asking.get(server.url(path), max_bytes=2**20)
    with pytest.raises(NetworkError, match="encoding"):
        asking.get(server.url("/nested"))


def _endless(request: Any) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    try:
        for _ in range(200):
            request.wfile.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
    except OSError:
        pass
    request.close_connection = True


def test_downloads_begin_anew_when_they_break(server: HostileServer) -> None:
    content = os.urandom(300_000)
    server.answers["/file"] = lambda request, n: cut_short(request, content) if n < 3 else give(request, content)
    into = BytesIO()
    transport(server).download(server.url("/file"), into, max_bytes=2**20)
    assert into.getvalue() == content


def test_pages_instead_of_data_and_circles_are_named(server: HostileServer) -> None:
    server.answers["/page"] = lambda request, _: give(request, b"<!doctype html><p>hi", Content_Type="text/html")
    server.answers["/junk"] = lambda request, _: give(request, b'{"cut": ')
    server.answers["/circle"] = lambda request, _: give(request, b"", 302, Location="/circle")
    asking = transport(server)
    with pytest.raises(NetworkError, match="web page instead of data"):
        asking.get_json(server.url("/page"))
    with pytest.raises(NetworkError, match="no JSON"):
        asking.get_json(server.url("/junk"))
    with pytest.raises(NetworkError, match="round in circles"):
        asking.get(server.url("/circle"))


def test_compressed_answers_and_their_encodings_are_read(server: HostileServer) -> None:
    kinds = {"/latin": ("text/plain; charset=latin-1", "latin-1"), "/odd": ("text/plain; charset=no-such", "utf-8")}
    for path, (kind, encoding) in kinds.items():
        body = gzip.compress("Grüße".encode(encoding))
        server.answers[path] = lambda request, _, body=body, kind=kind: give(
            request, body, Content_Encoding="gzip", Content_Type=kind, Link='</x>; rel="next"'
        )
        answer = transport(server).get(server.url(path))
        assert (answer.text, answer.link("next")) == ("Grüße", server.url("/x"))
    server.answers["/cut"] = lambda request, _: give(request, gzip.compress(b"x" * 99)[:-9], Content_Encoding="gzip")
    with pytest.raises(NetworkError, match="the connection broke"):
        transport(server).get(server.url("/cut"))


def test_links_redirects_and_the_user_agent(server: HostileServer) -> None:
    link = '</next?page=2>; rel="next", <https://b.example/x>; rel="prev"'
    server.answers["/old"] = lambda request, _: give(request, b"", 301, Location="/new?x=1")
    server.answers["/new"] = lambda request, _: give(request, b"[]", Link=link)
    answer = transport(server).get(server.url("/old"))
    assert (answer.link("next"), answer.link("first")) == (server.url("/next?page=2"), None)
    assert {one.headers["User-Agent"] for one in server.asked} == {USER_AGENT}
    assert USER_AGENT.startswith("Pasquin/")


def test_what_has_not_changed_is_not_sent_again(server: HostileServer, tmp_path: Path) -> None:
    def answer(request: Any, _: int) -> None:
        if request.headers.get("If-None-Match") == '"v1"':
            give(request, b"", 304)
        else:
            give(request, b'{"v": 1}', ETag='"v1"')

    server.answers["/feed"] = answer
    first, second = (transport(server, folder=tmp_path).get(server.url("/feed"), keep=True) for _ in range(2))
    assert (first.json(), first.unchanged, second.json(), second.unchanged) == ({"v": 1}, False, {"v": 1}, True)
    for kept in (tmp_path / "answers").iterdir():
        kept.write_bytes(b"damaged")
    third = transport(server, folder=tmp_path).get(server.url("/feed"), keep=True)
    assert (third.json(), third.unchanged) == ({"v": 1}, False)
    secret = {"Authorization": "Bearer canary"}
    assert not transport(server, folder=tmp_path).get(server.url("/feed"), keep=True, headers=secret).unchanged


# --- inward

INWARD = """
https://127.0.0.1/ https://127.1/ https://2130706433/ https://0x7f000001/ https://0177.0.0.1/ https://0/
https://0.0.0.0/ https://10.0.0.1/ https://172.16.0.1/ https://192.168.1.1/ https://169.254.169.254/ https://100.64.0.1/
https://224.0.0.1/ https://255.255.255.255/ https://198.18.0.1/ https://192.0.0.192/ https://[::1]/ https://[::]/
https://[::ffff:127.0.0.1]/ https://[::ffff:7f00:1]/ https://[::127.0.0.1]/ https://[fe80::1]/ https://[fe80::1%25lo]/
https://[fc00::1]/ https://[fd12:3456::1]/ https://[fec0::1]/ https://[ff02::1]/ https://[2002:7f00:1::]/
https://[64:ff9b::7f00:1]/ https://[64:ff9b:1::a00:1]/ https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/
https://[2001:db8::1]/ https://[2a00:1450::5efe:7f00:1]/ https://localhost/ https://LOCALHOST./ https://foo.localhost/
https://printer.local/ https://metadata.google.internal/ https://intranet/ https://user@example.org/
https://example.org:secret@127.0.0.1/ https://127。0。0。1/ https://１２７.0.0.1/ https://ⓛocalhost/ http://127.0.0.1:22/
https://127.0.0.1.:443/ https://0x7f.0x0.0x0.0x1/ https://017700000001/ https://1.1.1.1.0x7f/
"""


@pytest.mark.parametrize("url", INWARD.split())
def test_addresses_that_lead_inward_are_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", _no_connection)
    with pytest.raises(NetworkError):
        Transport(CollectSettings(), tries=1).get(url)


@pytest.mark.parametrize(
    "url", ["ftp://a.example/", "file:///etc/passwd", "//x", "https:///x", "https://[::1", "gopher:x"]
)
def test_what_is_no_web_address_is_named(url: str) -> None:
    with pytest.raises(NetworkError, match="web address"):
        Transport(CollectSettings(), tries=1).get(url)


def _no_connection(*_: object, **__: object) -> Any:
    raise AssertionError("a connection was made")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00::2"])
def test_names_that_resolve_inward_are_not_connected_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    answers = [(socket.AF_INET, 1, 6, "", ("93.184.216.34", 443)), (family, 1, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    monkeypatch.setattr(socket, "create_connection", _no_connection)
    with pytest.raises(InwardAddress, match=r"evil\.example leads into a private network"):
        Transport(CollectSettings(), tries=1).get("https://evil.example/")


def test_the_address_that_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the name means a public address when it is checked, and ours a moment later."""
    resolved, connected = list[str](), list[str]()
    answers = iter(["93.184.216.34", *["127.0.0.1"] * 10])

    def resolve(host: str, port: int, *_: object, **__: object) -> list[Any]:
        resolved.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(address: tuple[str, int], *_: object, **__: object) -> Any:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(InwardAddress):  # the second try sees the other face
        Transport(CollectSettings(), backoff=0.01).get("https://rebinding.example/")
    assert connected == ["93.184.216.34"]
    assert resolved == ["rebinding.example"] * 2


def test_redirects_do_not_lead_inward(server: HostileServer) -> None:
    with hostile_server() as inside:
        for number, place in enumerate(
            (inside.url("/"), "https://127.0.0.1/", "https://[::1]/", "//0x7f.1/", "file:///x")
        ):
            server.answers[f"/{number}"] = lambda request, _, place=place: give(request, b"", 302, Location=place)
            with pytest.raises(NetworkError):
                transport(server).get(server.url(f"/{number}"))
        assert inside.asked == []


def test_secrets_do_not_follow_a_redirect_to_another_host(server: HostileServer) -> None:
    with hostile_server() as other:
        server.answers["/"] = lambda request, _: give(request, b"", 307, Location=other.url("/there"))
        asking = transport(server, settings={"allow_private_hosts": (server.host, other.host)})
        asking.get(server.url("/"), headers={"Authorization": "Bearer canary"})
        assert "Authorization" in server.asked[0].headers
        assert "Authorization" not in other.asked[0].headers


def test_plain_http_becomes_https_except_for_ones_own() -> None:
    guard = Guard(("mine.lan", "[::1]:3000"))
    assert str(guard.check("http://example.org/feed")) == "https://example.org/feed"
    assert str(guard.check("http://example.org:8080/")) == "https://example.org:8080/"
    assert str(guard.check("http://mine.lan:3000/x")) == "http://mine.lan:3000/x"
    assert str(guard.check("http://[::1]:3000/")) == "http://[::1]:3000/"
    with pytest.raises(InwardAddress):
        guard.check("http://[::1]:3001/")


@given(st.integers(0, 2**32 - 1) | st.integers(0, 2**128 - 1))
def test_no_address_is_public_that_python_knows_as_private(number: int) -> None:
    address = ipaddress.ip_address(number)
    if is_public(address):
        assert not any((address.is_private, address.is_loopback, address.is_link_local, address.is_multicast))


# --- headers

HEADERS = ["retry-after", "date", "ratelimit", "ratelimit-remaining", "ratelimit-reset"]
HEADERS += ["x-ratelimit-remaining", "x-ratelimit-reset"]


@given(
    st.sampled_from([200, 301, 429, 503, 500]),
    st.dictionaries(
        st.sampled_from(HEADERS),
        st.text(max_size=40) | st.integers(-(10**20), 10**20).map(str) | st.floats().map(str),
    ),
)
@settings(max_examples=300)
def test_no_header_makes_a_wait_negative_or_endless(status: int, headers: dict[str, str]) -> None:
    wait = wait_asked(
        status, httpx.Headers({name: value.encode("utf-8", "replace") for name, value in headers.items()})
    )
    assert wait is None or 0 <= wait <= 366 * 86_400


def test_a_wrong_clock_does_not_shorten_a_wait() -> None:
    ahead = 50_000  # the server's clock, and so its dates, against ours
    headers = {"date": formatdate(time.time() + ahead), "retry-after": formatdate(time.time() + ahead + 30)}
    assert wait_asked(429, headers) == 30
    headers = {
        "date": headers["date"],
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(time.time() + ahead + 60),
    }
    assert 59 <= (wait_asked(200, headers) or 0) <= 61


# --- proxies


@pytest.fixture
def tinyproxies(tmp_path: Path) -> Iterator[list[int]]:
    """Four forward proxies, real ones."""
    program = shutil.which("tinyproxy")
    if program is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "tinyproxy"], capture_output=True, check=False)
        program = shutil.which("tinyproxy")
    if program is None:
        pytest.skip("tinyproxy is not installed")
    processes, ports = [], []
    for number in range(4):
        port = _free_port()
        configuration = tmp_path / f"{number}.conf"
        lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 20", "MaxClients 50", "BasicAuth anna canary-password"]
        configuration.write_text("\n".join(lines) + "\n")
        processes.append(subprocess.Popen([program, "-d", "-c", str(configuration)], stdout=subprocess.DEVNULL))
        ports.append(port)
    for port in ports:
        _wait_for(port)
    try:
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("a proxy did not start")


@pytest.mark.real
def test_ten_proxies_of_which_some_are_dead_share_one_budget(
    server: HostileServer, tinyproxies: list[int], tmp_path: Path
) -> None:
    """4 live, 3 that refuse, 2 that want another password, 1 that takes connections and never answers."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(64)
        ports = [*tinyproxies, mute.getsockname()[1], *(_free_port() for _ in range(3))]
        good = [f"http://anna:canary-password@127.0.0.1:{port}" for port in ports]
        bad = [f"127.0.0.1:{port}  # no password" for port in tinyproxies[:2]]
        listed = tmp_path / "proxies.txt"
        listed.write_text("# mine\n\n" + "\n".join(good[2:] + bad))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "pasquin.networks.transport._TIMEOUT", {"connect": 1.0, "read": 1.5, "write": 1.0, "pool": 9.0}
            )
            asking = transport(server, settings={"proxies": (good[0], good[1], str(listed))})
            asking.limit(server.url("/"), 30, 2.0)
            server.answers["/"] = lambda request, n: (
                (server.close_for(1.0), give(request, b"", 429, Retry_After="1"))
                if n in (10, 40)
                else give(request, b'{"ok": 1}')
            )
            failures = list[BaseException]()

            def work() -> None:
                try:
                    for _ in range(10):
                        assert asking.get_json(server.url("/")) == {"ok": 1}
                except BaseException as exc:  # noqa: BLE001 - shown by the assertion below
                    failures.append(exc)

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert failures == []
    assert server.violations == 0
    assert len(server.asked) == 82
    assert _most_within([one.at for one in server.asked], 1.95) <= 30
    assert all("Via" in one.headers for one in server.asked)


def test_when_no_proxy_answers_the_word_is_clear_and_shows_no_password(server: HostileServer) -> None:
    proxies = tuple(f"http://anna:canary-password@127.0.0.1:{_free_port()}" for _ in range(3))
    with pytest.raises(NetworkError, match="through 3 proxies") as caught:
        transport(server, settings={"proxies": proxies}).get(server.url("/"))
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert server.asked == []


def test_a_proxy_is_given_the_checked_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that the proxy resolves otherwise leads nowhere else, and the certificate is still checked by the name."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=name.example"
    )
    subprocess.run([*command.split(), "-addext", "subjectAltName=DNS:name.example"], capture_output=True, check=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    real = socket.getaddrinfo
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: answer if host.endswith(".example") else real(host, *a, **k)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    seen = list[bytes]()

    def serve(proxy: socket.socket) -> None:
        """A proxy and the server behind it, in one: whatever is asked for, it is name.example."""
        for _ in range(2):
            client, _ = proxy.accept()
            seen.append(client.recv(4096))
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            with suppress(OSError), context.wrap_socket(client, server_side=True) as secure:
                seen.append(secure.recv(4096))
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        thread = threading.Thread(target=serve, args=(proxy,), daemon=True)
        thread.start()
        asking = Transport(CollectSettings(proxies=(f"127.0.0.1:{proxy.getsockname()[1]}",)), tries=1)
        assert asking.get_json("https://name.example/?secret=canary") == {}
        with pytest.raises(NetworkError):
            asking.get("https://other.example/")
        thread.join(5)
    assert seen[0].startswith(b"CONNECT 93.184.216.34:443 ")
    assert b"canary" not in seen[0]
    assert seen[1].startswith(b"GET /?secret=canary ")
    assert b"Host: name.example\r\n" in seen[1]
    assert len(seen) == 3  # the other name is not in the certificate: nothing was sent


@pytest.mark.parametrize("proxy", ["ftp://anna:canary@h:1", "http://", "http://a:canary@h:port", "socks5://h:1", " "])
def test_proxies_that_make_no_sense_are_refused_without_their_password(proxy: str) -> None:
    with pytest.raises(UsageError, match="Proxy 1") as caught:
        Transport(CollectSettings(proxies=(proxy,)))
    assert "canary" not in "".join(traceback.format_exception(caught.value))


# --- secrets


def test_secrets_are_in_no_log_error_or_file(
    server: HostileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("httpx", "httpcore", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    monkeypatch.setenv("PASQUIN_COLLECT_PROXIES", f"http://anna:canary@127.0.0.1:{_free_port()}")
    through = Transport(load(CollectSettings, None, allow_private_hosts=(server.host,)), folder=tmp_path, tries=1)
    direct = transport(server, folder=tmp_path, tries=1)
    server.answers["/refused"] = lambda request, _: give(request, b"", 403)
    server.answers["/page"] = lambda request, _: give(request, b"<html>")
    server.answers["/gone"] = lambda request, _: reset(request)
    server.answers["/slow"] = lambda request, _: give(request, b"", 429, Retry_After="9999")
    seen = [repr(through), repr(load(CollectSettings, None))]
    secret = "".join(["can", "ary"])  # a traceback shows the lines of this file too
    headers, params = {"Authorization": f"Bearer {secret}-2"}, {"key": f"{secret}-3"}
    urls = [
        server.url(f"{path}?access_token={secret}-4#{secret}-5") for path in ("/refused", "/page", "/gone", "/slow")
    ]
    urls.append(f"https://anna:{secret}-6@example.org/?x={secret}-7")
    with caplog.at_level(logging.DEBUG):
        for asking, url in [(through, server.url("/x")), *((direct, url) for url in urls)]:
            with pytest.raises(NetworkError) as caught:
                asking.get_json(url, headers=headers, params=params, keep=True)
            seen.append("".join(traceback.format_exception(caught.value)))
    seen += [record.getMessage() for record in caplog.records]
    seen += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    seen += [path.name for path in tmp_path.rglob("*")]
    everything = "\n".join(seen)
    assert len(everything) > 2_000
    assert "canary" not in everything
    assert shown("https://u:canary@h.example:8443/p?q=canary#canary") == "https://h.example:8443/p"


def test_one_transport_for_the_same_reach() -> None:
    assert shared(CollectSettings(page_posts=3)) is shared(CollectSettings(page_posts=4))
    assert shared(CollectSettings()) is not shared(CollectSettings(proxies=("h:1",)))
    assert json.dumps(CollectSettings(proxies=("http://a:canary@h:1",)).model_dump(mode="json")).count("canary") == 0
