"""A model's name on the Hugging Face hub -> its checkpoint in the local cache, downloaded if need be."""

from __future__ import annotations

import errno
import importlib
import re
from collections.abc import Callable
from pathlib import Path

from .checkpoints import FOLDER_FILES, SUFFIXES, optional_import, shards_of

_TIMEOUT = 10  # seconds without an answer after which the hub counts as unreachable
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def looks_like_hub_name(source: str) -> bool:
    """Whether a text is a hub name, such as ``gpt2`` or ``openai-community/gpt2``, rather than a path.

    Letters, digits, - _ and . with one slash at most; no checkpoint's file name, and no path into a folder that exists.
    """
    a_path = source.lower().endswith(SUFFIXES) or ("/" in source and Path(source).parent.is_dir())
    return not a_path and re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", source) is not None


def hub_checkpoint(name: str) -> Path:
    """The checkpoint of a hub model: safetensors if the model has them, else torch's; nothing else is downloaded.

    What the local cache holds is taken from there, without asking the network. huggingface_hub shows how far the
    download is, and resumes a transfer that breaks off. If it gives up, the files that are complete stay in the cache,
    and the next call needs only the others.

    Raises
    ------
    FileNotFoundError
        If the hub has no such model or no checkpoint of it, or cannot be reached and the cache does not hold it.
    ValueError
        If its index is damaged, or names a file outside of the model's folder.
    ConnectionError
        If the download breaks off.
    OSError
        If there is no room for it.
    ImportError
        If the package huggingface_hub is not installed.
    """
    hub = optional_import("huggingface_hub", f"the hub name {name!r}")
    for part in ("constants", "errors", "utils"):
        importlib.import_module(f"huggingface_hub.{part}")
    missing = f"source={name!r}: there is no such file or folder, and as a hub name"

    def cached(filename: str) -> Path | None:
        # hf_hub_download(local_files_only=True) would send a request about its caller first
        found = hub.try_to_load_from_cache(name, filename)
        return Path(found) if isinstance(found, str) else None

    def downloaded(filename: str) -> Path | None:
        try:
            return Path(hub.hf_hub_download(name, filename, etag_timeout=_TIMEOUT))
        except hub.errors.LocalEntryNotFoundError:  # the network broke off
            raise
        except hub.errors.EntryNotFoundError:
            return None

    try:
        if found := _checkpoint(cached):
            return found
    except hub.errors.HFValidationError as error:
        raise FileNotFoundError(f"{missing} it is not allowed: {error}") from None
    if hub.constants.HF_HUB_OFFLINE:
        raise FileNotFoundError(f"{missing} it is not in the local cache, while HF_HUB_OFFLINE forbids to download it")
    try:
        # The hub's own functions go on trying for half a minute where there is no network; so ask once, first.
        hub.utils.get_session().head(hub.constants.ENDPOINT, timeout=_TIMEOUT)
    except Exception as error:  # of requests or httpx, by the version of huggingface_hub
        reason = f"the hub cannot be reached ({type(error).__name__})"
        raise FileNotFoundError(f"{missing} it is not in the local cache, and {reason}") from None
    try:
        found = _checkpoint(downloaded)
    except hub.errors.GatedRepoError:
        raise FileNotFoundError(f"{missing} it is gated: accept its licence on the hub and log in") from None
    except hub.errors.RepositoryNotFoundError:
        raise FileNotFoundError(f"{missing} the hub does not know it (or it is private)") from None
    except Exception as error:  # those of httpx are no OSErrors
        if type(error) is ValueError:  # of what was downloaded, not of the network: the same call fails again
            raise ValueError(f"source={name!r}: the hub's file is damaged: {error}") from None
        why = " ".join(str(error).split()) or type(error).__name__
        if getattr(error, "errno", None) in _NO_ROOM:
            place = hub.constants.HF_HUB_CACHE
            raise OSError(f"source={name!r}: no room for the download in {place} ({why}); HF_HOME moves it") from None
        raise ConnectionError(
            f"source={name!r} could not be downloaded from the hub: {why}; the same call tries again, and keeps the "
            "files that are complete"
        ) from None
    if found is None:
        raise FileNotFoundError(f"{missing} it holds none of {', '.join(FOLDER_FILES)}")
    return found


def _checkpoint(get: Callable[[str], Path | None]) -> Path | None:
    """The first of FOLDER_FILES that there is, with all of its shards; None where there is none."""
    for filename in FOLDER_FILES:
        path = get(filename)
        if path and not (filename.endswith(".index.json") and any(get(shard) is None for shard in shards_of(path))):
            return path
    return None
