"""The benchmark's measurements as a table, each beside its wanted value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tabulate import tabulate

from benchmarks.processes import Measurements

Results = dict[str, dict[str, Measurements]]
HEADERS = ("figure", "measured", "wanted", "met")


@dataclass(frozen=True)
class Row:
    """A measurement.

    Attributes:
        what: was measured.
        value: as shown.
        wanted: in words; empty: nothing.
        met: whether it is; None where nothing is wanted.
    """

    what: str
    value: str
    wanted: str = ""
    met: bool | None = None


def at_least(what: str, value: float, least: float, digits: int = 2) -> Row:
    """Return a row whose value should not be below ``least``."""
    return Row(what, f"{value:.{digits}f}", f"≥ {least:g}", value >= least)


def at_most(what: str, value: float, most: float, unit: str = "", digits: int = 2) -> Row:
    """Return a row whose value should not be above ``most``."""
    return Row(what, f"{value:.{digits}f}{unit}", f"≤ {most:.3g}{unit}", value <= most)


def _steps(found: dict[str, Measurements]) -> Iterator[Row]:
    least = {"default": 0.90, "resnet18": 0.95}
    for setting, wanted in least.items():
        for strategy in ("finetune", "cassle"):
            if measured := found.get(f"{setting} {strategy}"):
                yield at_least(
                    f"step efficiency, {setting}, {strategy} (share of bare arithmetic)",
                    measured["efficiency"],
                    wanted,
                )
        both = [found.get(f"{setting} {name}") for name in ("cassle", "finetune")]
        if both[0] and both[1]:
            most = 1.33 if setting == "default" else 1.05 * both[0]["ideal_price"]
            yield _price(setting, "cassle", both[0], both[1], most)


def _price(
    setting: str, strategy: str, own: Measurements, finetune: Measurements, most: float | None
) -> Row:
    """Return a strategy's step over fine-tuning's, and what its operations alone would cost."""
    price = own["full_over_bare_finetune"] / finetune["full_over_bare_finetune"]
    what = f"price of {strategy}, {setting} (step over fine-tuning's)"
    value = f"{price:.2f} (operations alone {own['ideal_price']:.2f})"
    return Row(what, value) if most is None else Row(what, value, f"≤ {most:.3g}", price <= most)


def _precision(found: dict[str, Measurements]) -> Iterator[Row]:
    """Only on one thread, and where a CPU multiplies bfloat16, is something wanted."""
    times = {"small_resnet": 1.3, "resnet18": 1.7}
    share = {"small_resnet": 0.75, "resnet18": 0.95}
    for name, measured in found.items():
        network, threads = name.split()
        where = f"{network} at 28×28, {threads} thread{'' if threads == '1' else 's'}"
        faster = measured["32-true"] / measured["bf16-mixed"]
        reached = measured["gflop"] / measured["32-true"] / measured["peak"]
        rows = (
            at_least(
                f"step of cassle in bf16-mixed, times as fast, {where}", faster, times[network]
            ),
            at_least(
                f"step of cassle in float32, share of the rate of matrix products, {where}",
                reached,
                share[network],
            ),
        )
        wanted = threads == "1" and measured["native_bf16"]
        yield from rows if wanted else (Row(row.what, row.value) for row in rows)


def _strategies(found: dict[str, Measurements]) -> Iterator[Row]:
    finetune = found["finetune"]
    for name, measured in found.items():
        if name != "finetune":
            yield _price("default", name, measured, finetune, None)


def _memory(found: dict[str, Measurements]) -> Iterator[Row]:
    for name, measured in found.items():
        setting, strategy = name.split()
        yield Row(f"peak memory, {setting}, {strategy}", f"{measured['peak_mib']:.0f} MiB")


def _augmentation(found: dict[str, Measurements]) -> Iterator[Row]:
    rates = found["images a second"]
    yield Row("augmentation at 32×32, two views, images a second", f"{rates['ours']:.0f}")
    yield at_least("… over Kornia's", rates["ours"] / rates["kornia"], 5)
    ratio = rates["ours"] / rates["torchvision"]
    yield Row("… over torchvision's, an image at a time", f"{ratio:.2f}")
    yield Row(
        "… with bicubic crops, of those with bilinear ones",
        f"{rates['bicubic'] / rates['ours']:.2f}",
    )
    yield Row(
        "… with DALI's jitter, of those with torchvision's", f"{rates['dali'] / rates['ours']:.2f}"
    )
    yield Row(
        "augmentation at 224×224, whole images of 4:3, of those of squares",
        f"{rates['whole'] / rates['squares']:.2f}",
    )


def _evaluation(found: dict[str, Measurements]) -> Iterator[Row]:
    measured = found["seconds"]
    ratio = measured["extract"] / measured["plain"]
    yield Row("features of all images over one plain pass", f"{ratio:.2f}")


def _startup(found: dict[str, Measurements]) -> Iterator[Row]:
    measured = found["seconds"]
    reference = measured["all three libraries"]
    yield Row("importing torch, torchvision and pytorch_lightning", f"{reference:.2f} s")
    for name, taken in measured.items():
        if name == "report" or name.startswith("cassle "):
            kind = "" if name.startswith("cassle ") else "start of "
            yield at_most(f"{kind}{name}", taken, 1, " s")
        elif name != "all three libraries":
            yield Row(f"start of {name}", f"{taken:.2f} s")


def _whole(found: dict[str, Measurements]) -> Iterator[Row]:
    measured = found["seconds"]
    plain = found.get("plain pass", {}).get("plain")
    yield at_most("default pipeline, from a clone", measured["seconds"], 200, " s", digits=0)
    yield Row("… training", f"{measured['training_seconds']:.0f} s")
    yield at_most("… evaluation of all states", measured["evaluation_seconds"], 8, " s", digits=1)
    yield Row("… arithmetic", f"{measured['arithmetic_seconds']:.0f} s")
    yield at_most("… all but arithmetic, share", measured["rest_share"], 0.2)
    yield at_most("`dvc repro` with nothing to do", measured["nothing_to_do_seconds"], 1.5, " s")
    if plain:
        ratio = measured["evaluation_seconds"] / plain
        yield Row("evaluation of all states over one plain pass", f"{ratio:.0f}")


def _peers(found: dict[str, Measurements]) -> Iterator[Row]:
    for setting, least in (("default", 5.0), ("resnet18", 1.4)):
        measured = found.get(setting)
        if measured:
            ours, theirs = measured["ours"], measured["lightly"]
            yield Row(f"SimCLR, {setting}, images a second", f"{ours:.1f} (lightly {theirs:.1f})")
            yield at_least("… over lightly's", ours / theirs, least)
            peaks = (
                f"{measured['ours_peak_mib']:.0f} MiB (lightly {measured['lightly_peak_mib']:.0f})"
            )
            yield Row("… peak memory", peaks)


ROWS: dict[str, Callable[[dict[str, Measurements]], Iterator[Row]]] = {
    "steps": _steps,
    "precision": _precision,
    "strategies": _strategies,
    "memory": _memory,
    "augmentation": _augmentation,
    "evaluation": _evaluation,
    "startup": _startup,
    "whole": _whole,
    "peers": _peers,
}


def rows(results: Results) -> list[Row]:
    """Return the table's rows for all measured parts."""
    return [row for part, make in ROWS.items() if part in results for row in make(results[part])]


def markdown(results: Results, machines: Mapping[str, str]) -> str:
    """Return the table as Markdown.

    Args:
        results: measurements by part and name.
        machines: the machine of each part.
    """
    shown = [
        (row.what, row.value, row.wanted, "" if row.met is None else "yes" if row.met else "**no**")
        for row in rows(results)
    ]
    table = tabulate(shown, HEADERS, tablefmt="github", disable_numparse=True)
    return f"# Benchmark\n\n{_where(results, machines)}\n\n{table}\n"


def _where(results: Results, machines: Mapping[str, str]) -> str:
    """Return the machine of all parts, or the parts of each machine."""
    places = sorted({machines[part] for part in results})
    if len(places) == 1:
        return f"`make bench`, on {places[0]}."
    parts = {place: [part for part in results if machines[part] == place] for place in places}
    return "\n".join(f"- on {place}: {', '.join(parts[place])}" for place in places)
