"""Figure 6 of the LSRS paper for this machine: time over the number of candidates."""

from __future__ import annotations

from typing import Any

from tts.evaluation.sweep.drawing import Plot, entitle, finish, look, panels, powers_of_two, style


def overhead_plot(record: dict[str, Any]) -> Plot:
    """A panel with the decoder and one without; a line a batch size."""
    with style():
        figure, axes = panels(2)
        parts = ("overhead", "with the decoder"), ("overhead_without_decoder", "without the decoder")
        for one, (key, title) in zip(axes, parts, strict=True):
            for number, batch in enumerate(sorted({point["batch"] for point in record["points"]})):
                rows = [point for point in record["points"] if point["batch"] == batch]
                spreads = [row[key]["percent"] for row in rows]
                bars = [
                    [max(0.0, found["median"] - found["low"]) for found in spreads],
                    [max(0.0, found["high"] - found["median"]) for found in spreads],
                ]
                xs, ys = [row["candidates"] for row in rows], [found["median"] for found in spreads]
                one.errorbar(xs, ys, bars, label=f"batch {batch}", **look(number))
            powers_of_two(one, [point["candidates"] for point in record["points"]])
            entitle(one, f"Added time, % of M = 1, {title}")
        axes[-1].set_xlabel("candidates M")
        finish(figure, axes)
    name = record["backbone"]
    caption = (
        f"{name}, {record['sampler']} sampler, {record['dtype']}, {record['environment']['device_name']}."
    )
    return Plot("overhead", f"What candidates cost, {name}", caption, "6", figure)
