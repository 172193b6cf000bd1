"""Reads PTB-XL as it is published: what to import, and the statements' names and kinds.

Reference: Wagner et al., PTB-XL, a large publicly available electrocardiography dataset,
Scientific Data 7, 154 (2020), doi 10.1038/s41597-020-0495-6.
"""

import ast
import csv
from collections.abc import Iterator
from pathlib import Path

from metaecg.data.statements import Statement
from metaecg.data.wfdb_folder import Item
from metaecg.errors import MetaecgError


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
    items = []
    for line, row in _rows(folder / "ptbxl_database.csv"):
        try:
            path = row["filename_hr" if use_500 else "filename_lr"]
            id, patient, fold = row["ecg_id"], row["patient_id"], int(row["strat_fold"])
            codes = tuple(ast.literal_eval(row["scp_codes"]))
        except KeyError as error:
            raise MetaecgError(f"{folder}/ptbxl_database.csv: no column {error}") from None
        except (ValueError, SyntaxError, TypeError) as error:
            raise MetaecgError(f"{folder}/ptbxl_database.csv: line {line}: {error}") from None
        # Patients are written as 15709.0; a record without one is a patient of its own.
        patient = patient.removesuffix(".0") or f"record {id}"
        items.append(Item(path, id, patient, codes, fold))
    return items


def statements(folder: Path) -> dict[str, Statement]:
    """The statements of ``scp_statements.csv`` by code, in the file's order.

    Raises:
      MetaecgError: the file is missing or malformed.
    """
    table = {}
    for _, row in _rows(folder / "scp_statements.csv"):
        try:
            kinds = [kind for kind in ("diagnostic", "form", "rhythm") if float(row[kind] or 0)]
            table[row[""]] = Statement(row["description"], ";".join(kinds))
        except (KeyError, ValueError) as error:
            raise MetaecgError(f"{folder}/scp_statements.csv: column {error}") from None
    return table


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    if not path.is_file():
        raise MetaecgError(f"{path}: missing; give --input the folder PTB-XL was unpacked to")
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            yield reader.line_num, row
