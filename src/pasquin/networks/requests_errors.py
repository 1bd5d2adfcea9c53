"""What the `requests` package's failures say of whether a request arrived."""

from __future__ import annotations

from pasquin.errors import NetworkError, NotSent


def never_arrived(exc: BaseException) -> bool:
    """Whether no connection was made, so that nothing can have been carried out."""
    import requests
    from urllib3 import exceptions

    if isinstance(exc, requests.exceptions.ConnectTimeout):
        return True
    if not isinstance(exc, requests.exceptions.ConnectionError) or not exc.args:
        return False
    reason = getattr(exc.args[0], "reason", exc.args[0])
    return isinstance(reason, exceptions.NewConnectionError | exceptions.ConnectTimeoutError)


def failed(exc: BaseException, host: str) -> NetworkError:
    """Our error for a request that failed below HTTP."""
    if never_arrived(exc):
        return NotSent(f"{host} cannot be reached. Check the address and the connection.")
    return NetworkError(f"{host} did not answer to the end ({type(exc).__name__}).")
