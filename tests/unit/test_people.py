"""What a body of jobs tells of people: left out, a pseudonym or as it is, and nothing else touched."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest

from etl.parse.people import (
    BEGINNINGS,
    MARK,
    People,
    PeoplePolicy,
    mark_of,
    pseudonym,
    scrubbed,
    without_addresses,
)

OMIT = People()
NAMED = People(PeoplePolicy.PSEUDONYM, b"secret")
ANN = pseudonym("ann@example.com", NAMED)
BOB = pseudonym("bob@example.com", NAMED)
GONE = MARK.decode()
HOSTILE_BYTES = 1 << 16


def omitted(body: str) -> str:
    return scrubbed(body.encode(), OMIT).decode()


def named(body: str) -> str:
    return scrubbed(body.encode(), NAMED).decode()


# Members that name people.


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ('{"id":"a","labeler":"ann@example.com"}', '{"id":"a"}'),
        ('{"labeler":"ann@example.com","id":"a"}', '{"id":"a"}'),
        ('{"id":"a" , "reviewer" : "Bob", "name":"n"}', '{"id":"a" , "name":"n"}'),
        ('{"labeler":"x","reviewer":"y"}', "{}"),
        ('{ "labeler":"x", "id":"a"}', '{ "id":"a"}'),
        ('{"labeler":"x",\n "reviewer":"y",\n "id":"a"}', '{"id":"a"}'),
        ('{"id":"a","labeler":"x","reviewer":"y","owner":"z","createdBy":"q"}', '{"id":"a"}'),
        ('{"id":1,"labeler":null,"a":{"owner":7}}', '{"id":1,"a":{}}'),
        ('{"labeler":{"email":"x","all":[1,{"b":"}"}]},"id":2}', '{"id":2}'),
        ('{"reviewer":["a","b"],"id":2}', '{"id":2}'),
        (r'{"\u006cabeler":"Ann","id":2}', '{"id":2}'),
        ('{"Created_By":"Ann","OWNER":"x","id":2}', '{"id":2}'),
        ('{"job":{"labeler":"Ann","id":2}}', '{"job":{"id":2}}'),
        ('[{"labeler":"Ann"},{"labeler":"Bob"}]', "[{},{}]"),
        ('{"labeler":"Ann","labeler":"Bob"}', "{}"),
        ('{"labelers":["Ann"],"labeler_id":7,"labelerName":"Ann","id":2}', '{"id":2}'),
        ('{"assignee":{"id":"Hq1","name":"Jane Doe"},"id":2}', '{"id":2}'),
        ('{"id":2,"users-of-it":{"a":"b"},"_User":"Ann","E-Mail":"x"}', '{"id":2}'),
        (r'{"id":2,"\u0041ssigned\u005ft\u006fWhom":"Ann"}', '{"id":2}'),
        ('{"id":2,"reviewer%s":"Ann"}' % ("_of_it" * 99), '{"id":2}'),
        ('\ufeff{"labeler":"Ann"}', "\ufeff{}"),
    ],
)
def test_a_member_that_names_somebody_is_left_out_with_one_comma(body: str, left: str) -> None:
    assert omitted(body) == left


@pytest.mark.parametrize(
    "body",
    [
        '{"jobs": [ {"id" :"a", "annotated":3, "a_user":4, "status":"labeler", "name":"owner" } ] }\n',
        '["labeler", "reviewer"]',
        r'{"name":"\"owner\": Ann"}',
        r'{"x\"owner":1}',
        '{"name":"a,\\"labeler"}',
        "",
        "null",
        "<html>",
        '{"id":"@", "a":"@ 5 fps", "b":"100% & more", "c":"50%40", "d":"person-1"}',
    ],
)
def test_what_names_nobody_stays_byte_for_byte(body: str) -> None:
    assert omitted(body) == body
    assert named(body) == body


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ('{"id":"a","labeler":"Ann', '{"id":"a"'),
        ('{"id":"a","labeler":', '{"id":"a"'),
        ('{"id":"a","labeler"', '{"id":"a","labeler"'),
        ('{"id":"a","labeler":{"b":[', '{"id":"a"'),
        ('{"id":"a","labeler":}', '{"id":"a"}'),
        ('{"id":"a","labeler":Ann Lee,"x":1}', '{"id":"a","x":1}'),
        ('x"owner":1,@example.com', "x,@example.com"),
        ('"owner""labeler":1,:5', '"owner",:5'),
        ('{"a":"owner":1,"b":2}', '{"a":,"b":2}'),
        ('{"a":["labeler":"Ann"],"id":1}', '{"a":[],"id":1}'),
    ],
)
def test_broken_json_keeps_nobody_and_forms_nothing_new(body: str, left: str) -> None:
    assert omitted(body) == left


# A key with the last end is too long to be remembered, and so is judged each time.
@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("end", ["", "s", "_id", "-Name", "_of_all_times" * 9])
@pytest.mark.parametrize("value", ["7", '"Jane Doe"', '["Jane Doe"]', '{"name":"Jane Doe"}', "null"])
def test_whatever_begins_as_a_name_of_people_is_left_out_whatever_its_shape(
    beginning: str, end: str, value: str
) -> None:
    for key in (
        beginning,
        beginning.title(),
        beginning.replace("by", "_by"),
        f"{beginning[:3]}-{beginning[3:]}",
    ):
        assert omitted(f'{{"id":1,"{key}{end}":{value}}}') == '{"id":1}'
        assert "Jane" not in named(f'{{"id":1,"{key}{end}":{value}}}')


# Addresses anywhere.


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.com",
        "Ann.Lee+x_1@sub-domain.example.co.uk",
        "o'neil&sons@example.com",
        r"ann\u0040example.com",
        r"\u0061nn@ex\u0061mple\u002Ecom",
        r"ann\\u0040example.com",
        r"ann\\\\u0040example.com",
        "ann%40example.com",
        "ann&#64;example.com",
        "ann&#x40;example.com",
        "ann@localhost",
        "ann@[127.0.0.1]",
        "änn@exämple.com",
        r"\u00e4nn@ex\u00e4mple.com",
        "ann@b@example.com",
        r"\\ann@example.com",
        r"\"ann lee\"@example.com",
        r"\"ann, of: (lee)\"@example.com",
        r"\"ann \\\"al\\\" l\u00e4e\"@[127.0.0.1]",
        r"\u0022ann lee\u0022@example.com",
        r"\\u0022ann lee\\u0022@example.com",
        "&quot;ann lee&quot;&#64;example.com",
        "&#34;ann & lee&#x22;@example.com",
    ],
)
@pytest.mark.parametrize("before", ["", " ", "by: ", "Ann <", r"\n", r"\"", r"\u0020", r"\t("])
@pytest.mark.parametrize("after", ["", " ", ", thanks", ". Bye", r"\n", r"\"", ">"])
def test_an_address_in_any_text_is_replaced_and_nothing_around_it(
    address: str, before: str, after: str
) -> None:
    body = f'{{"new":["{before}{address}{after}"],"id":"a"}}'
    assert omitted(body) == f'{{"new":["{before}{GONE}{after}"],"id":"a"}}'
    json.loads(omitted(body))
    assert address not in named(body)
    json.loads(named(body))


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ('{"ann@example.com":1}', f'{{"{GONE}":1}}'),
        ("ann@example.com", GONE),
        ("<a href='mailto:ann@example.com'>", f"<a href='mailto:{GONE}'>"),
        ("{a: ann@example.com, b", f"{{a: {GONE}, b"),
        (r'{"a":"by \"ann lee\"@example.com."}', f'{{"a":"by {GONE}."}}'),
        (r'{"a":"ann lee\"@example.com"}', rf'{{"a":"ann lee{GONE}"}}'),
        (r'{"a":"\"of ann@example.com\"@ home"}', rf'{{"a":"\"of {GONE}\"@ home"}}'),
        (r'{"a":"\"one\" and \"two\" @ 5"}', r'{"a":"\"one\" and \"two\" @ 5"}'),
        (r'{"a":"{\"labeler\":\"ann@example.com\"}"}', rf'{{"a":"{{\"labeler\":\"{GONE}\"}}"}}'),
    ],
)
def test_an_address_is_found_in_keys_and_in_what_is_no_json(body: str, left: str) -> None:
    assert omitted(body) == left


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_an_address_in_another_encoding_is_replaced(codec: str) -> None:
    body = '{"name":"ann@example.com"}'.encode(codec)
    assert "example".encode("utf-16-le") not in scrubbed(body, OMIT)
    assert "example".encode("utf-16-be") not in scrubbed(body, OMIT)


def test_bytes_that_are_no_text_hide_no_address() -> None:
    assert scrubbed(b'{"name":"\xff ann@example.com \xed\xa0\x80"}', OMIT) == (
        b'{"name":"\xff %b \xed\xa0\x80"}' % MARK
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "User ann.lee@example.com may not see jobs of bob@example.com.",
            f"User {GONE} may not see jobs of {GONE}.",
        ),
        ('"ann lee"@example.com', GONE),
        ('by "ann \\"al\\" lee"@example.com, or "bob"', f'by {GONE}, or "bob"'),
        ("ann%40example.com", GONE),
        ("ann@[10.0.0.1]", GONE),
        (f'"{"é" * 64}"@example.com', GONE),
        (f"of {ANN}", f"of {GONE}"),
        ("ann\u200blee@\u00e4.example\n\0", f"{GONE}\n\0"),
        ("\ud800 ann@b", f"\ud800 {GONE}"),
        ('"10" @ 5 fps, 100% \\ & "more"', '"10" @ 5 fps, 100% \\ & "more"'),
        ("", ""),
    ],
)
def test_a_text_that_is_no_json_loses_its_addresses_and_nothing_else(text: str, left: str) -> None:
    assert without_addresses(text) == left


# Pseudonyms.


def test_a_pseudonym_stands_for_a_person_wherever_and_however_the_address_is_written() -> None:
    assert named('{"labeler":"ann@example.com","reviewer":"ANN@Example.com","n":"by Ann@example.com."}') == (
        f'{{"labeler":"{ANN}","reviewer":"{ANN}","n":"by {ANN}."}}'
    )
    assert named(r'{"labeler":"ann\u0040example.com"}') == f'{{"labeler":"{ANN}"}}'
    assert named('{"labeler":"Ann Lee <ann@example.com>"}') == f'{{"labeler":"{ANN}"}}'
    assert named('{"n":"\'ann@example.com\'"}') == f'{{"n":"{ANN}\'"}}'
    assert ANN != BOB


def test_a_pseudonym_is_hmac_sha256_of_the_address_in_small_letters() -> None:
    # printf ann@example.com | openssl dgst -sha256 -hmac secret
    assert ANN == "person-beac5748fe881f21"
    assert pseudonym("ann@example.com", People(PeoplePolicy.PSEUDONYM, b"other")) != ANN


def test_an_id_that_is_no_address_keeps_its_case() -> None:
    one, other = pseudonym("aBc", NAMED), pseudonym("abc", NAMED)
    assert one != other
    assert named('{"owner":" aBc "}') == f'{{"owner":"{one}"}}'


def test_every_text_and_number_of_a_person_becomes_a_pseudonym_and_nothing_else() -> None:
    body = '{"labeler": {"email":"ann@example.com","n":[12, null, true, ""]} , "reviewer":"","id":"a"}'
    twelve = pseudonym("12", NAMED)
    assert named(body) == (
        f'{{"labeler": {{"email":"{ANN}","n":["{twelve}", null, true, ""]}} , "reviewer":"","id":"a"}}'
    )


def test_a_key_among_people_keeps_its_place_and_loses_its_address() -> None:
    one = pseudonym("1", NAMED)
    assert named('{"labeler":{"id":1,"ann@example.com":1}}') == (
        f'{{"labeler":{{"id":"{one}","{ANN}":"{one}"}}}}'
    )


@pytest.mark.parametrize(
    ("written", "person"), [("Ann\tLee", "Ann\tLee"), ("\\u0041nn\tLee", "Ann\tLee"), (r"\ud800", "\ud800")]
)
def test_a_name_that_is_no_tidy_text_has_a_pseudonym_as_well(written: str, person: str) -> None:
    assert named(f'{{"labeler":"{written}"}}') == f'{{"labeler":"{pseudonym(person, NAMED)}"}}'


@pytest.mark.parametrize(
    "body", ['{"labeler":"ann@example.com', '{"labeler":ann@example.com', '{"owner":["x']
)
def test_broken_json_becomes_pseudonyms_all_the_same(body: str) -> None:
    assert "person-" in named(body)
    assert "ann" not in named(body)


def test_pseudonyms_need_a_secret_and_do_not_show_it() -> None:
    with pytest.raises(ValueError, match=r"^pseudonyms need a secret key$"):
        People(PeoplePolicy.PSEUDONYM)
    assert "secret" not in repr(NAMED)


# Policies.


def test_kept_is_kept_as_it_is() -> None:
    body = b'{"labeler":"ann@example.com"'
    assert scrubbed(body, People(PeoplePolicy.KEEP)) is body


def test_what_is_a_pseudonym_already_stays_one_and_can_be_left_out_later() -> None:
    once = named('{"labeler":"ann@example.com","n":"by bob@example.com"}')
    assert named(once) == once
    assert omitted(once) == f'{{"n":"by {GONE}"}}'


def test_the_mark_of_a_policy_tells_it_from_every_other_and_from_that_with_another_key() -> None:
    policies = [OMIT, NAMED, People(PeoplePolicy.PSEUDONYM, b"other"), People(PeoplePolicy.KEEP)]
    marks = {mark_of(partial(scrubbed, people=people)) for people in policies}
    assert len(marks) == len(policies)
    assert mark_of(partial(scrubbed, people=People(key=b"of no use"))) in marks
    assert all(len(mark) == 16 and mark.isalnum() for mark in marks)


# Time.


@pytest.mark.parametrize(
    "part",
    [
        b"@",
        b"a",
        b'"a@',
        b"\\",
        b"\\u0040",
        b"\\\\u0040",
        b"\\u00e4",
        b'{"owner":',
        b'"owner":1,',
        b'"owner" ',
        b'{"owner":[',
        b"a@",
        b"a@a.",
        b"a@a-",
        b"a@[a",
        b".",
        b"%40",
        b"&#",
        b"a.b@c ",
        b"person-",
        b'"',
        b'""',
        b'"\\',
        b'\\"',
        b'\\"a',
        b'\\\\\\"',
        b'\\"@a',
        b"&quot;",
        b'"" ',
        b'{"owner":1}',
        b'"user_',
        b" ",
        b",",
        b"\xff",
    ],
)
@pytest.mark.parametrize("people", [OMIT, NAMED])
def test_a_hostile_body_takes_no_longer_than_an_honest_one(part: bytes, people: People) -> None:
    before_s = time.process_time()
    for start in (b"", b'{"owner"', b'{"owner":"', b"a@"):
        scrubbed(start + part * (HOSTILE_BYTES // len(part)) + b"@", people)
    assert time.process_time() - before_s < 3


@pytest.mark.parametrize("part", [b'"" ', b'"a" ', b'{"owner":1}', b'{"labeler_'])
def test_what_never_comes_is_not_looked_for_again_and_again(part: bytes) -> None:
    before_s = time.process_time()
    scrubbed(part * (16 * HOSTILE_BYTES // len(part)), OMIT)
    assert time.process_time() - before_s < 5
