"""What `prepare` says of the library that it made, and of the models that can read it."""

from collections.abc import Iterator

from metaecg.data import signal as steps
from metaecg.data.library import Library
from metaecg.data.record_form import Target
from metaecg.data.sources.importing import Imported
from metaecg.diagnose import few_leads

COMMON = Target(100.0, 10.0, steps.STANDARD_LEADS)
"""What the shipped model and the configurations read."""


def summary(
    library: Library, name: str, done: Imported, seconds: float, *, leads_asked: bool
) -> str:
    """The records of each statement, the form, what was left out, and what is to be known.

    Args:
      library: that was made.
      name: what to call it.
      done: what the import came to.
      seconds: how long it took.
      leads_asked: whether the user named the leads; else they are those of the recordings.
    """
    length = library.signals.shape[1] / library.hz
    lines = ["", f"{'records':>8}  statement"]
    totals = library.labels.sum(axis=0)
    for c in sorted(range(len(totals)), key=lambda c: -totals[c]):
        code, described = library.vocabulary[c], library.names[c]
        lines.append(f"{totals[c]:8d}  {code}" + (f"  {described}" if described != code else ""))
    lines += [
        "",
        f"{name}: {_count(len(library), 'record')} of "
        f"{_count(library.patients.max() + 1, 'patient')}, "
        f"{_count((totals > 0).sum(), 'statement')}, {length:g} s at {library.hz:g} Hz, "
        f"leads {' '.join(library.leads)}",
        f"quarantined {done.quarantined} (quarantine.csv), with notes "
        f"{sum(map(bool, library.notes))} (records.csv)",
        f"{seconds:.1f} s, {len(library) / seconds:.0f} records/s",
        *(f"note: {remark}" for remark in (*done.remarks, *_other_form(library, leads_asked))),
    ]
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _other_form(library: Library, leads_asked: bool) -> Iterator[str]:
    """What keeps the models that come with the package from reading this library."""
    wanted = _leads(library.leads, leads_asked)
    if not wanted:
        yield "no model that comes with the package reads these leads; --config=few_leads makes one"
        return
    flags_of = {
        f"--hz={COMMON.hz:g}": library.hz != COMMON.hz,
        f"--seconds={COMMON.seconds:g}": library.signals.shape[1] / library.hz != COMMON.seconds,
        f"--leads={','.join(wanted)}": library.leads != wanted,
    }
    if remedy := " ".join(flag for flag, differs in flags_of.items() if differs):
        form = f"{COMMON.hz:g} Hz, {COMMON.seconds:g} s"
        if wanted == COMMON.leads:
            reads = "the shipped model and the configurations for PTB-XL read"
            form += " and the 12 standard leads"
        else:
            named = f"lead{'s' if len(wanted) > 1 else ''} {' and '.join(wanted)}"
            reads = f"the model that comes with the package for {named} reads"
        yield f"{reads} {form}: {remedy} makes such a library"


def _leads(leads: tuple[str, ...], asked: bool) -> tuple[str, ...]:
    """The leads that the model reads which suits a library best; () of none.

    Recordings of all twelve have them in the library unless other leads were asked for, so that
    leads are named that the recordings have.
    """
    models = [tuple(one for one in COMMON.leads if one in s) for s in few_leads.sets()]
    if leads in models:
        return leads
    if asked or {*COMMON.leads} <= {*leads}:
        return COMMON.leads
    few = sorted((names for names in models if {*names} <= {*leads}), key=len, reverse=True)
    return few[0] if few else ()
