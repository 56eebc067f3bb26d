"""Tables of a result with many measurements: one figure of all implementations in all measurements of a group."""

from collections.abc import Callable
from typing import Any

from _spread import spread

One = dict[str, Any]
"""The figures of one implementation in one measurement."""


def pivot(result: dict[str, Any], group: str) -> dict[str, list[list[str]]]:
    """The tables of one group of measurements, by what they show; the head first, empty where nothing is known.

    Args:
        result: `measurements`, each with `group`, `title`, `subject` and under `implementations` for each name a
            `label`, the `seconds` of every round and what else is known, such as `scratch_mb` or `share`.
        group: which of them.
    """
    measurements = [one for one in result["measurements"] if one["group"] == group]
    labels = {}
    for measurement in measurements:
        for name, one in measurement["implementations"].items():
            labels[name] = one["label"] + ("*" if "differs" in one else "")
    return {caption: _table(measurements, labels, cell) for caption, cell in FIGURES.items()}


def notes(result: dict[str, Any]) -> list[str]:
    """What the tables do not say: whose neuron differs, and who is absent."""
    lines = {}
    for measurement in result.get("measurements", ()):
        for one in measurement["implementations"].values():
            if "differs" in one:
                lines[f"\\* {one['label']}: {one['differs']}."] = None
    absent = [f"Absent: {label}, {reason}." for label, reason in result.get("absent", {}).items()]
    return [line for text in (*lines, *absent) for line in (text, "")]


def _table(
    measurements: list[dict[str, Any]], labels: dict[str, str], cell: Callable[[One, One], str]
) -> list[list[str]]:
    """One figure: the implementations down and the measurements across, or the other way where these are more."""
    rows = []
    for measurement in measurements:
        everyone = measurement["implementations"]
        subject = everyone[measurement["subject"]]
        rows.append([cell(everyone[name], subject) if name in everyone else "" for name in labels])
    if not any(text for row in rows for text in row):
        return []
    whole = [["", *labels.values()], *([one["title"], *row] for one, row in zip(measurements, rows, strict=True))]
    return whole if len(measurements) > len(labels) else [list(column) for column in zip(*whole, strict=True)]


def _time(one: One, subject: One) -> str:
    """The subject's milliseconds; how many times as long the others take, within each round."""
    if one is subject:
        return "{:.3g} ms ({:.3g} to {:.3g})".format(*(1e3 * s for s in spread(one["seconds"])))
    ratios = (time / its for time, its in zip(one["seconds"], subject["seconds"], strict=True))
    return "{:.2f}x ({:.2f} to {:.2f})".format(*spread(ratios))


def _number(key: str, form: str) -> Callable[[One, One], str]:
    return lambda one, subject: form.format(one[key]) if key in one else ""


BRIEF = ("time", "scratch, MB", "GB/s", "share of the limit reached")
"""What the terminal shows; Markdown has all."""
FIGURES: dict[str, Callable[[One, One], str]] = {
    "time": _time,
    "scratch, MB": _number("scratch_mb", "{:.1f}"),
    "peak memory of the process, MB": _number("peak_mb", "{:.0f}"),
    "memory of the device, MB": _number("device_mb", "{:.0f}"),
    "page faults a call": _number("faults", "{:.0f}"),
    "first call, s": _number("first_s", "{:.2f}"),
    "largest error of a gradient, of the largest": _number("gradient_error", "{:.0e}"),
    "GB/s": _number("gb_per_s", "{:.1f}"),
    "bytes that an element-step moves at least": _number("bytes", "{:.0f}"),
    "share of the limit reached": _number("share", "{:.0%}"),
}
"""What tables show, and how: the figures of one implementation and of the subject to text."""
