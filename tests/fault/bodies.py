"""Makes bodies that nobody should send: documented ones, broken as trees of JSON then as bytes, by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random


class Members(list[tuple[bytes, "Tree"]]):
    """An object: pairs, because a hostile one may have a key twice."""


Tree: TypeAlias = "bytes | list[Tree] | Members"
"""JSON to be; a leaf is its own text, which need not be JSON."""

ADDRESS: Final = b"ann.lee@example.com"
PARCEL: Final = '"\U0001f4e6"'.encode()

NUMBERS: Final = (
    *b"0 -0 -1 1 3 3.0 1e0 1E5 2.5 1e400 -1e-400 1e131072 1e-16384 1e9999999999999999999".split(),
    *b"2147483647 2147483648 9223372036854775807 9223372036854775808 -9223372036854775809".split(),
    *b"1669146024 1669146024818 1669146024.8180001 1669146024818000 4102444800 253402300800".split(),
    *(b"9" * 400, b"9" * 5_000, b"1" + b"0" * 140_000, b"0." + b"0" * 17_000 + b"1"),
)
TEXTS: Final = (
    *rb"""
"" "." ".." "a" "b" "a/b" " " "null" "3" "\u0000" "\ud800" "\udc00\ud800" "\ud83d\udce6" "\u0061" "\"" "\n"
""".split(),
    *(PARCEL, '"\u202e"'.encode(), '"e\u0301"'.encode(), b'"\x7f"'),
    *(b'"' + b"a" * 1_000 + b'"', b'"' + b"a" * 1_001 + b'"', b'"' + "\u00e9".encode() * 501 + b'"'),
    b'"' + b"n" * 20_000 + b'"',
)
TIMES: Final = tuple(
    rb"""
{"_seconds": 1669146024}
{"_nanoseconds": 1}
{"_seconds": "1", "_nanoseconds": 0}
{"_seconds": 1669146024, "_nanoseconds": 818000001}
{"_seconds": 1.5, "_nanoseconds": 0}
{"_seconds": -1, "_nanoseconds": 0}
{"_seconds": 1, "_nanoseconds": 1000000000}
{"_seconds": 4102444799, "_nanoseconds": 999999999}
{"_seconds": 4102444800, "_nanoseconds": 0}
{"_seconds": 99999999999999999999, "_nanoseconds": 0}
{"_seconds": true, "_nanoseconds": false}
{"_seconds": 1, "_nanoseconds": 0, "zone": "\ud800"}
{"seconds": 1, "nanos": 0}
"2022-11-22T19:40:24.818Z"
"2022-11-22T19:40:24.8180001+05:30"
"2022-11-22T19:40:24"
"2016-12-31T23:59:60Z"
"0001-01-01T00:00:00+14:00"
"9999-12-31T23:59:59-12:00"
"2022-W47-2T19:40Z"
"20221122T194024Z"
"Tue, 22 Nov 2022 19:40:24 GMT"
""".strip().splitlines()
)
OTHERS: Final = (*b'null true false [] {} [[]] [null] [{}] {"id":"a"} {"id":"b","images":1} []'.split(),)
NO_JSON: Final = (
    *rb"""007 +1 1. .5 0x10 1_000 NaN -Infinity nul None 'a' "\x41" "\u12" "a" """.split(),
    *(b"", b'"\n"', b'"\x00"', b'"\xed\xa0\x80"', b'"\xff\xfe"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"'),
)
DEPTHS: Final = (3, 99, 101, 300, 600, 1_500, 40_000)
KEYS: Final = (
    *rb'"id" "images" "numJobs" "name" "uploaded" "batches" "error" "status" "ID" "\u0069d" ""'.split(),
    *(b'"_seconds"', b'"_nanoseconds"', b'"\\u0000"', b'"\\ud800"', b'"\xff"'),
    *rb'"numImages" "annotated" "rejected" "sourceBatch" "project" "created" "labeler" "owner"'.split(),
)


def a_body(random: Random, ids: Sequence[str] = "abcdefghijkl") -> bytes:
    """Make one body, broken seldom enough for its records to be looked at, often enough to matter."""
    return _made(random, _document(random, [_record(random, one) for one in _some(random, ids)], b"batch"))


def a_body_of_jobs(random: Random, ids: Sequence[str] = "abcdefghijkl") -> bytes:
    """Make one body of jobs, broken in the same ways; `ADDRESS` is in it, unless it was broken, too."""
    return _made(random, _document(random, [_job(random, one) for one in _some(random, ids)], b"job"))


def _made(random: Random, tree: Tree) -> bytes:
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 6))):
        tree = _broken(random, tree)
    body = _text(tree)
    for _ in range(random.choice((0,) * 9 + (1, 1, 2, 5))):
        body = random.choice(_ON_BYTES)(random, body)
    return body


def _some(random: Random, ids: Sequence[str]) -> Sequence[str]:
    return ids[: random.choice((0, 1, 1, 2, 3, 5, 12))]


def _document(random: Random, records: list[Tree], kind: bytes) -> Tree:
    if records and random.random() < 0.2:
        records.append(random.choice(records))
    one, many = b'"%b"' % kind, b'"%b"' % {b"batch": b"batches", b"job": b"jobs"}[kind]
    shapes: list[Tree] = [Members({many: records}.items()) for _ in range(12)]
    shapes += [records, records, *(Members({one: record}.items()) for record in records[:1]), *records[:1]]
    return random.choice(shapes)


def _job(random: Random, job_id: str) -> Members:
    fields: list[tuple[bytes, Tree]] = [
        (b'"id"', f'"{job_id}"'.encode()),
        (b'"numImages"', b"%d" % random.randrange(5)),
        *((key, b"%d" % random.randrange(3)) for key in (b'"annotated"', b'"approved"', b'"rejected"')),
        (b'"sourceBatch"', b'"P/%d"' % random.randrange(3)),
        (b'"project"', b'"P"'),
        (b'"status"', random.choice((b'"assigned"', b'"complete"'))),
        (b'"name"', random.choice((b'"north: Job 1"', PARCEL, b'"for %b, please"' % ADDRESS))),
        (b'"labeler"', b'"%b"' % ADDRESS),
        (b'"owner"', random.choice((b'"w"', Members([(b'"email"', b'"%b"' % ADDRESS)])))),
        (b'"created"', Members([(b'"_seconds"', b"1669148088"), (b'"_nanoseconds"', b"297000000")])),
    ]
    return Members(random.sample(fields, len(fields) - random.choice((0,) * 9 + (1, 2))))


def _record(random: Random, batch_id: str) -> Members:
    fields: list[tuple[bytes, Tree]] = [
        (b'"id"', f'"{batch_id}"'.encode()),
        (b'"images"', b"%d" % random.randrange(5)),
        (b'"numJobs"', b"%d" % random.randrange(3)),
        (b'"name"', random.choice((b'"north"', b'"Uploaded on 11/22/22 at 1:39 pm"', PARCEL))),
        (b'"uploaded"', Members([(b'"_seconds"', b"1669146024"), (b'"_nanoseconds"', b"818000000")])),
        (b'"status"', b'"new"'),
    ]
    known = len(fields) - random.choice((0, 1, 1, 1))
    return Members(random.sample(fields[:known], known - random.choice((0,) * 9 + (1, 2))))


def _broken(random: Random, tree: Tree, depth: int = 0) -> Tree:
    """Walk down to some node, seldom an outer one, and break that."""
    is_here = random.random() < (0.03, 0.08, 0.25, 0.5)[min(depth, 3)]
    if isinstance(tree, bytes) or not tree or is_here:
        return random.choice(_ON_TREES)(random, tree)
    at = random.randrange(len(tree))
    if not isinstance(tree, Members):
        return [*tree[:at], _broken(random, tree[at], depth + 1), *tree[at + 1 :]]
    key, value = tree[at]
    member = (
        (random.choice(KEYS), value) if random.random() < 0.05 else (key, _broken(random, value, depth + 1))
    )
    return Members([*tree[:at], member, *tree[at + 1 :]])


def _hostile(random: Random, _tree: Tree) -> Tree:
    is_json = random.random() < 0.95
    return random.choice(random.choice((NUMBERS, TEXTS, TIMES, OTHERS)) if is_json else NO_JSON)


def _deep(random: Random, tree: Tree) -> Tree:
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    depth = random.choice(DEPTHS)
    return opening * depth + _text(tree) + closing * (depth - random.choice((0,) * 9 + (1,)))


def _longer(random: Random, tree: Tree) -> Tree:
    """Add a member: to a list, or to an object, which may have one of that name already."""
    if isinstance(tree, Members):
        return Members([*tree, (random.choice(KEYS), _hostile(random, tree))])
    members = tree if isinstance(tree, list) else [tree]
    return [*members, random.choice((*members, _hostile(random, tree)))]


def _shorter(random: Random, tree: Tree) -> Tree:
    if isinstance(tree, bytes) or not tree:
        return b"null"
    at = random.randrange(len(tree))
    return type(tree)([*tree[:at], *tree[at + 1 :]])


def _shuffled(random: Random, tree: Tree) -> Tree:
    if isinstance(tree, Members):
        return Members(random.sample(tree, len(tree)))
    return tree if isinstance(tree, bytes) else list[Tree](random.sample(list[Tree](tree), len(tree)))


def _text(tree: Tree) -> bytes:
    if isinstance(tree, bytes):
        return tree
    if isinstance(tree, Members):
        return b"{" + b", ".join(key + b": " + _text(value) for key, value in tree) + b"}"
    return b"[" + b", ".join(map(_text, tree)) + b"]"


def _flip(random: Random, body: bytes) -> bytes:
    at = random.randrange(len(body) + 1)
    return body[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in body[at : at + 1]) + body[at + 1 :]


def _insert(random: Random, body: bytes) -> bytes:
    at = random.randrange(len(body) + 1)
    given = random.choice(
        (random.randbytes(random.randrange(1, 5)), _text(_hostile(random, b"")), b",", b'"')
    )
    return body[:at] + given + body[at:]


def _cut(random: Random, body: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    return body[:start] + body[start + random.randrange(1, 40) :]


def _repeat(random: Random, body: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    end = start + random.randrange(1, 400)
    return body[:end] + body[start:]


def _end_early(random: Random, body: bytes) -> bytes:
    return body[: random.randrange(len(body) + 1)]


def _encode(random: Random, body: bytes) -> bytes:
    codec = random.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"))
    return body.decode("latin-1").encode(codec)


_ON_TREES: Final[tuple[Callable[[Random, Tree], Tree], ...]] = (
    *(_hostile,) * 12,
    *(_longer,) * 4,
    *(_deep, _shorter, _shorter, _shuffled),
)
_ON_BYTES: Final[tuple[Callable[[Random, bytes], bytes], ...]] = (
    *(_flip, _flip, _flip, _insert, _insert, _cut, _repeat, _end_early, _encode),
)
