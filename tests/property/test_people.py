"""Whatever a body is: no address is left in it, all that names nobody is, and twice is as good as once."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from etl.parse.people import BEGINNINGS, People, PeoplePolicy, pseudonym, scrubbed, without_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

OMIT = People()
NAMED = People(PeoplePolicy.PSEUDONYM, b"secret")
KEYS = ("labeler", "Reviewer", "owner-id", "createdBy", "labelers", "assigned_to", "userName", "_email")
ADDRESS = re.compile(rb"[A-Za-z0-9_.+-]@[A-Za-z0-9_-]")

policies = st.sampled_from([OMIT, NAMED])
plain_text = st.text(st.characters(exclude_characters="@%&"), max_size=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), plain_text)
keys = st.sampled_from(KEYS) | plain_text


def trees(texts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


plain_trees = trees(scalars)


@st.composite
def quoted_addresses(draw: st.DrawFn) -> str:
    """Write an address whose part before the `@` is in quotation marks, as RFC 5322 lets it be."""
    words = draw(st.text(st.sampled_from('ab é,:;<>()[]@."\\'), max_size=12))
    escaped = words.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"@{draw(st.emails()).rpartition("@")[2]}'


addresses = st.emails() | quoted_addresses()
inner_addresses = st.tuples(plain_text, st.emails(), plain_text)


def an_escape(character: str) -> st.SearchStrategy[str]:
    written = json.dumps(character, ensure_ascii=False)[1:-1]
    return st.sampled_from([written, f"\\u{ord(character):04x}", f"\\u{ord(character):04X}"])


@st.composite
def bodies_with_an_address(draw: st.DrawFn) -> tuple[str, bytes]:
    """Write a tree with an address somewhere, some of its characters escaped."""
    address = draw(addresses)
    tree = draw(trees(scalars | st.just("PLACE") | plain_text.map(lambda text: f"{text} PLACE")))
    body = json.dumps([tree, "PLACE", {"PLACE": 1}], ensure_ascii=draw(st.booleans()))
    written = "".join(draw(an_escape(one)) for one in address)
    return address, body.replace("PLACE", written).encode("utf-8", "surrogatepass")


hostile = st.lists(
    st.sampled_from(
        [
            *(b'"', b"\\", b"\\\\", b"\\u0040", b"\\u00", b"@", b"%40", b"&#64;", b",", b":", b" ", b"."),
            *(b"{", b"}", b"[", b"]", b'"owner":', b'"labeler"', b"ann", b"x.com", b"null", b"\xc3", b"\0"),
            *(b"person-0123456789abcdef", b"ann@x.com", b"'", b"(", b"\n", b"1"),
        ]
    ),
    max_size=16,
).map(b"".join)


def without_people(tree: Any) -> Any:
    if isinstance(tree, list):
        return [without_people(one) for one in tree]
    if isinstance(tree, dict):
        return {key: without_people(one) for key, one in tree.items() if not is_of_people(key)}
    return tree


def with_pseudonyms(tree: Any, *, is_person: bool = False) -> Any:
    if isinstance(tree, list):
        return [with_pseudonyms(one, is_person=is_person) for one in tree]
    if isinstance(tree, dict):
        return {
            key: with_pseudonyms(one, is_person=is_person or is_of_people(key)) for key, one in tree.items()
        }
    is_nobody = tree is None or isinstance(tree, bool) or tree == ""
    return tree if is_nobody or not is_person else pseudonym(str(tree), NAMED)


def texts_of(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        yield from tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for one in tree:
            yield from texts_of(one)
    elif isinstance(tree, str):
        yield tree


def is_of_people(key: str) -> bool:
    return key.replace("_", "").replace("-", "").casefold().startswith(BEGINNINGS)


@given(plain_trees, st.sampled_from([None, 1]), st.booleans())
def test_without_people_a_document_says_the_same(tree: Any, indent: int | None, is_ascii: bool) -> None:  # noqa: FBT001 (given)
    body = json.dumps(tree, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    left = scrubbed(body, OMIT).decode("utf-8", "surrogatepass")
    assert json.loads(left) == without_people(tree)
    if without_people(tree) == tree:
        assert left.encode("utf-8", "surrogatepass") == body


@given(plain_trees, st.sampled_from([None, 1]))
def test_with_pseudonyms_a_document_has_the_same_form(tree: Any, indent: int | None) -> None:
    body = json.dumps(tree, indent=indent).encode()
    assert json.loads(scrubbed(body, NAMED)) == with_pseudonyms(tree)


@given(bodies_with_an_address(), policies)
def test_no_address_is_left_however_it_is_written(case: tuple[str, bytes], people: People) -> None:
    address, body = case
    left = scrubbed(body, people)
    whole = json.loads(left.decode("utf-8", "surrogatepass"))
    assert address.encode() not in left
    assert address not in "".join(texts_of(whole))


@given(st.tuples(plain_text, addresses, plain_text))
def test_a_text_that_is_no_json_loses_no_less_than_one_that_is(parts: tuple[str, str, str]) -> None:
    text = " ".join(parts)
    left = without_addresses(text)
    assert parts[1] not in left
    assert json.loads(scrubbed(json.dumps([text]).encode(), OMIT)) == [left]
    assert without_addresses(left) == left


@given(hostile | st.binary(max_size=30), policies)
def test_no_bytes_make_it_fail_or_leave_an_address(body: bytes, people: People) -> None:
    left = scrubbed(body, people)
    assert ADDRESS.search(left.replace(b"\\u0040", b"@")) is None
    assert left == scrubbed(body, people)


@given(hostile)
def test_what_is_left_out_once_is_left_out_for_good(body: bytes) -> None:
    once = scrubbed(body, OMIT)
    assert scrubbed(once, OMIT) == once


@given(bodies_with_an_address(), policies)
def test_what_is_scrubbed_stays_as_it_is(case: tuple[str, bytes], people: People) -> None:
    once = scrubbed(case[1], people)
    assert scrubbed(once, people) == once


@given(inner_addresses, policies)
def test_what_stands_around_an_address_stays(parts: tuple[str, str, str], people: People) -> None:
    before, address, after = parts
    text = f"{before} <{address}> {after}"
    left = json.loads(scrubbed(json.dumps({"new": text}).encode(), people))["new"]
    assert left.startswith(f"{before} <")
    assert left.endswith(f"> {after}")


@given(st.emails(), st.sampled_from(KEYS))
def test_one_person_has_one_pseudonym(address: str, key: str) -> None:
    def named(written: str) -> str:
        return str(json.loads(scrubbed(json.dumps({key: written}).encode(), NAMED))[key])

    assert named(address) == named(address.upper()) == named(f" {address.lower()} ")


@given(st.binary(max_size=60) | hostile)
def test_kept_is_kept(body: bytes) -> None:
    assert scrubbed(body, People(PeoplePolicy.KEEP)) == body
