"""Files of pretrained weights: published ones and a user's own, in torch's cache of weights.

Both lie in `checkpoints` below `torch.hub.get_dir()` (the variable TORCH_HOME moves it), where
torchvision keeps its downloads; each name holds the beginning of the contents' SHA-256, which is
compared whenever a file is used.
"""

from __future__ import annotations

import http.client
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from archsearch.errors import UnfitError
from archsearch.files import atomic_writer, sha256_of, user_cache_dir

SUFFIXES = (".pth", ".pt")
DIGEST_LENGTH = 16
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class WeightFile:
    """A file whose contents are known by the beginning of their SHA-256.

    Attributes:
        path: Where it lies, or would lie, on this machine.
        sha256: How the hexadecimal SHA-256 of its contents begins.
        url: Where it is published; None for a user's own.
    """

    path: Path
    sha256: str
    url: str | None = None


def is_path(text: str) -> bool:
    """Whether `text` can only mean a file of weights."""
    return text.endswith(SUFFIXES)


def import_weights(path: str) -> str:
    """Copy a file into the cache, under its digest.

    Returns:
        `sha256:` and the first 16 digits: what `imported_file` finds it by, on any machine whose
        cache has it.

    Raises:
        UnfitError: It is missing or cannot be read, or the cache cannot be written.
    """
    source = Path(path)
    try:
        source = source.expanduser()
        digest = sha256_of(source)[:DIGEST_LENGTH]
        target = imported_file(digest).path
        if not target.is_file() or sha256_of(target)[:DIGEST_LENGTH] != digest:
            with source.open("rb") as content, atomic_writer(target) as sink:
                shutil.copyfileobj(content, sink)
    except (OSError, ValueError, RuntimeError) as error:  # the last of a `~` without a home
        reason = getattr(error, "strerror", None) or str(error)
        place = getattr(error, "filename", None) or source
        raise UnfitError(
            f"weights {path[:200]!r} cannot be used: {place}: {reason}; a relative path counts "
            f"from {Path.cwd()}, and a copy is kept in {cache_folder()}"
        ) from error
    return f"sha256:{digest}"


def imported_file(digest: str) -> WeightFile:
    """The file that `import_weights` keeps for the first 16 digits of a SHA-256."""
    return WeightFile(cache_folder() / f"sha256-{digest}.pth", digest)


def published_file(network: str, weights: str) -> WeightFile:
    """The file that torchvision publishes as these weights, such as IMAGENET1K_V1."""
    # Importing torchvision takes a second; only published weights need it.
    from torchvision.models._api import get_model_weights

    url = str(get_model_weights(network)[weights].url)
    name = url.rpartition("/")[2]
    return WeightFile(cache_folder() / name, name.rpartition("-")[2].partition(".")[0], url)


def fetch(file: WeightFile) -> Path:
    """Make sure that a file is here and undamaged; download it if it is published.

    Raises:
        UnfitError: It is missing, damaged, or cannot be downloaded.
    """
    if not file.path.is_file():
        if file.url is None:
            raise UnfitError(
                f"{file.path}: there is no such file on this machine; name the weights by their "
                "path once, which copies them there (on a cluster, --storage sends them to nodes)"
            )
        _download(file, file.url)
    if not is_intact(file):
        remedy = "name its path again" if file.url is None else "it is downloaded again"
        raise UnfitError(
            f"{file.path}: damaged: the SHA-256 of its contents does not begin with "
            f"{file.sha256}; delete it, and {remedy}"
        )
    return file.path


def is_intact(file: WeightFile) -> bool:
    """Whether a file is here, with the contents that its name tells.

    Raises:
        UnfitError: It is here and cannot be read.
    """
    try:
        return sha256_of(file.path).startswith(file.sha256)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UnfitError(f"{file.path}: cannot be read ({error.strerror})") from error


def cache_folder() -> Path:
    """Where torchvision and this project keep files of weights."""
    from torch.hub import get_dir

    folder = Path(get_dir())
    if folder.parts[:1] == ("~",):  # a user id without a name, and no HOME
        folder = user_cache_dir() / "torch" / "hub"
    return folder / "checkpoints"


def _download(file: WeightFile, url: str) -> None:
    from torch.hub import download_url_to_file

    before = socket.getdefaulttimeout()
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(TIMEOUT_SECONDS)  # torch passes none, and would wait for ever
        download_url_to_file(url, str(file.path), hash_prefix=file.sha256, progress=False)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise UnfitError(
            f"{url}: cannot be downloaded ({str(error) or type(error).__name__}); bring it to "
            f"{file.path} yourself, or write `weights: none` or the path of a file that you have"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
