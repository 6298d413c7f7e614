"""Publishing weights on the Hugging Face hub, with a model card."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from vepe.errors import VepeError, one_line
from vepe.formats.files import read_text
from vepe.inference.model_files import (
    DEFAULT_FILE,
    EXPORTED_SUFFIXES,
    PREFIX,
    SUFFIX,
    WeightsCard,
    find_weights,
    read_card,
)

_REPO = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_RELATIVE_LINK = re.compile(r"!?\[([^\]]*)\]\((?![a-z]+:|#)[^)]*\)")
"""Markdown links to other files, which a repository of weights does not have."""

_TRANSPORTS = ("httpx", "httpx2", "requests")


def checked_card(
    weights: str | Path, repo: str, text: Path | None = None, licence: str = ""
) -> tuple[Path, str]:
    """The file that `push_weights` would upload, and its model card; arguments as there.

    Raises:
        VepeError: where the name is malformed, or weights or text cannot be read.
    """
    if not _REPO.fullmatch(repo):
        raise VepeError(f"'{repo}' is no name of a repository; write OWNER/REPO.")
    path = find_weights(weights)
    if path.suffix in EXPORTED_SUFFIXES:
        raise VepeError(
            f"'{path}' is an exported model; push the weights that it was made from ({SUFFIX})."
        )
    return path, model_card(read_card(path), repo, card_text(path, text), licence)


def model_card(card: WeightsCard, repo: str, text: str | None = None, licence: str = "") -> str:
    """The `README.md` of a repository of weights: the hub's header, how to use it, what it is.

    Args:
        card: metadata of the weights.
        repo: OWNER/REPO.
        text: Markdown about data, scores and limits; the metadata's history if None. Of links to
            files the words stay.
        licence: the hub's name of a licence, such as 'apache-2.0'.
    """
    config = card.config
    header: dict[str, object] = {"library_name": "vepe", "pipeline_tag": "keypoint-detection"}
    header |= {"license": licence} if licence else {}
    header["tags"] = ["pose-estimation", "multi-person", "video", "tracking", "vepe"]
    history = yaml.safe_dump(card.training, sort_keys=False, allow_unicode=True)
    about = (
        _RELATIVE_LINK.sub(r"\1", text)
        if text is not None
        else f"## History\n\n```yaml\n{history}```"
    )
    keypoints = config.skeleton.keypoints
    return (
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n# {repo.partition('/')[2]}\n\n"
        f"Weights of VEPE (video end-to-end pose estimation), model {config.name}: the poses and "
        "track ids of all people in a video.\n\n"
        f"```sh\nvepe track video.mp4 --model {PREFIX}{repo}\n```\n\n"
        f'```python\nimport vepe\n\nfor frame in vepe.load("{PREFIX}{repo}").track('
        f'"video.mp4"):\n    print(frame.track_ids)\n```\n\n'
        f"| | |\n|---|---|\n| backbone | {config.backbone} |\n| input | {config.input_px} px |\n"
        f"| window | {config.temporal.window} frames |\n| size | {card.bytes / 1e6:.1f} MB |\n"
        f"| written by | VEPE {card.version} |\n| keypoints | {len(keypoints)}: "
        f"{', '.join(keypoints)} |\n\n{about.strip()}\n"
    )


def push_weights(
    weights: str | Path,
    repo: str,
    *,
    text: Path | None = None,
    licence: str = "",
    private: bool = False,
    overwrite: bool = False,
    revision: str | None = None,
) -> str:
    """Uploads weights and a model card to the hub in one commit; returns the address for `--model`.

    Args:
        weights: a preset with bundled weights, or a `.safetensors` file.
        repo: OWNER/REPO; created where it does not exist.
        text: Markdown for the card; default: the `.md` file next to the weights, if there is one.
        licence: the hub's name of a licence.
        private: whether a new repository is private.
        overwrite: whether weights that are there may be replaced.
        revision: branch; the main one by default.

    Raises:
        VepeError: where the weights cannot be read, the name is malformed, or the hub refuses or
            cannot be reached; the message says what to do.
    """
    path, readme = checked_card(weights, repo, text, licence)
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    api = HfApi()
    try:
        api.create_repo(repo, private=private or None, exist_ok=True)
        if not overwrite and api.file_exists(repo, DEFAULT_FILE, revision=revision):
            raise VepeError(
                f"{repo} has weights already; add --overwrite to replace them and their card, or "
                "name another repository or --revision."
            )
        files = [
            CommitOperationAdd(DEFAULT_FILE, str(path)),
            CommitOperationAdd("README.md", readme.encode()),
        ]
        message = f"Weights of VEPE: {path.name}"
        api.create_commit(repo, files, commit_message=message, revision=revision)
    except errors.LocalTokenNotFoundError:
        why = "nobody is logged in: run `hf auth login`"
    except errors.RevisionNotFoundError:
        why = f"it has no branch '{revision}': create it first"
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        login = "you may not write there: run `hf auth login` with a token that may write"
        why = login if status in (401, 403) else str(error).splitlines()[0].rstrip(".")
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0].rstrip(".")
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _TRANSPORTS:
            raise
        why = f"the hub cannot be reached ({one_line(error)}): check the network"
    else:
        return f"{PREFIX}{repo}" + (f"@{revision}" if revision else "")
    raise VepeError(f"'{path}' could not be uploaded to {repo}; {why}.")


def card_text(weights: Path, text: Path | None) -> str | None:
    """The Markdown for a card, from a file or from the one next to the weights.

    Raises:
        VepeError: where the file is missing or not UTF-8.
    """
    if text is None:
        text = weights.with_suffix(".md")
        if not text.is_file():
            return None
    return read_text(text)
