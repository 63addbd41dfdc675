"""What a body of jobs tells of people is taken out, or written as pseudonyms, before anybody else sees it."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import regex

from etl import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARK: Final = b"[address removed]"
"""Stands where an address stood."""

BEGINNINGS: Final = (
    "labeler",
    "labeller",
    "annotator",
    "reviewer",
    "assignee",
    "assignedto",
    "owner",
    "createdby",
    "updatedby",
    "user",
    "email",
)
"""How the keys of members that name people begin; upper case, `_` and `-` in a key make no difference."""

_LONGEST_KEPT: Final = 64
"""Bytes of the longest key that is worth remembering."""

_DIGITS: Final = 16
_PSEUDONYM: Final = regex.compile(rb"person-[0-9a-f]{%d}" % _DIGITS)

# Every repetition below is possessive or bounded, and whatever one of them has passed no other begins in:
# that is what makes a hostile megabyte cost no more than an honest one. So does it that no pattern which is
# tried at one place alone demands a character: the library would look for that through all that follows. The
# module `re` of some releases of Python 3.11, which Debian 12 has, gets possessive groups wrong.
_STRING: Final = regex.compile(rb'"((?:[^"\\]++|\\.)*+)"?', regex.DOTALL)
_TOKEN: Final = regex.compile(_STRING.pattern + rb"(\s*+:)?+", regex.DOTALL)
_COMMA: Final = regex.compile(rb"(?:\s*+,\s*+)?+")
_STRUCTURE: Final = regex.compile(_STRING.pattern + rb"|[\[\]{},]", regex.DOTALL)
_LEAF: Final = regex.compile(_STRING.pattern + rb'(\s*+:)?|[^\s,:{}\[\]"]++', regex.DOTALL)

_AT: Final = rb"(?:@|\\{1,2}u0040|%40|&\#(?:64|[xX]40);)"
_QUOTE: Final = rb'(?:\\"|\\{1,2}u0022|&(?:quot|\#(?:34|[xX]22));)'
_LOCAL: Final = rb"""(?:
    [^\x01-\x20"<>()\[\],;:@\\%&\x7f]
  | \\{1,2}u(?!00(?:[01].|2[0289cC]|3[abceABCE]|40|5[bcdBCD]|7[fF]))[0-9a-fA-F]{4}
  | \\/ | \\\\(?!u00(?:40|22))
  | %(?!40) | &(?!\#(?:64|34|[xX](?:40|22));|quot;)
)"""
_QUOTED: Final = rb"""%b(?:
    \\{1,2}u(?!0022)[0-9a-fA-F]{4}
  | \\\\\\" | \\\\(?!u0022) | \\(?!u0022)[^"\\]
  | [^"\\&] | &(?!\#(?:34|[xX]22);|quot;)
){0,64}+%b""" % (_QUOTE, _QUOTE)
"""What stands before an `@` may be anything, if it is in quotation marks, and not longer than this."""

_LABEL: Final = rb"""(?:
    [A-Za-z0-9_\-\x00\x80-\xff]
  | \\{1,2}u(?:(?!00[0-7])[0-9a-fA-F]{4}|00(?:2[dD]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF]))
)"""
_HOST: Final = rb"(?:%b++(?:(?:\.|\\{1,2}u002[eE])%b++)*+|\[[0-9A-Za-z.:]{1,64}\])" % (_LABEL, _LABEL)
_ADDRESSED: Final = _AT + _HOST
_WORD: Final = regex.compile(
    rb"(%b(?=%b)|%b++|%b)((?:%b)++)?+|\\{1,2}u[0-9a-fA-F]{4}|\\."
    % (_QUOTED, _ADDRESSED, _LOCAL, _QUOTE, _ADDRESSED),
    regex.DOTALL | regex.VERBOSE,
)
"""A run of what can stand before an `@`, and in its second group the `@` and host that make it an address."""

_HINT: Final = regex.compile(rb"@|u0040|%40|&#|person-")
"""What no text lacks that has an address or a pseudonym in it."""

_SAMPLE: Final = b'{"labeler":"ann@example.com","users":["Ann"],"name":"\\"ann lee\\"@example.com"}'
"""A body of which every policy, and every key, makes something else."""


class PeoplePolicy(StrEnum):
    """What becomes of the people in a body."""

    OMIT = "omit"
    PSEUDONYM = "pseudonym"
    KEEP = "keep"


@dataclass(frozen=True)
class People:
    """
    What becomes of the people in a body, and the secret by which they become pseudonyms.

    Raises:
        ValueError: Pseudonyms without a secret could be told by whoever guesses the address.
    """

    policy: PeoplePolicy = PeoplePolicy.OMIT
    key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.policy is PeoplePolicy.PSEUDONYM and not self.key:
            raise ValueError("pseudonyms need a secret key")


def scrubbed(body: bytes, people: People) -> bytes:
    """
    Take the people out of a body of jobs.

    Members that name people, at any depth and of any shape, are removed, or each text in them becomes a
    pseudonym; so does whatever looks like an e-mail address anywhere else, in broken JSON as well. All other
    bytes stay as they are, equal bodies give equal bytes, and what is scrubbed already is not scrubbed again.

    Args:
        body: As received, of any shape.
        people: What is to become of them.
    """
    return body if people.policy is PeoplePolicy.KEEP else b"".join(_pieces(body, people))


def without_addresses(text: str) -> str:
    """Replace what looks like an e-mail address, or is a pseudonym, in a text that is no JSON."""
    return str(json.loads(_clean(json.dumps(text).encode(), People())))


def mark_of(scrub: Callable[[bytes], bytes]) -> str:
    """
    Tell one way to scrub from another, by what it makes of made-up people; who reads it learns no key.

    What a release takes for a person may differ from what the last one did, so it tells releases apart, too.
    """
    return hashlib.sha256(__version__.encode() + scrub(_SAMPLE)).hexdigest()[:_DIGITS]


def pseudonym(person: str, people: People) -> str:
    """Name a person by an address, in whatever case, or by an id, as it will be named for ever."""
    subject = person.casefold().strip("'` ") if "@" in person else person.strip()
    digest = hmac.digest(people.key, subject.encode(errors="surrogatepass"), hashlib.sha256)
    return f"person-{digest.hex()[:_DIGITS]}"


def _pieces(body: bytes, people: People) -> Iterator[bytes]:
    done = 0
    while token := _TOKEN.search(body, done):
        if token[2] and _is_of_people(token[1]):
            pieces, done = _member(body, done, token.start(), token.end(), people)
            yield from pieces
        else:
            yield _clean(body[done : token.start()], people)
            done = token.end() if token[2] is None else token.start(2)
            yield _clean(body[token.start() : done], people)
    yield _clean(body[done:], people)


def _is_of_people(key: bytes) -> bool:
    return _is_known_of_people(key) if len(key) <= _LONGEST_KEPT else _names_people(key)


@lru_cache(maxsize=1024)
def _is_known_of_people(key: bytes) -> bool:
    return _names_people(key)


def _names_people(key: bytes) -> bool:
    return _text(key).replace("_", "").replace("-", "").casefold().startswith(BEGINNINGS)


def _member(
    body: bytes, done: int, key_start: int, value_start: int, people: People
) -> tuple[tuple[bytes, ...], int]:
    """What becomes of one member that names people, and of what stands before it; and where it ends."""
    value_end = _value_end(body, value_start)
    before = body[done:key_start]
    if people.policy is PeoplePolicy.PSEUDONYM:
        value = _LEAF.sub(lambda leaf: _named(leaf, people), body[value_start:value_end])
        return (_clean(before, people), body[key_start:value_start], value), value_end
    head, comma, tail = before.rpartition(b",")
    if comma and not tail.strip():
        return (_clean(head, people),), value_end
    # A comma goes only with what begins an object, lest what it held apart should join into an address.
    is_first = before.rstrip().endswith(b"{") or (not before and body[done - 1 : done] != b'"')
    following = _COMMA.match(body, value_end) if is_first else None
    return (_clean(before, people),), following.end() if following else value_end


def _value_end(body: bytes, start: int) -> int:
    """A value ends before the comma or bracket that is none of its own; in broken JSON maybe nowhere."""
    depth = 0
    for token in _STRUCTURE.finditer(body, start):
        if token[0] in (b"{", b"["):
            depth += 1
        elif depth == 0 and token[0] in (b",", b"}", b"]"):
            return token.start()
        elif token[0] in (b"}", b"]"):
            depth -= 1
    return len(body)


def _named(leaf: regex.Match[bytes], people: People) -> bytes:
    """Write one text, number or key of a value that names people."""
    if leaf[2] is not None:
        return _clean(leaf[0], people)
    inside = leaf[0] if leaf[1] is None else leaf[1]
    if not inside or leaf[0] in (b"null", b"true", b"false") or _PSEUDONYM.fullmatch(inside):
        return leaf[0]
    address = next((word[0] for word in _WORD.finditer(inside) if word[2]), inside)
    return b'"%b"' % _pseudonym(address, people)


def _clean(text: bytes, people: People) -> bytes:
    """Replace every address in a text; one without a hint of any is left alone."""
    if _HINT.search(text) is None:
        return text
    if people.policy is PeoplePolicy.PSEUDONYM:
        return _WORD.sub(lambda word: _pseudonym(word[0], people) if word[2] else word[0], text)
    return _PSEUDONYM.sub(MARK, _WORD.sub(lambda word: MARK if word[2] else word[0], text))


def _pseudonym(person: bytes, people: People) -> bytes:
    return pseudonym(_text(person), people).encode()


def _text(inside: bytes) -> str:
    """Read what stands in a string, broken or not."""
    try:
        return str(json.loads(b'"%b"' % inside, strict=False))
    except ValueError:
        return inside.decode(errors="backslashreplace")
