"""Whether all models of a plan fit the data, before the first one trains.

    python -m jobs.fit.check PLAN STORE FOLDS OUT.json [--budget-mb 1000] [--dtype int8]

What a later stage would refuse is refused here: features or frames that the data lacks, sizes that
no layer can have, [start] weights of other shapes, too few videos or frames, an export over its
budget. OUT.json says what each model takes of this data, and how many parameters it has.
"""

from pathlib import Path

from jobs.fit.models import PlanFit
from jobs.plans import Plan
from yt8m.base import cli
from yt8m.base.cli import InputError, log, name_some
from yt8m.base.files import write_json
from yt8m.data.splits import Splits
from yt8m.data.store import Store


def main(
    plan: str,
    store: Path,
    folds: Path,
    out: Path,
    *,
    budget_mb: float = 1000.0,
    dtype: str = "",
    segments: bool = False,
) -> None:
    """Checks every model of PLAN against STORE and FOLDS; writes OUT. InputError names all that do
    not fit, and why the first one does not.

    --segments: what the segment task would refuse is an error too, not a line.
    """
    data = Store(store)
    fit = PlanFit(Plan.read(plan), data, Splits.read(folds, data.ids), segments)
    found, faults = {}, {}
    for name, check in fit.checks().items():
        try:
            found[name] = check()
        except InputError as error:
            faults[name] = str(error)
    if faults:
        first, *others = faults
        more = f"; nor do {name_some(others)} fit the data" if others else ""
        raise InputError(faults[first] + more)
    fit.check_export(budget_mb, dtype)
    write_json(out, {name: about for name, about in found.items() if about})
    log(f"[fit] plan {plan}: all of its {len(fit.plan.models)} models fit {store}")


if __name__ == "__main__":
    cli.run(main)
