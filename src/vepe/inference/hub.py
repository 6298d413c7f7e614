"""Weights on the Hugging Face hub, by address. Only safetensors are fetched, and nothing is run."""

from __future__ import annotations

import re
from pathlib import Path

from vepe.errors import VepeError

PREFIX = "hf://"
DEFAULT_FILE = "model.safetensors"

_PART = r"[\w][\w.-]*"
_ADDRESS = re.compile(
    rf"{PREFIX}(?P<repo>{_PART}/{_PART})(@(?P<revision>[\w./-]+?))?(/(?P<file>(?:{_PART}/)*"
    rf"{_PART}\.safetensors))?"
)


def fetch_weights(address: str) -> Path:
    """The file that an address means, from the hub's cache on this machine where it is there.

    Args:
        address: `hf://OWNER/REPO`, whose file `model.safetensors` is meant;
            `hf://OWNER/REPO/FILE.safetensors` for another; `@REVISION` behind REPO for a branch,
            tag or commit.

    Raises:
        VepeError: where the address is none, or there is no such file, no network, no access, or
            no space; the text says which, and what to do.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise VepeError(
            f"'{address}' is no address of weights; write {PREFIX}OWNER/REPO or "
            f"{PREFIX}OWNER/REPO/FILE.safetensors."
        )
    # Takes a second: commands that fetch nothing should not wait for it.
    from huggingface_hub import errors, hf_hub_download

    repo, file = found["repo"], found["file"] or DEFAULT_FILE
    try:
        return Path(hf_hub_download(repo, file, revision=found["revision"]))
    except errors.GatedRepoError:
        why = "its owner must let you in: ask on its page, then `hf auth login`"
    except errors.RepositoryNotFoundError:
        why = "there is no such repository, or it is private: check the name, or `hf auth login`"
    except errors.RevisionNotFoundError:
        why = f"it has no revision '{found['revision']}': check the name"
    except errors.LocalEntryNotFoundError:
        why = "the hub cannot be reached and no copy is on this machine: check the network"
    except errors.EntryNotFoundError:
        why = f"it has no file '{file}': name the one you mean behind the repository"
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        why = f"{str(error).splitlines()[0].rstrip('.')}: try again, or fetch the file by hand"
    raise VepeError(f"'{address}' could not be fetched; {why}.") from None
