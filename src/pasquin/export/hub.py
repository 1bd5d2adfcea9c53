"""Push: a model to the Hugging Face hub, as a private repository unless it is asked to be public.

The files that go are those of `folder`, no others, in a single commit: the repository has all of them or none. A
repository that holds something else is left alone, and so is the visibility of one that exists: a model is never pushed
to a public repository by who did not say so. The token comes from `HF_TOKEN` or from where `hf auth login` put it
(`HF_ENDPOINT` names another hub); it is handed to the library and goes nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from pasquin.counts import counted
from pasquin.errors import AccountRefused, Interrupted, NetworkError, RateLimited, Refused, ResourceError, UsageError
from pasquin.export.folder import Outgoing, may_leave, outgoing, sizes
from pasquin.progress import Progress, Silent
from pasquin.workspace import Workspace

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ITS_OWN: Final = ".gitattributes"
"""What the hub puts into a new repository by itself."""
_OURS: Final = "post_format.json"
"""What makes a repository one that Pasquin may update."""


def push(
    workspace: Workspace,
    name: str,
    repo: str,
    *,
    public: bool = False,
    dry_run: bool = False,
    confirm: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Send the model `name` to the repository `repo` (OWNER/NAME) on the hub, which is made when it is not there.

    With `public` a new repository is public, after `confirm`, if given, said yes to a question. With `dry_run` nothing
    is sent and no token is needed. Returns `model, repo, private, files: [{name, bytes}], bytes, dry_run` and `url` and
    `commit` of what was sent.

    Raises ModelError as `export_folder`, UsageError (name, no token, a repository that is public or holds something
    else), AccountRefused (token), Refused, NetworkError, RateLimited, ResourceError without huggingface_hub.
    """
    try:
        from huggingface_hub import HfApi, get_token
    except ImportError as exc:
        raise ResourceError("Pushing a model needs huggingface_hub: install `pip install 'pasquin[train]'`.") from exc
    progress = progress or Silent()
    _check_repo(repo)
    files = outgoing(workspace, name)
    result = {"model": name, "repo": repo, "private": not public, **sizes(files), "dry_run": dry_run}
    if dry_run:
        return result
    token = get_token()
    if not token:
        raise UsageError("There is no token for the hub. Put one that may write into HF_TOKEN, or run `hf auth login`.")
    if public and confirm is not None and not confirm(f"Anybody will be able to read and copy {repo}. Go on?"):
        raise Interrupted("Nothing was sent.")
    api = HfApi(
        endpoint=os.environ.get("HF_ENDPOINT"), token=token, library_name="pasquin", library_version=version("pasquin")
    )
    with _hub_errors(repo):
        there = _contents(api, repo)
        private = not public if there is None else _private(there, repo, public)
        stale = [] if there is None else _stale(there, files, repo)
        if there is None:
            progress.say(f"Making {repo}, {'private' if private else 'public'}.")
            api.create_repo(repo, private=private)
        progress.say(f"Sending {counted(len(files), 'file')}, {result['bytes'] / 1e6:,.0f} MB.")
        commit = _commit(api, repo, name, files, stale)
    return {**result, "private": private, "url": f"{api.endpoint}/{repo}", "commit": commit}


def _check_repo(repo: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
        valid = repo.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise UsageError(f"`{repo}` is no repository's name: it is your name on the hub, a slash, and the model's.")


def _contents(api: HfApi, repo: str) -> Any:
    """What the hub knows of the repository, None when it is not there."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(repo)
    except RepositoryNotFoundError as exc:
        if exc.response.status_code == 401:  # so says the hub to a token it does not know
            raise AccountRefused(_TOKEN, status=401) from exc
        return None


def _private(there: Any, repo: str, public: bool) -> bool:
    """Whether an existing repository is private; UsageError when it is public and that was not asked for."""
    if not there.private and not public:
        raise UsageError(
            f"{repo} is there and public: anybody could read the model. Say --public if that is meant, or give another "
            "name."
        )
    return bool(there.private)


def _stale(there: Any, files: Sequence[Outgoing], repo: str) -> list[str]:
    """Files of an earlier push that this one does not have; UsageError when the repository is somebody else's work."""
    names = {sibling.rfilename for sibling in there.siblings or ()} - {_ITS_OWN}
    others = sorted(other for other in names if not may_leave(other))
    if names and (_OURS not in names or others):
        raise UsageError(
            f"{repo} is there and holds something else ({', '.join((others or sorted(names))[:3])}): it is left alone. "
            "Give another name."
        )
    return sorted(names - {file.name for file in files})


def _commit(api: HfApi, repo: str, name: str, files: Sequence[Outgoing], stale: Sequence[str]) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations = [
        *(CommitOperationAdd(file.name, file.content if file.source is None else file.source) for file in files),
        *(CommitOperationDelete(gone) for gone in stale),
    ]
    return str(api.create_commit(repo, operations, commit_message=f"{name}, by Pasquin").oid)


_TOKEN: Final = "The hub does not know this token. Make a new one that may write, and put it into HF_TOKEN."


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into a sentence; what the hub said is in it, a token never is."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        yield
    except HfHubHTTPError as exc:
        raise _translated(exc, repo) from exc
    except (HTTPError, OSError) as exc:
        raise NetworkError("The hub could not be reached. Check the network and run the same command again.") from exc
    except KeyboardInterrupt:
        raise Interrupted("Stopped; the repository is as it was. Run the same command to begin again.") from None
    except ValueError as exc:
        raise Refused(f"The hub will not have this model: {str(exc).splitlines()[0]}.") from exc


def _translated(exc: Any, repo: str) -> NetworkError:
    status = exc.response.status_code
    said = f" ({' '.join(exc.server_message.split())[:200]})" if exc.server_message else ""
    if status == 401:
        return AccountRefused(_TOKEN, status=status)
    if status == 403:
        return AccountRefused(
            f"The hub does not let this token write to {repo}{said}. Check the owner's name and the token's rights.",
            status=status,
        )
    if status == 409:
        return Refused(f"{repo} was made or changed meanwhile{said}. Run the same command again.", status=status)
    if status == 429:
        return RateLimited(f"The hub asks to wait{said}. Run the same command later.", status=status)
    if status >= 500:
        return NetworkError(f"The hub is out of order ({status}){said}. Run the same command later.", status=status)
    return Refused(f"The hub refused {repo} with status {status}{said}. Check its name and the model.", status=status)
