"""A model's name on the Hugging Face hub -> its checkpoint in the local cache, downloaded if need be."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from .checkpoints import FOLDER_FILES, SUFFIXES, optional_import, shards_of

_TIMEOUT = 10  # seconds without an answer after which the hub counts as unreachable


def looks_like_hub_name(source: str) -> bool:
    """Whether a text is a hub name, such as ``gpt2`` or ``openai-community/gpt2``, rather than a path.

    Letters, digits, - _ and . with one slash at most; no checkpoint's file name, and no path into a folder that exists.
    """
    a_path = source.endswith(SUFFIXES) or ("/" in source and Path(source).parent.is_dir())
    return not a_path and re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", source) is not None


def hub_checkpoint(name: str) -> Path:
    """The checkpoint of a hub model: safetensors if the model has them, else torch's; nothing else is downloaded.

    What the local cache holds is taken from there, without asking the network.

    Raises
    ------
    FileNotFoundError
        If the hub has no such model or no checkpoint of it, or cannot be reached and the cache does not hold it.
    ImportError
        If the package huggingface_hub is not installed.
    """
    hub = optional_import("huggingface_hub", f"the hub name {name!r}")
    for part in ("constants", "errors", "utils"):
        importlib.import_module(f"huggingface_hub.{part}")
    missing = f"source={name!r}: there is no such file or folder, and as a hub name"
    if found := _fetch(hub, name, local_files_only=True):
        return found
    if hub.constants.HF_HUB_OFFLINE:
        raise FileNotFoundError(f"{missing} it is not in the local cache, while HF_HUB_OFFLINE forbids to download it")
    try:
        # The hub's own functions go on trying for half a minute where there is no network; so ask once, first.
        hub.utils.get_session().head(hub.constants.ENDPOINT, timeout=_TIMEOUT)
    except Exception as error:  # of requests or httpx, by the version of huggingface_hub
        reason = f"the hub cannot be reached ({type(error).__name__})"
        raise FileNotFoundError(f"{missing} it is not in the local cache, and {reason}") from None
    try:
        found = _fetch(hub, name, local_files_only=False)
    except hub.errors.GatedRepoError:
        raise FileNotFoundError(f"{missing} it is gated: accept its licence on the hub and log in") from None
    except hub.errors.RepositoryNotFoundError:
        raise FileNotFoundError(f"{missing} the hub does not know it (or it is private)") from None
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"{missing} it could not be downloaded: {error}") from None
    if found is None:
        raise FileNotFoundError(f"{missing} it holds none of {', '.join(FOLDER_FILES)}")
    return found


def _fetch(hub: Any, name: str, local_files_only: bool) -> Path | None:
    """The first of FOLDER_FILES that there is, with all of its shards; None where there is none."""
    for filename in FOLDER_FILES:
        try:
            path = _file(hub, name, filename, local_files_only)
            if filename.endswith(".index.json"):
                for shard in shards_of(path):
                    _file(hub, name, shard, local_files_only)
        except hub.errors.LocalEntryNotFoundError:
            if not local_files_only:  # the network broke off
                raise
        except hub.errors.EntryNotFoundError:
            pass
        else:
            return path
    return None


def _file(hub: Any, name: str, filename: str, local_files_only: bool) -> Path:
    options = {"local_files_only": local_files_only, "etag_timeout": _TIMEOUT}
    return Path(hub.hf_hub_download(name, filename, **options))
