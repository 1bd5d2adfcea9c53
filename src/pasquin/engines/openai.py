"""A model behind somebody's OpenAI-compatible server: Ollama, LM Studio, vLLM, a hosted one, or Pasquin's own endpoint.

Asked over `POST /chat/completions`, or `/completions` where the server has no chat
(https://platform.openai.com/docs/api-reference). The key comes from the environment, and travels over https or to this
machine only. Tokens are counted as the server says (four characters a token where it doesn't), and nothing is asked
any more once the budget is used up.

Not covered: that the same seed gives the same text again; that is up to the server.
"""

from __future__ import annotations

import ipaddress
import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from pasquin.counts import counted
from pasquin.errors import ModelError, UsageError
from pasquin.records import Completion, Prompt, Sampling

KEYS: Final = ("PASQUIN_OPENAI_API_KEY", "OPENAI_API_KEY")
"""Environment variables in which the server's key is looked for, in this order."""
CHARACTERS_A_TOKEN: Final = 4
_AT_A_TIME: Final = 8
_TRIES: Final = 5
_LONGEST_WAIT: Final = 60.0
_TIMEOUT: Final = httpx.Timeout(120.0, connect=10.0)
_LARGEST_ANSWER: Final = 2**20
_QUOTES: Final = {'"': '"', "“": "”", "«": "»", "‘": "’"}


class OpenAIServer:
    """A model by name on a server by address; safe to use from several threads."""

    name = "openai"
    context = 2**31
    """How much the model can hold is the server's to know; it says so when a prompt is too long."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        token_budget: int,
        prefix: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`base_url` ends where `/chat/completions` begins, usually in `/v1`.

        `token_budget` bounds the tokens of all requests together, prompts included. `prefix` is what the prompts say a
        text begins with: completions are what comes behind it, whether the server repeats it or not. Raises UsageError
        when the address is none, or the key would travel unencrypted.
        """
        key = next((os.environ[name] for name in KEYS if os.environ.get(name)), None)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.spent = 0
        self._base = _checked(base_url, key).rstrip("/")
        self._model = model
        self._budget = token_budget
        self._prefix = prefix
        self._chat = True
        self._lock = threading.Lock()
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT, transport=transport)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = _AT_A_TIME
    ) -> Generator[Completion, None, None]:
        """See `Engine.generate`; at most eight requests are under way. Raises ModelError when the budget is spent."""
        waiting = iter(enumerate(prompts))
        upcoming = next(waiting, None)
        running: set[Future[Completion]] = set()
        with ThreadPoolExecutor(min(batch, _AT_A_TIME)) as pool:
            try:
                while upcoming is not None or running:
                    while upcoming is not None and len(running) < min(batch, _AT_A_TIME):
                        running.add(pool.submit(self._complete, *upcoming, sampling))
                        upcoming = next(waiting, None)
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _complete(self, index: int, prompt: Prompt, sampling: Sampling) -> Completion:
        with self._lock:
            if self.spent >= self._budget:
                raise ModelError(
                    f"The budget of {counted(self._budget, 'token')} is used up. What there is is stored; "
                    "raise token_budget in [generate] to go on."
                )
        answer = self._ask(prompt, sampling)
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] if self._chat else choice["text"]
            ended = choice.get("finish_reason") != "length"
            usage = answer.get("usage") or {}
            tokens = int(usage.get("completion_tokens") or len(text) // CHARACTERS_A_TOKEN + 1)
            asked = int(usage.get("prompt_tokens") or len(prompt.text) // CHARACTERS_A_TOKEN)
        except (LookupError, TypeError, ValueError, AttributeError) as exc:
            raise ModelError(f"The server at {self._base} answered in a form that is not OpenAI's.") from exc
        with self._lock:
            self.spent += tokens + asked
        return Completion(
            index=index, text=self._behind_prefix(_unquoted(text)), tokens=tokens, finish="stop" if ended else "length"
        )

    def _behind_prefix(self, text: str) -> str:
        if not self._prefix or text.casefold().startswith(self._prefix.casefold()):
            return text[len(self._prefix) :]
        return f" {text}"

    def _ask(self, prompt: Prompt, sampling: Sampling) -> Any:
        body: dict[str, object] = {
            "model": self._model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": prompt.seed % 2**31,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop[:4])  # four are the most that the interface takes
        if self._chat:
            answer = self._post("/chat/completions", {**body, "messages": [{"role": "user", "content": prompt.text}]})
            if answer is not None:
                return answer
            self._chat = False
        answer = self._post("/completions", {**body, "prompt": prompt.text})
        if answer is None:
            raise ModelError(f"The server at {self._base} has no model `{self._model}`, or the address is not its /v1.")
        return answer

    def _post(self, path: str, body: dict[str, object]) -> Any:
        """The parsed answer, None where the server knows no such address or model (404). Waits when asked to."""
        for left in reversed(range(_TRIES)):
            try:
                status, headers, content = self._send(path, body)
            except httpx.HTTPError as exc:
                if left and not isinstance(exc, httpx.ConnectError):
                    continue
                raise ModelError(f"The server at {self._base} does not answer ({exc or type(exc).__name__}).") from exc
            if status == 404:
                return None
            if status != 429 and status < 500:
                return self._checked_answer(status, content)
            if left:
                time.sleep(_wait_of(headers, _TRIES - left))
        raise ModelError(f"The server at {self._base} is overloaded (status {status}). Run again later to go on.")

    def _send(self, path: str, body: dict[str, object]) -> tuple[int, httpx.Headers, bytes]:
        with self._client.stream("POST", self._base + path, json=body) as response:
            content = b""
            for part in response.iter_bytes():
                content += part
                if len(content) > _LARGEST_ANSWER:
                    raise ModelError(f"The server at {self._base} sends more than an answer can be.")
            return response.status_code, response.headers, content

    def _checked_answer(self, status: int, content: bytes) -> Any:
        if status in {401, 403}:
            raise ModelError(f"The server at {self._base} refused the key. Put a valid one into {KEYS[-1]}.")
        try:
            answer = json.loads(content)
        except ValueError as exc:
            raise ModelError(f"The server at {self._base} does not speak JSON: is the address its /v1?") from exc
        if status >= 300:
            error = answer.get("error") if isinstance(answer, dict) else None
            said = error.get("message") if isinstance(error, dict) else error
            raise ModelError(f"The server at {self._base} refused the request ({str(said)[:200]}, status {status}).")
        return answer


def _checked(base_url: str, key: str | None) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"`{base_url}` is no address of a server. It looks like http://localhost:11434/v1.")
    if parts.username or parts.password:
        raise UsageError(f"Keys do not belong into the address. Put it into {KEYS[-1]}.")
    if key and parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise UsageError(f"The key would travel unencrypted to {parts.hostname}. Use https, or unset {KEYS[-1]}.")
    return base_url


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _wait_of(headers: httpx.Headers, failures: int) -> float:
    try:
        asked = float(headers.get("retry-after", ""))
    except ValueError:
        asked = 0.5 * 2**failures
    return min(max(asked, 0.0), _LONGEST_WAIT)


def _unquoted(text: str) -> str:
    """`text` without the quotation marks that chat models put around what they were asked to write."""
    text = text.strip()
    if len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and not set(text[1:-1]) & {text[0], text[-1]}:
        return text[1:-1].strip()
    return text
