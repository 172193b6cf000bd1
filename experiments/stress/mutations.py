"""Damages files as disks, transfers, editors and attackers do: bytes, text, tables and JSON.

Every choice is drawn from a `random.Random`, so that a seed, or hypothesis, can repeat it.
"""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

NUMBERS = (
    *(b"0", b"-1", b"-0", b"1", b"2", b"65536", b"2147483648", b"99999999999999999999"),
    *(b"9" * 5000, b"1e308", b"1e-308", b"1e999", b"-1e99", b"nan", b"inf", b"0x10", b"1_0"),
    "٣".encode(),
)
PATHS = (b"../x", b"../secret", b"/etc/passwd", b"..", b".", b"~", b"a/../../secret", b"C:\\x")
CHARACTERS = (
    *(b"\0", b"\xff", b"\xff\xfe", b"\xc3\x28", "\u2028".encode(), "\ufeff".encode(), b"\x1c"),
    *(b" ", b"\t", b"\n", b"\r", b"#", b",", b";", b":", b"=", b"/", b"+", b"x", b"(", b"'", b'"'),
    *(b"{", b"[", b"\\", b"%s", b"A" * 200_000),
)
VALUES = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1", "0", "0.5", "9" * 400, "9" * 5000, "null"),
    *("true", '""', '"../x"', '"ABC"', '";"', '"\\ud800"', '"\\u0000"', '"1"', "[]", "{}"),
    *("[[]]", '["A","A"]', "[1]", "[NaN]", '{"a":1,"a":2}', "[" * 100_000, '{"a":' * 50_000),
    "[" * 300 + "]" * 300,
)


def _place(rng: Random, content: bytes) -> int:
    return rng.randrange(len(content) + 1)


def flip_bit(rng: Random, content: bytes) -> bytes:
    if not content:
        return content
    place = rng.randrange(len(content))
    flipped = content[place] ^ 1 << rng.randrange(8)
    return content[:place] + bytes([flipped]) + content[place + 1 :]


def overwrite(rng: Random, content: bytes) -> bytes:
    place, count = _place(rng, content), rng.randint(1, 8)
    return content[:place] + rng.randbytes(count) + content[place + count :]


def truncate(rng: Random, content: bytes) -> bytes:
    return content[: _place(rng, content)]


def cut(rng: Random, content: bytes) -> bytes:
    place = _place(rng, content)
    return content[:place] + content[place + rng.randint(1, 40) :]


def insert(rng: Random, content: bytes) -> bytes:
    place, token = _place(rng, content), rng.choice(NUMBERS + PATHS + CHARACTERS)
    return content[:place] + token + content[place:]


def repeat(rng: Random, content: bytes) -> bytes:
    place, times = _place(rng, content), rng.choice((1, 1, 2, 1000))
    piece = content[place : place + rng.randint(1, 40)]
    return content[:place] + piece * times + content[place:]


def replace_word(rng: Random, content: bytes) -> bytes:
    words = list(re.finditer(rb"[^\s,;()\[\]{}:'\"=]+", content))
    if not words:
        return content
    word = rng.choice(words)
    token = rng.choice(NUMBERS + PATHS + CHARACTERS)
    return content[: word.start()] + token + content[word.end() :]


def repeat_line(rng: Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    return b"\n".join(lines[:place] + [lines[place]] * rng.choice((2, 2, 3, 2000)) + lines[place:])


def swap_lines(rng: Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def swap_fields(rng: Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    place, separator = rng.randrange(len(lines)), rng.choice((b" ", b",", b":", b"="))
    fields = lines[place].split(separator)
    a, b = rng.randrange(len(fields)), rng.randrange(len(fields))
    fields[a], fields[b] = fields[b], fields[a]
    lines[place] = separator.join(fields)
    return b"\n".join(lines)


def repeat_column(rng: Random, content: bytes) -> bytes:
    """Of a table without quotes, a column is there twice, in all lines or in the first alone."""
    lines = [line.split(b",") for line in content.split(b"\n")]
    column, changed = rng.randrange(max(map(len, lines))), rng.choice((lines, lines[:1]))
    for fields in changed:
        fields += fields[column : column + 1]
    return b"\n".join(map(b",".join, lines))


Way = Callable[[Random, bytes], bytes]
BINARY: tuple[Way, ...] = (flip_bit, overwrite, truncate, cut, insert, repeat)
TEXT = (*BINARY, replace_word, replace_word, repeat_line, swap_lines, swap_fields)
TABLE = (*TEXT, repeat_column)


def damage(rng: Random, content: bytes, ways: tuple[Way, ...]) -> bytes:
    """Damages `content` in one to three of the `ways`."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(ways)(rng, content)
    return content


def damage_json(rng: Random, value: Any) -> bytes:
    """JSON of `value` with one node, anywhere in it, replaced by a hostile one."""
    parent: Any = {"": json.loads(json.dumps(value))}
    whole, key = parent, ""
    while isinstance(parent[key], dict | list) and parent[key] and rng.random() < 0.8:
        parent = parent[key]
        key = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
    parent[key] = "\0"
    text = json.dumps(whole[""], ensure_ascii=False)
    return text.replace('"\\u0000"', rng.choice(VALUES)).encode()
