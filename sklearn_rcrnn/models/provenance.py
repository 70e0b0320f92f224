"""The models that a model started from, and the license and attribution that follow."""

from __future__ import annotations

from typing import Any

# The origin of a model, as far as it is known. `license` and `attribution` are texts;
# `started_from` lists the models that training started from, the latest first, each with `name`,
# `weights_sha256`, `license` and `attribution`.
Provenance = dict[str, Any]
# What is not stored with a model, because it follows from its folder.
OF_THE_FOLDER = ("name", "weights_sha256")
_OWN = (*OF_THE_FOLDER, "license", "attribution")


def provenance_of(estimator: Any) -> Provenance:
    """Where the weights of a fitted estimator come from.

    Parameters
    ----------
    estimator : fitted estimator
        Trained here, or loaded.

    Returns
    -------
    dict
        ``license``, ``attribution`` and ``started_from``, as far as they are known. A model that
        starts from weights under a license is under that license, too.

    Examples
    --------
    >>> from sklearn_rcrnn import load_pretrained
    >>> provenance_of(load_pretrained("rare-events")[-1])["license"]
    'CC BY-NC 4.0'
    """
    if not hasattr(estimator, "pretrainer_"):
        return dict(getattr(estimator, "provenance_", {}))
    start = estimator.pretrainer_
    theirs = {} if start is None else provenance_of(start)
    if not theirs:
        return {}
    named: Provenance = {key: theirs[key] for key in _OWN if key in theirs}
    chain = [named, *theirs.get("started_from", [])] if "name" in named else []
    carried: Provenance = {key: theirs[key] for key in ("license", "attribution") if key in theirs}
    return {**carried, "started_from": chain or theirs.get("started_from", [])}


def check_provenance(value: Any) -> Provenance:
    """Return the provenance in a description; ValueError if it is malformed."""
    texts = [value, *(value.get("started_from") or [])] if isinstance(value, dict) else [None]
    for entry in texts:
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(key, ""), str) for key in _OWN
        ):
            raise ValueError(
                "provenance must be an object with the texts license and attribution and the "
                f"list started_from of such objects; got {value!r}"
            )
    return value


def provenance_lines(provenance: Provenance) -> list[str]:
    """Write the provenance as Markdown lines for a model card; none if nothing is known.

    Examples
    --------
    >>> provenance_lines({"license": "CC0", "started_from": [{"name": "general"}]})
    ['- started from: general', '- license of the weights: CC0']
    """
    lines = []
    if chain := provenance.get("started_from"):
        names = [
            f"{entry.get('name', 'a model')} ({entry['license']})"
            if "license" in entry and entry["license"] != provenance.get("license")
            else entry.get("name", "a model")
            for entry in chain
        ]
        lines.append(f"- started from: {', which started from '.join(names)}")
    if license_ := provenance.get("license"):
        lines.append(f"- license of the weights: {license_}")
    if attribution := provenance.get("attribution"):
        lines.append(f"- attribution: {attribution}")
    return lines
