"""Rows B1 to B4, B26 and B29: is it JSON? In the manner of JSONTestSuite, with cases of our own."""

from __future__ import annotations

import pytest

from bridge.contract.invalid import InvalidCode
from tests.unit.dialects.doors import PAIR, code, of_type, parse, refusal, with_data

VALID = {
    "empty array": b"[]",
    "empty object": b"{}",
    "array with space inside": b"[ ]",
    "arrays in an array": b"[[],[[]]]",
    "every kind in an array": b'[null, 1, "1", {}, [], true, false]',
    "null in an array": b"[null]",
    "false alone": b"false",
    "true alone": b"true",
    "null alone": b"null",
    "integer alone": b"42",
    "negative number alone": b"-0.1",
    "text alone": b'"asd"',
    "empty text alone": b'""',
    "leading space": b" [1]",
    "trailing space": b"[1] ",
    "trailing newline": b'["a"]\n',
    "tabs and carriage returns": b"\t[\r\n1\t]\r",
    "zero": b"[0]",
    "negative zero": b"[-0]",
    "negative zero with fraction": b"[-0.0]",
    "zero with exponent": b"[0e1]",
    "zero with positive exponent": b"[0e+1]",
    "exponent": b"[1E22]",
    "negative exponent": b"[1E-2]",
    "positive exponent": b"[1E+2]",
    "fraction and exponent": b"[123.456e78]",
    "simple fraction": b"[123.456789]",
    "number close to zero": b"[-0.000000000000000000000000000000000000000000000000000000000001]",
    "space after a number": b"[4 ]",
    "one-digit negative": b"[-1]",
    "simple object": b'{"a":[]}',
    "empty key": b'{"":0}',
    "two keys": b'{"asd":"sdf","dfg":"fgh"}',
    "escaped NUL in a key": b'{"foo\\u0000bar":42}',
    "extreme numbers": b'{"min":-1.0e+28,"max":1.0e+28}',
    "long keys": b'{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx":1}',
    "newlines in an object": b'{\n"a": "b"\n}',
    "unicode escapes in a key": b'{"\\u041f\\u043e":1}',
    "all short escapes": b'["\\"\\\\\\/\\b\\f\\n\\r\\t"]',
    "escaped backslash then u": b'["\\\\u0000"]',
    "escaped surrogate pair": b'["\\ud801\\udc37"]',
    "two surrogate pairs": b'["\\ud83d\\ude39\\ud83d\\udc8d"]',
    "escaped noncharacter": b'["\\uFFFF"]',
    "escaped private use": b'["\\uDBFF\\uDFFE"]',
    "escaped line separator": b'["\\u2028\\u2029"]',
    "raw line separator": b'["\xe2\x80\xa8"]',
    "raw two-byte UTF-8": b'["\xcf\x80"]',
    "raw three-byte UTF-8": b'["\xe2\x82\xac"]',
    "raw four-byte UTF-8": b'["\xf0\x9f\x98\x80"]',
    "raw noncharacter": b'["\xef\xbf\xbf"]',
    "delete character": b'["\x7f"]',
    "comment inside of text": b'["a/*b*/c/*d//e"]',
    "text with brackets": b'["[{]}"]',
    "text with colons": b'[":::"]',
    "text that looks like a number": b'["1e5"]',
    "escaped control character": b'["\\u0012"]',
    "escaped NUL": b'["\\u0000"]',
    "upper-case escapes": b'["\\uABCD\\uEF01"]',
}

INVALID = {
    "empty": b"",
    "space only": b" ",
    "newline only": b"\n",
    "byte order mark and value": b"\xef\xbb\xbf[1]",
    "byte order mark only": b"\xef\xbb\xbf",
    "incomplete byte order mark": b"\xef\xbb[1]",
    "UTF-16 little-endian": b"\xff\xfe[\x001\x00]\x00",
    "UTF-16 big-endian without mark": b"\x00[\x001\x00]",
    "UTF-32": b"[\x00\x00\x001\x00\x00\x00]\x00\x00\x00",
    "two documents": b"{} {}",
    "two arrays": b"[1][2]",
    "trailing garbage": b"[1]x",
    "trailing comma after document": b"[1],",
    "trailing NUL": b"[1]\x00",
    "trailing form feed": b"[1]\x0c",
    "trailing bracket": b"[1]]",
    "trailing brace": b"{}}",
    "trailing hash": b"{}#",
    "trailing comment": b"{}/**/",
    "trailing line comment": b"{}//",
    "leading comment": b"/**/[1]",
    "comment inside": b"[1,/*x*/2]",
    "leading form feed": b"\x0c[1]",
    "no-break space": b"\xc2\xa0[1]",
    "word joiner": b"[\xe2\x81\xa0]",
    "vertical tab": b"[\x0b]",
    "NaN": b"[NaN]",
    "negative NaN": b"[-NaN]",
    "nan": b"[nan]",
    "Infinity": b"[Infinity]",
    "negative Infinity": b"[-Infinity]",
    "positive Infinity": b"[+Infinity]",
    "inf": b"[inf]",
    "NaN alone": b"NaN",
    "plus sign": b"[+1]",
    "two minus signs": b"[--1]",
    "plus and minus": b"[+-1]",
    "minus alone": b"[-]",
    "minus and letter": b"[-foo]",
    "minus and space": b"[- 1]",
    "minus and dot": b"[-.5]",
    "leading zero": b"[01]",
    "negative leading zero": b"[-01]",
    "two zeros": b"[00]",
    "no integer part": b"[.5]",
    "no fraction": b"[1.]",
    "no fraction before exponent": b"[1.e5]",
    "two dots": b"[1.2.3]",
    "exponent without digits": b"[1e]",
    "exponent with sign only": b"[1e+]",
    "two exponents": b"[1e2e3]",
    "exponent with fraction": b"[1e2.5]",
    "capital exponent without digits": b"[0E]",
    "dot and exponent": b"[0.e1]",
    "hexadecimal": b"[0x42]",
    "octal": b"[0o17]",
    "binary number": b"[0b1]",
    "underscore": b"[1_000]",
    "space in a number": b"[1 000]",
    "letter after a number": b"[1a]",
    "full-width digit": b"[\xef\xbc\x91]",
    "suffix": b"[1.5f]",
    "dollar": b"[$1]",
    "capital true": b"[True]",
    "capital null": b"[NULL]",
    "truncated true": b"[tru]",
    "truncated null": b"[nul]",
    "truncated false": b"[fals]",
    "longer true": b"[truee]",
    "undefined": b"[undefined]",
    "None": b"[None]",
    "unquoted word": b"[abc]",
    "star": b"[*]",
    "backslash": b"[\\n]",
    "single quotes": b"['a']",
    "back quotes": b"[`a`]",
    "unclosed array": b"[1",
    "unclosed array after comma": b"[1,",
    "unclosed nested array": b"[[1]",
    "unopened array": b"1]",
    "trailing comma": b"[1,]",
    "two trailing commas": b"[1,,]",
    "leading comma": b"[,1]",
    "comma only": b"[,]",
    "two commas": b"[1,,2]",
    "no comma": b"[1 2]",
    "no comma between arrays": b"[[1][2]]",
    "semicolon": b"[1;2]",
    "colon in an array": b"[1:2]",
    "closed by a brace": b"[1}",
    "object closed by a bracket": b'{"a":1]',
    "unclosed object": b"{",
    "unclosed object after key": b'{"a"',
    "unclosed object after colon": b'{"a":',
    "unclosed object after value": b'{"a":1',
    "unclosed object after comma": b'{"a":1,',
    "trailing comma in object": b'{"a":1,}',
    "leading comma in object": b'{,"a":1}',
    "two commas in object": b'{"a":1,,"b":2}',
    "two colons": b'{"a"::1}',
    "no colon": b'{"a" 1}',
    "equals sign": b'{"a"=1}',
    "no value": b'{"a":}',
    "no key": b"{:1}",
    "number as key": b"{1:1}",
    "null as key": b"{null:1}",
    "array as key": b"{[1]:1}",
    "unquoted key": b"{a:1}",
    "single-quoted key": b"{'a':1}",
    "two values": b'{"a":1 2}',
    "key without pair": b'{"a"}',
    "comma for colon": b'{"a",1}',
    "unclosed text": b'["a',
    "unclosed text with escape": b'["a\\"]',
    "lone quote": b'"',
    "raw newline in text": b'["a\nb"]',
    "raw tab in text": b'["\t"]',
    "raw NUL in text": b'["a\x00b"]',
    "raw escape character in text": b'["\x1b"]',
    "unknown escape": b'["\\a"]',
    "hexadecimal escape": b'["\\x00"]',
    "octal escape": b'["\\012"]',
    "escaped tab character": b'["\\\t"]',
    "escaped emoji": b'["\\\xf0\x9f\x8c\x80"]',
    "capital U escape": b'["\\U0041"]',
    "unicode escape of three digits": b'["\\u00A"]',
    "unicode escape without digits": b'["\\u"]',
    "unicode escape of a letter": b'["\\u123g"]',
    "unicode escape with a sign": b'["\\u+123"]',
    "lone high surrogate": b'["\\ud800"]',
    "lone high surrogate and text": b'["\\ud800abc"]',
    "lone low surrogate": b'["\\udc00"]',
    "two high surrogates": b'["\\ud800\\ud800"]',
    "reversed surrogates": b'["\\udc00\\ud800"]',
    "high surrogate and escape": b'["\\ud800\\n"]',
    "half an escaped pair": b'["\\ud800\\u"]',
    "invalid UTF-8 byte": b'["\xff"]',
    "lone continuation byte": b'["\x81"]',
    "truncated UTF-8": b'["\xe0\xff"]',
    "overlong two bytes": b'["\xc0\xaf"]',
    "overlong six bytes": b'["\xfc\x83\xbf\xbf\xbf\xbf"]',
    "surrogate in UTF-8": b'["\xed\xa0\x80"]',
    "beyond Unicode": b'["\xf4\x90\x80\x80"]',
    "Latin-1": b'["\xe9"]',
    "invalid UTF-8 in a key": b'{"\xb9":0}',
    "invalid UTF-8 outside of text": b"[\xe5]",
    "angle brackets": b"<.>",
    "nothing but a letter": b"a",
    "concatenated words": b"[truenull]",
    "pickle": b"\x80\x04K\x01.",
    "gzip": b"\x1f\x8b\x08\x00",
}

# JSON leaves these to the implementation. None: accepted as the value of a FP64 element.
FREE: dict[str, tuple[bytes, InvalidCode | None]] = {
    "number beyond a double": (b"1e400", InvalidCode.NUMBER_RANGE),
    "negative number beyond a double": (b"-1e400", InvalidCode.NUMBER_RANGE),
    "large exponent": (b"0.4e00669999999999999999999999999999999999", InvalidCode.NUMBER_RANGE),
    "vanishing exponent": (b"1e-400", None),
    "huge negative exponent": (b"123e-10000000", None),
    "integer beyond 64 bits": (b"100000000000000000000", None),
    "negative integer beyond 64 bits": (b"-123123123123123123123123123123", None),
    "5,000 digits": (b"1" * 5_000, InvalidCode.NUMBER_RANGE),
    "many decimals": (b"0." + b"1" * 400, None),
    "smallest subnormal": (b"5e-324", None),
    "below the smallest subnormal": (b"2e-324", None),
    "largest double": (b"1.7976931348623157e308", None),
    "rounds beyond the largest double": (b"1.7976931348623159e308", InvalidCode.NUMBER_RANGE),
    "500 nested arrays": (b"[" * 500 + b"]" * 500, InvalidCode.TOO_DEEP),
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID.keys())
def test_text_that_is_json_is_never_called_bad_json(text: bytes) -> None:
    assert code(text) is not InvalidCode.BAD_JSON


@pytest.mark.parametrize("text", VALID.values(), ids=VALID.keys())
def test_data_that_is_json_is_never_called_bad_json(text: bytes) -> None:
    assert code(with_data(text, shape="[9,2]")) is not InvalidCode.BAD_JSON


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_text_that_is_not_json_is_refused_as_bad_json(text: bytes) -> None:
    assert code(text) is InvalidCode.BAD_JSON


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_data_that_is_not_json_is_refused_as_bad_json(text: bytes) -> None:
    assert code(with_data(text)) is InvalidCode.BAD_JSON


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_text_that_is_not_json_in_an_unknown_key_is_refused_as_bad_json(text: bytes) -> None:
    body = b'{"inputs":[],"unknown":' + text + b"}"
    assert code(body) is InvalidCode.BAD_JSON


@pytest.mark.parametrize(("text", "expected"), FREE.values(), ids=FREE.keys())
def test_what_json_leaves_open_is_decided(text: bytes, expected: InvalidCode | None) -> None:
    body = with_data(b"[" + text + b"]", datatype="FP64", shape="[1,1]")
    at = of_type("FP64")
    if expected is None:
        assert parse(body, at).rows == 1
    else:
        assert refusal(at, body).code is expected


@pytest.mark.parametrize("text", [b"null", b"[]", b'"x"', b"1", b"true"])
def test_json_that_is_no_object_is_refused_by_its_structure(text: bytes) -> None:
    assert code(text) is InvalidCode.SCHEMA


def test_a_message_names_the_byte() -> None:
    assert refusal(PAIR, b'{"a":tru}').message == "not JSON: invalid character (byte 6)"
