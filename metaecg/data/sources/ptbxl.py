"""Reads PTB-XL as it is published: what to import, and the statements' names and kinds.

Reference: Wagner et al., PTB-XL, a large publicly available electrocardiography dataset,
Scientific Data 7, 154 (2020), doi 10.1038/s41597-020-0495-6.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from metaecg.data import signal as steps
from metaecg.data.record_form import Target
from metaecg.data.sources import wfdb_folder
from metaecg.data.sources.listing import Item, read_csv
from metaecg.data.sources.source import Source
from metaecg.data.sources.statements import Statement
from metaecg.errors import MetaecgError

# No literal_eval: what an attacker nests in it can exhaust the interpreter's stack.
_CODE = re.compile(r"'([\w(][\w()/+ .-]{,60})': ")
_LABEL = re.compile(rf"{_CODE.pattern}(-?\d{{1,9}}(?:\.\d{{0,9}})?)", re.ASCII)
_PARSED = {
    "strat_fold": re.compile(r"\d{1,6}", re.ASCII),
    "scp_codes": re.compile(rf"\{{(?:{_LABEL.pattern}(?:, (?!\}})|(?=\}})))*\}}", re.ASCII),
}


def open_folder(folder: Path, hz: float) -> Source:
    """PTB-XL as a source; arguments as of `list_records`.

    Raises:
      MetaecgError: a file is missing or malformed.
    """
    known, items = statements(folder), list_records(folder, hz)
    usual = Target(100.0, 10.0, steps.STANDARD_LEADS)
    said = (likelihoods(folder, known),)
    return Source("ptbxl", folder, items, wfdb_folder.read, usual, known, said)


def list_records(folder: Path, hz: float) -> list[Item]:
    """Lists the records of ``ptbxl_database.csv``.

    Args:
      folder: the data set's folder.
      hz: rate wanted: up to 100 Hz ``records100`` is read where it exists, else ``records500``.

    Returns:
      An item for each record, in the file's order; a statement counts whatever its likelihood.

    Raises:
      MetaecgError: a file, a column or a field is missing or malformed.
    """
    use_500 = hz > 100 or not (folder / "records100").is_dir()
    if not (folder / ("records500" if use_500 else "records100")).is_dir():
        raise MetaecgError(f"{folder}: no records500 for {hz:g} Hz; download it, or use --hz=100")
    column = "filename_hr" if use_500 else "filename_lr"
    file = folder / "ptbxl_database.csv"
    items: dict[str, Item] = {}
    for line, row in _rows(file, ("ecg_id", "patient_id", "scp_codes", "strat_fold", column)):
        id, patient, fold, codes = (row[c] for c in ("ecg_id", "patient_id", *_PARSED))
        for name, pattern in _PARSED.items():
            if not pattern.fullmatch(row[name]):
                raise MetaecgError(
                    f"{file}: line {line}: strat_fold or scp_codes: {name} is {row[name][:60]!r}"
                )
        if id in items:
            raise MetaecgError(f"{file}: line {line}: ecg_id {id[:60]} is there twice")
        # Patients are written as 15709.0; a record without one is a patient of its own.
        patient = patient.removesuffix(".0") or f"record {id}"
        items[id] = Item(row[column], id, patient, tuple(_CODE.findall(codes)), int(fold))
    return list(items.values())


def statements(folder: Path) -> dict[str, Statement]:
    """The statements of ``scp_statements.csv`` by code, in the file's order.

    Raises:
      MetaecgError: the file is missing or malformed.
    """
    kinds = ("diagnostic", "form", "rhythm")
    table = {}
    file = folder / "scp_statements.csv"
    for line, row in _rows(file, ("", "description", *kinds)):
        code = row[""]
        if code in table or not _CODE.fullmatch(f"'{code}': "):
            raise MetaecgError(
                f"{file}: line {line}: statement {code[:60]!r} is there twice, or is no code"
            )
        applying = [kind for kind in kinds if row[kind] not in ("", "0.0", "0")]
        table[code] = Statement(row["description"], ";".join(applying))
    return table


def likelihoods(folder: Path, known: Mapping[str, Statement]) -> str:
    """A sentence on how the likelihoods of statements count, and how many of them are low.

    Args:
      folder: the data set's folder, of which `list_records` could read the table.
      known: what `statements` returned.
    """
    diagnostic = {code for code, one in known.items() if "diagnostic" in one.kinds}
    given = [
        float(likelihood)
        for _, row in _rows(folder / "ptbxl_database.csv", ("scp_codes",))
        for code, likelihood in _LABEL.findall(row["scp_codes"])
        if code in diagnostic
    ]
    low, unknown = sum(0 < x < 50 for x in given), sum(x == 0 for x in given)
    return (
        f"a statement counts as a label whatever its likelihood (of {len(given)} diagnostic ones "
        f"in ptbxl_database.csv, below 50 %: {low}; 0, which stands for unknown: {unknown})"
    )


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    if not file.is_file():
        raise MetaecgError(f"{file}: missing; give --input the folder PTB-XL was unpacked to")
    return read_csv(file, columns)
