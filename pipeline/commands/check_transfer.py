"""What check understood of the labelled data beside the stream."""

from __future__ import annotations

from pipeline.building.transfer_images import explain_problem, open_transfer, require_usable
from pipeline.config.params import Params
from pipeline.config.plan_data import plan_reading
from pipeline.config.plan_transfer import choose_transfer
from pipeline.data.parts import PARTS
from pipeline.errors import DataError


def check_transfer(params: Params) -> list[str]:
    """Say what the data of ``evaluation.transfer`` hold; return a line for each problem."""
    plan, problems = choose_transfer(params), []
    for data in () if plan is None else plan.data:
        try:
            source = open_transfer(data, plan_reading(params), look=False)
            if wanted := source.describe_download():
                print(
                    f"transfer: {data.name}: plan has to fetch or unpack {wanted}; without a "
                    "network it says what to put there"
                )
                continue
            require_usable(source, plan)
        except DataError as error:
            problems.append(explain_problem(data, error))
            continue
        counts = {part: len(source.labels(part)) for part in PARTS}
        print(
            f"transfer: {data.name}: {len(source.class_names())} classes, {counts['train']} "
            f"images to learn from, {counts['test']} to test on"
        )
    return problems
