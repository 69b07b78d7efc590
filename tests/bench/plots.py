"""The plots of a bench.json: PNGs, drawn from its details and figures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from matplotlib.figure import Figure as Canvas

WIDTH = 10.0  # inches, at 100 pixels each
COLOURS = ("#3366aa", "#dd8833", "#449966", "#aa4455", "#777777", "#8866bb")

Details = Mapping[str, Any]


def png(canvas: Canvas) -> bytes:
    written = io.BytesIO()
    canvas.savefig(written, format="png", dpi=100)
    return written.getvalue()


def timeline(run: Details, title: str) -> bytes:
    """Where each second of a run goes: one bar for each step."""
    steps = sorted(run["timeline"], key=lambda step: (step["start_s"], step["step"]))
    canvas = Canvas(figsize=(WIDTH, 1.4 + 0.26 * len(steps)), layout="constrained")
    axes = canvas.subplots()
    for row, step in enumerate(steps):
        colour = COLOURS[0] if step["step"].startswith("boot") else COLOURS[1]
        axes.barh(row, step["duration_s"], left=step["start_s"], color=colour)
        axes.text(step["start_s"] + step["duration_s"], row, f" {step['duration_s']:.1f} s", va="center", fontsize=8)
    axes.set_yticks(range(len(steps)), [step["step"] for step in steps], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, run["seconds"] * 1.06)
    axes.set_xlabel("seconds since the run began")
    axes.set_title(f"{title}: {run['seconds']:.0f} s")
    axes.grid(axis="x", alpha=0.3)
    return png(canvas)


def processes(cpu: Mapping[str, float], cores: int) -> bytes:
    """The CPU seconds of a quiet run, by kind of process."""
    spent = [(kind, seconds) for kind, seconds in cpu.items() if seconds >= 0.5]
    canvas = Canvas(figsize=(WIDTH, 1.4 + 0.3 * len(spent)), layout="constrained")
    axes = canvas.subplots()
    bars = axes.barh([kind for kind, _ in spent], [seconds for _, seconds in spent], color=COLOURS[0])
    axes.bar_label(bars, fmt=" %.1f", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds")
    total = sum(cpu.values())
    axes.set_title(
        f"Quiet checks: {total:.0f} CPU seconds; on {cores} cores no run is shorter than {total / cores:.0f} s"
    )
    return png(canvas)


def growth(figures: Mapping[str, Details]) -> bytes:
    """Seconds by workers, both axes logarithmic: census, tasks that ask nothing, by hand."""
    names = {"census": "census", "bare tasks": "tasks that ask nothing", "by hand": "by hand, one after another"}
    canvas = Canvas(figsize=(WIDTH * 0.7, 4), layout="constrained")
    axes = canvas.subplots()
    for colour, (prefix, label) in zip(COLOURS, names.items(), strict=False):
        found = {
            int(name.removeprefix(f"{prefix} ")): row["median"]
            for name, row in figures.items()
            if name.startswith(f"{prefix} ") and name.removeprefix(f"{prefix} ").isdigit()
        }
        sizes = sorted(found)
        axes.plot(sizes, [found[size] for size in sizes], "o-", color=colour, label=label)
        for size in sizes:
            axes.annotate(
                f"{found[size]:.1f} s", (size, found[size]), textcoords="offset points", xytext=(4, 5), fontsize=8
            )
    axes.margins(x=0.12)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("workers, all on this machine")
    axes.set_ylabel("seconds (median)")
    axes.set_title("Asking every worker")
    axes.legend()
    axes.grid(alpha=0.3)
    return png(canvas)


def phases(found: Details, titles: Mapping[str, str]) -> bytes:
    """A round trip's legs, end to end, above its floor's (medians)."""
    canvas = Canvas(figsize=(WIDTH, 2.8), layout="constrained")
    axes = canvas.subplots()
    bars = {"its floor": found["floor"], "round trip": found["legs"]}
    for row, parts in enumerate(bars.values()):
        left = 0.0
        for colour, (leg, title) in zip(COLOURS, titles.items(), strict=False):
            if leg not in parts:
                continue
            width = median(parts[leg])
            axes.barh(row, width, left=left, color=colour, label=title if row else None)
            if width > 0.04:
                axes.text(left + width / 2, row, f"{width:.2f}", ha="center", va="center", color="white", fontsize=8)
            left += width
        axes.text(left, row, f" {left:.2f} s", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.margins(x=0.08)
    axes.set_xlabel("seconds (medians)")
    axes.set_title("A deliberation of one agent, alone")
    canvas.legend(fontsize=8, loc="outside lower center", ncols=3)
    return png(canvas)


def throughput(found: Details) -> bytes:
    """Agent jobs a second beside bare actors, by how many are in flight."""
    canvas = Canvas(figsize=(WIDTH * 0.7, 3.6), layout="constrained")
    axes = canvas.subplots()
    for offset, (kind, label) in enumerate((("agents", "agent jobs"), ("bare", "bare actors"))):
        heights = [median(row[kind]) for row in found.values()]
        places = [place + 0.36 * offset - 0.18 for place in range(len(found))]
        bars = axes.bar(places, heights, width=0.34, color=COLOURS[offset], label=label)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks(range(len(found)), [f"{count} in flight" for count in found])
    axes.set_ylabel("a second (median)")
    axes.set_title("Throughput")
    axes.legend()
    return png(canvas)


def drawn(figures: list[dict[str, Any]], details: Details, titles: Mapping[str, str]) -> dict[str, bytes]:
    """Every plot that what was measured has the figures for, by file name."""
    by_name = {row["name"]: row for row in figures}
    plots: dict[str, Callable[[], bytes]] = {}
    if "suite" in details:
        plots["timeline-quiet.png"] = lambda: timeline(details["suite"]["quiet"], "Checks that disturb nothing")
        plots["timeline-whole.png"] = lambda: timeline(details["suite"]["whole"], "The whole checklist")
        plots["cpu-quiet.png"] = lambda: processes(details["suite"]["cpu_s"], details["suite"]["cores"])
    if "census" in details:
        plots["census.png"] = lambda: growth(by_name)
    if "round-trip" in details:
        plots["round-trip.png"] = lambda: phases(details["round-trip"], titles)
    if "throughput" in details:
        plots["throughput.png"] = lambda: throughput(details["throughput"])
    return {name: draw() for name, draw in plots.items()}
