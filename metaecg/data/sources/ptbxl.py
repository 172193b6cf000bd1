"""Reads PTB-XL as it is published: what to import, and the statements' names and kinds.

Reference: Wagner et al., PTB-XL, a large publicly available electrocardiography dataset,
Scientific Data 7, 154 (2020), doi 10.1038/s41597-020-0495-6.
"""

import re
from collections.abc import Iterator
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
_PARSED = {
    "strat_fold": re.compile(r"\d{1,6}", re.ASCII),
    "scp_codes": re.compile(
        rf"\{{(?:{_CODE.pattern}-?[\d.]{{1,20}}(?:, (?!\}})|(?=\}})))*\}}", re.ASCII
    ),
}


def open_folder(folder: Path, hz: float) -> Source:
    """PTB-XL as a source; arguments as of `list_records`.

    Raises:
      MetaecgError: a file is missing or malformed.
    """
    known, items = statements(folder), list_records(folder, hz)
    usual = Target(100.0, 10.0, steps.STANDARD_LEADS)
    return Source("ptbxl", folder, items, wfdb_folder.read, usual, known)


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


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    if not file.is_file():
        raise MetaecgError(f"{file}: missing; give --input the folder PTB-XL was unpacked to")
    return read_csv(file, columns)
