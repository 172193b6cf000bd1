"""Names of leads: one usual spelling for all the ways in which files write a lead.

A name that only numbers a channel ('ECG1', 'Channel 2', '1') is no lead. A lead that is recorded
the other way round ('-aVR') keeps its sign in its name; `signal.upright` turns its samples.

References: ISO/IEEE 11073-10101 (MDC_ECG_LEAD_*), DICOM PS3.16 CID 3001, SCP-ECG (EN 1064, 5.6.3).
"""

import functools
import re

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
CHEST_LEADS = STANDARD_LEADS[6:]

_MORE = ("V7", "V8", "V9", *(f"V{n}R" for n in range(2, 10)))
_LEADS = {lead.upper(): lead for lead in (*STANDARD_LEADS, *_MORE)}
_LEADS |= {f"{limb}{name}": lead for limb in ("ML", "M.L.", "D")
           for name, lead in (("I", "I"), ("II", "II"), ("III", "III"))}  # fmt: skip
_LEADS |= {"D1": "I", "D2": "II", "D3": "III"}
_LEADS |= {f"{chest}{n}": f"V{n}" for chest in ("MV", "C") for n in range(1, 7)}
_LEADS |= {f"{lead.upper()}, AUGMENTED VOLTAGE, {limb}": lead
           for lead, limb in (("aVR", "RIGHT"), ("aVL", "LEFT"), ("aVF", "FOOT"))}  # fmt: skip

# Numbers of the leads, the same in SCP-ECG and MDC.
_NUMBERED = {1: "I", 2: "II", **{n + 2: f"V{n}" for n in range(1, 8)}}
_NUMBERED |= {n + 8: f"V{n}R" for n in range(2, 8)}
_NUMBERED |= {61: "III", 62: "aVR", 63: "aVL", 64: "aVF", 65: "-aVR"}
_NUMBERED |= {66: "V8", 67: "V9", 68: "V8R", 69: "V9R"}
_CODES = {f"{scheme}{n}": lead for n, lead in _NUMBERED.items()
          for scheme in ("2:", "MDC:2:", "5.6.3-9-", "SCPECG:5.6.3-9-")}  # fmt: skip

_INVERTED = r"(?:NEG(?:ATIVE)?|INV(?:ERTED)?|REVERSED)"
_SAME = (  # what may be around a name
    re.compile(r"MDC_ECG_(?:LEAD|ELEC_POTL)_(.+)"),
    re.compile(r"(?:LEAD|ECG|EKG|DERIVATION|ABLEITUNG)(?: - |[ _:.]+|-)?(.+)"),
    re.compile(r"(.+?) ?\((?!(?:R|L|RIGHT|LEFT|POST\w*)\))[A-Z ]+\)"),
)
_TURNED = (  # what says that it is upside down
    re.compile(r"[-−–](?! )(.+)"),
    re.compile(rf"(?:MINUS|{_INVERTED})[ _]+(.+)"),
    re.compile(rf"(.+?)(?:[ _]+{_INVERTED}| ?\((?:{_INVERTED}|[-−])\))"),
    re.compile(r"(AVR)NEG"),
)


@functools.lru_cache(1 << 14)  # an archive repeats a few names
def lead_name(name: str) -> str:
    """The usual spelling of a lead: 'AVR', 'Lead II' and 'MLII' become 'aVR', 'II' and 'II'.

    An inverted lead becomes '-aVR'; a name that is no lead is in capitals, its blanks single.
    """
    upper = " ".join(name.upper().split())[:200]
    return _CODES.get(upper) or _known(upper) or upper


def is_lead(name: str) -> bool:
    """Whether a name is that of a lead, inverted or not."""
    return upright_name(name)[0] in _LEADS.values()


def upright_name(name: str) -> tuple[str, int]:
    """The usual spelling of a lead without its sign, and the sign, 1 or -1."""
    usual = lead_name(name)
    if usual.startswith("-") and usual[1:] in _LEADS.values():
        return usual[1:], -1
    return usual, 1


def _known(upper: str) -> str | None:
    if upper in _LEADS:
        return _LEADS[upper]
    for pattern in _TURNED:
        if (match := pattern.fullmatch(upper)) and (inner := _known(match[1])):
            return inner[1:] if inner.startswith("-") else f"-{inner}"
    for pattern in _SAME:
        if (match := pattern.fullmatch(upper)) and (inner := _known(match[1])):
            return inner
    return None


def table() -> dict[str, object]:
    """The names and patterns by which `lead_name` works, for programs in other languages."""
    return {
        "names": {**_LEADS, **_CODES},
        "turned": [pattern.pattern for pattern in _TURNED],
        "same": [pattern.pattern for pattern in _SAME],
    }
