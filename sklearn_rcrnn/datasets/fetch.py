"""Download DCASE 2017 task 2 from Zenodo with pooch."""

from __future__ import annotations

import os
import time
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock

from .layout import DEVELOPMENT, EVALUATION

_ZENODO = "https://zenodo.org/record/{record}/files/"

# A download is given up after this many attempts without any data.
_TRIES = 3
# Seconds before another attempt when the server is busy.
_PAUSE = 5.0
# Size of a block in bytes; an incomplete block is dropped.
_BLOCK = 1 << 14
# File name without the name of the package, size in bytes, and MD5 sum.
_DEVELOPMENT_FILES = [
    ("doc.zip", 21042, "47c424fe90d2bdc53d9fdd84341c2783"),
    ("code.zip", 81518, "4cacdf0803daf924a60bf9daa573beb7"),
    ("source_data_bgs_and_cvsetup.1.zip", 1072175672, "6f1f4156d41b541d1188fcf44c9a8267"),
    ("source_data_bgs_and_cvsetup.2.zip", 1073378284, "ff5dcbe250e45cc404b7b8a6013002ac"),
    ("source_data_bgs_and_cvsetup.3.zip", 1069766123, "fb356ae309a40d2f0a38fc1c746835cb"),
    ("source_data_bgs_and_cvsetup.4.zip", 1070042681, "2a68575b2ec7a69e2cc8b16b87fae0c9"),
    ("source_data_bgs_and_cvsetup.5.zip", 1073380909, "84e70d855457a18115108e42ec04501a"),
    ("source_data_bgs_and_cvsetup.6.zip", 1073021941, "048ce898bd434097dd489027f7ba361d"),
    ("source_data_bgs_and_cvsetup.7.zip", 1069890239, "3ef1c89fcfac39918a5edc5abc6ed29b"),
    ("source_data_bgs_and_cvsetup.8.zip", 180860904, "69dcb81e70f4e6605e178693afcd7722"),
    ("source_data_events.zip", 639119477, "dc4b7eb77078b4cf1b670c6362679473"),
]
_EVALUATION_FILES = [
    ("doc.zip", 11701, "36db98a94ce871c6bdc5bd5238383114"),
    ("mixture_data.1.zip", 1071143794, "db4aecd5175dead27ceb2692e7f28bb1"),
    ("mixture_data.2.zip", 1071773516, "e97d5842c46805cdb94e6d4017870cde"),
    ("mixture_data.3.zip", 1073505512, "1fe20c762cecd26979e2c5303c8e9f48"),
    ("mixture_data.4.zip", 1071132551, "5042cd00aed9af6b37a253e24f88554f"),
    ("mixture_data.5.zip", 308314939, "72180597ed5bfaa73491755f74b84738"),
]
PACKAGES = {
    "development": (DEVELOPMENT, _ZENODO.format(record=401395), _DEVELOPMENT_FILES),
    "evaluation": (EVALUATION, _ZENODO.format(record=1160455), _EVALUATION_FILES),
}


def fetch_dcase2017_rare(
    root: str | PathLike[str] | None = None,
    subset: Literal["development", "evaluation", "all"] = "all",
    *,
    dry_run: bool = False,
    keep_archives: bool = False,
    verbose: int = 1,
    packages: dict[str, Any] | None = None,
) -> Path:
    """Download the data of DCASE 2017 task 2 and unpack it.

    First the files to download and their size are printed. Each archive is checked against its
    md5 sum and unpacked as soon as it is complete. Archives that were unpacked before are not
    downloaded again, and an interrupted download continues where it stopped.

    Parameters
    ----------
    root : str or PathLike, default=None
        Folder for the data; by default a folder in the user's cache.
    subset : {"development", "evaluation", "all"}, default="all"
        8.3 GB of source material, 4.6 GB of mixtures, or both.
    dry_run : bool, default=False
        Only print what would be downloaded.
    keep_archives : bool, default=False
        Keep the ZIP files beside what was unpacked.
    verbose : int, default=1
        0 prints nothing; 1 prints what is done, with progress bars.
    packages : dict, default=None
        Other sources in place of the two Zenodo records: subset to (name, base URL, list
        of (file, bytes, md5)); for mirrors.

    Returns
    -------
    Path
        `root`, for :func:`load_dcase2017_rare`.

    Raises
    ------
    ValueError
        For an unknown subset, or for an archive whose checksum is wrong again and again.
    OSError
        If a download stops. Call the function again to continue it.

    Examples
    --------
    >>> root = fetch_dcase2017_rare("data", dry_run=True)
    development: 11 files, 8.32 GB to download
    evaluation: 6 files, 4.60 GB to download
    """
    import pooch

    packages = PACKAGES if packages is None else packages
    chosen = list(packages) if subset == "all" else [subset]
    unknown = [name for name in chosen if name not in packages]
    if unknown:
        raise ValueError(f'subset must be "all" or of {list(packages)}; got {subset!r}')
    root = Path(pooch.os_cache("sklearn_rcrnn") if root is None else root)
    missing = {name: _missing(root, *packages[name]) for name in chosen}
    _announce(missing, verbose)
    if dry_run:
        return root
    root.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        package, url, _ = packages[name]
        for file, size, md5 in missing[name]:
            # A second process that wants the same waits here, and then finds everything done.
            with FileLock(root / f".{package}.{file}.lock"):
                if _marker(root, package, file).exists():
                    continue
                part = _Part(f"{url}{package}.{file}", root / f"{package}.{file}.part", size)
                archive = _download(part, f"{package}.{file}", md5, verbose)
                _unpack(archive, root / package)
                _marker(root, package, file).touch()
                if not keep_archives:
                    archive.unlink()
    return root


class _Part(NamedTuple):
    """A file of known size, whose beginning may have been downloaded already."""

    url: str
    path: Path
    size: int


def _announce(missing: dict[str, list], verbose: int) -> None:
    if not verbose:
        return
    for name, files in missing.items():
        size = sum(size for _, size, _ in files)
        print(f"{name}: {len(files)} files, {size / 1e9:.2f} GB to download")


def _missing(root: Path, package: str, url: str, files: list) -> list:
    return [entry for entry in files if not _marker(root, package, entry[0]).exists()]


def _marker(root: Path, package: str, file: str) -> Path:
    """The file that marks an archive as completely unpacked."""
    return root / package / f".{file}.done"


def _download(part: _Part, name: str, md5: str, verbose: int) -> Path:
    import pooch

    def resume(url: str, output_file: str, _: Any) -> None:
        _fetch_all(part, bool(verbose))
        os.replace(part.path, output_file)

    path = pooch.retrieve(
        part.url, f"md5:{md5}", fname=name, path=part.path.parent, downloader=resume
    )
    return Path(path)


def _fetch_all(part: _Part, progress: bool) -> None:
    """Download until the file is complete; an OSError says how far it got."""
    import requests

    error: Exception | None = None
    failed, from_scratch = 0, False
    while (have := _have(part)) < part.size and failed < _TRIES:
        try:
            _fetch_rest(part, have, progress)
        except requests.HTTPError as refused:
            status = refused.response.status_code
            if status == 429 or status >= 500:  # the server is busy
                error = refused
                time.sleep(_PAUSE)
            elif status != 416:
                raise
            elif from_scratch:  # the server has no more, so its file is too short
                break
            else:
                # The file on the server is shorter than the part here, which must belong to
                # another file.
                from_scratch = True
                part.path.unlink()
        except requests.RequestException as stopped:
            error = stopped
        # Trying again is worthwhile as long as any data arrives.
        failed = 0 if _have(part) > have else failed + 1
    if have < part.size:
        why = "" if error is None else f" ({error})"
        raise OSError(
            f"{part.url} stopped after {have} of {part.size} bytes{why}. What is there is kept: "
            "repeated, the download goes on"
        ) from error


def _have(part: _Part) -> int:
    """Number of bytes downloaded so far; a file that is too long is a wrong one and deleted."""
    have = part.path.stat().st_size if part.path.exists() else 0
    if have > part.size:
        part.path.unlink()
        return 0
    return have


def _fetch_rest(part: _Part, have: int, progress: bool) -> None:
    """Download only the missing rest of a file, by a range request."""
    import requests
    from tqdm.auto import tqdm

    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(part.url, headers=headers, stream=True, timeout=60) as response:
        response.raise_for_status()
        goes_on = response.status_code == 206 and _begins_at(response, have)
        have = have if goes_on else 0
        with (
            open(part.path, "ab" if goes_on else "wb") as out,
            tqdm(
                total=part.size,
                initial=have,
                unit="B",
                unit_scale=True,
                desc=part.path.stem[-30:],
                disable=not progress,
            ) as bar,
        ):
            for block in response.iter_content(_BLOCK):
                out.write(block[: part.size - have])
                bar.update(len(block))
                have += len(block)
                if have >= part.size:
                    return


def _begins_at(response: Any, start: int) -> bool:
    """Whether a partial answer begins at the byte asked for; some servers do not say."""
    told = response.headers.get("Content-Range", "")
    return not told or told.startswith(f"bytes {start}-")


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive, which may or may not contain the folder of the package itself."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as packed:
        inside = all(name.startswith(f"{folder.name}/") for name in packed.namelist())
        packed.extractall(folder.parent if inside else folder)
