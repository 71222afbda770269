"""Keys, persons, names, colours, paths and texts: what is accepted, and in which form."""

from __future__ import annotations

import contextlib
import json
import random
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import access, appearance
from carets.protocol.access import Role

SECRET = b"s" * 32
HIDDEN = (
    "\u061c\u200b\u200e\u200f\u2028\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069"
    "\ufeff\ufff9\x00\x1b\x7f\x9b\ue000\ud800"
)
ANY_TEXT = st.text(
    st.characters() | st.sampled_from("e\u0301\u0489\u200b\u200d\u200d\u202e\u212a\u20e3\ufe0f\ufe0f1é \n/.~:\ud800"),
    max_size=80,
)


def test_roles_are_in_order_and_named_as_on_the_wire() -> None:
    assert Role.VIEWER < Role.EDITOR < Role.OWNER
    assert [Role.of(role.label) for role in Role] == list(Role)


@given(st.text(st.characters(exclude_categories=())), st.text())
def test_a_key_matches_its_own_hash_only(key: str, other: str) -> None:
    assert access.key_matches(key, access.hash_key(key))
    assert access.key_matches(other, access.hash_key(key)) == (other == key)


def test_a_persons_token_is_good_here_and_nowhere_else() -> None:
    person_id = access.new_person_id(b"abcdefghijklmnop")
    token = access.sign_person(SECRET, "workspace-1", person_id)
    assert (
        access.read_person(SECRET, "workspace-1", token)
        == access.person_name(person_id)
        == "person:" + b"abcdefghijkl".hex()
    )
    assert access.read_person(SECRET, "workspace-2", token) is None
    assert access.read_person(b"t" * 32, "workspace-1", token) is None
    for at in range(len(token) - 1):
        forged = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert access.read_person(SECRET, "workspace-1", forged) is None


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("e\u0301\r\n\t\u202e\u2066\x00"), max_size=40))
def test_a_message_is_nfc_visible_and_stays_as_it_is(text: str) -> None:
    try:
        message = access.clean_message(text)
    except Refused:
        return
    assert access.clean_message(message) == message == unicodedata.normalize("NFC", message).strip()
    assert not set(message) & set("\r\x00\x1b\x9b\u2028\u202a\u202e\u2066\u2069\ud800")


def test_a_message_keeps_its_lines_and_what_scripts_need() -> None:
    kept = "a\tb\n  c\n\n\u05e9\u200f! \U0001f469\u200d\U0001f4bb"
    assert access.clean_message(f"\n {kept}\r\n") == kept
    assert access.clean_message("a\r\nb\rc\u2028d") == "a\nb\nc\nd"
    assert access.clean_message("\u202ee\x07\u0301") == "\u00e9"
    flag = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    assert access.clean_message(flag) == flag
    assert access.clean_message("for people\U000e0066\U000e006f\U000e0072\U000e0020 only") == "for people only"
    assert len(access.clean_message("x" * limits.CHAT_UNITS_MAX)) == limits.CHAT_UNITS_MAX
    for text in ("", " \n\t", "\x00\u2066", "x" * (limits.CHAT_UNITS_MAX + 1)):
        with pytest.raises(Refused) as caught:
            access.clean_message(text)
        assert caught.value.code is Code.TEXT_INVALID


def test_a_message_stacks_no_more_marks_than_any_language_does() -> None:
    """NFC takes the square of a run's length: one frame of marks in the wrong order held the server for seconds."""
    heap = access.clean_message("a" + "\u0301" * 16_000 + "\u0323" * 16_000 + "b\u0344" + "\u0344" * 60)
    assert [len(run) for run in re.findall("[\u0300-\u036f]+", heap)] == [30 - 1, 30]
    assert access.clean_message(heap) == heap
    assert access.clean_message("\u05d1\u05b0\u05bc\u05e8") == "\u05d1\u05b0\u05bc\u05e8"


def test_a_person_is_recognised_by_their_own_token_only() -> None:
    person, token = access.recognise(SECRET, "workspace-1", "", lambda count: b"a" * count)
    assert access.recognise(SECRET, "workspace-1", token, lambda count: b"b" * count) == (person, token)
    stranger, other = access.recognise(SECRET, "workspace-2", token, lambda count: b"b" * count)
    assert (stranger == person, other == token) == (False, False)


@given(ANY_TEXT)
def test_what_is_no_token_is_nobody(token: str) -> None:
    assert access.read_person(SECRET, "workspace-1", token) is None


@given(ANY_TEXT, st.integers(1, 50))
def test_a_label_is_nfc_bounded_visible_and_stays_as_it_is(text: str, units_max: int) -> None:
    label = access.clean_label(text, units_max, "otherwise")
    if label != "otherwise":
        assert len(label) <= units_max
        assert label == unicodedata.normalize("NFC", label) == label.strip()
        assert not any(character in HIDDEN for character in label)
        assert access.clean_label(label, units_max, "otherwise") == label


def test_a_label_without_anything_visible_is_the_other_one() -> None:
    assert access.clean_label(HIDDEN, 40, "Guest 1") == "Guest 1"
    assert access.clean_label("a\u202e\n b", 40, "") == "a b"
    assert access.clean_label("e\u200b\u0301", 40, "") == "é"
    assert access.clean_label("👩\u200d💻", 40, "") == "👩\u200d💻"
    assert (
        access.clean_label("1\ufe0f\u20e3 ❤\ufe0f\u200d🔥 می\u200cخواهم", 40, "")
        == "1\ufe0f\u20e3 ❤\ufe0f\u200d🔥 می\u200cخواهم"
    )


def test_a_label_that_looks_like_another_is_that_one() -> None:
    """A member named "Ada" with a joiner inside was another than "Ada" and looked the same."""
    for twin in (
        "A\u200dda",
        "Ada\u200d",
        "Ada\ufe0f",
        "\u00adA\u034fda",
        "Ad\U000e0061a",
        "\u3164Ada\u2800",
        "\u200cAda",
        "Ada\ufffe",
    ):
        assert access.clean_label(twin, 40, "") == "Ada", ascii(twin)
    assert access.clean_label("👩\u200d💻", 2, "") == "👩", "what is cut off leaves no joiner behind"


def test_what_is_taken_out_of_a_label_leaves_nothing_to_take_out() -> None:
    """A selector between two spaces left both of them, so that one name had two forms."""
    assert access.clean_label("a \U000e0100 b", 40, "") == "a b"
    pick = random.Random(7)
    pieces = "aé漢👩1 \u200c\u200d\ufe0f\U000e0100\U000e0061\u20e3\u0301\u0489\u202e\ufffe\u3000\u212a\x1c"
    for _ in range(5_000):
        text = "".join(pick.choices(pieces, k=pick.randint(1, 9)))
        for units_max in (3, 40):
            label = access.clean_label(text, units_max, "x")
            assert access.clean_label(label, units_max, "x") == label, ascii(text)
            assert not appearance.has_hidden(label), ascii(text)


def test_a_label_stays_in_its_line() -> None:
    """Names with a hundred marks on one letter covered the lines above and below."""
    for mark in "\u0301\u0489\u20dd":
        label = access.clean_label("Z" + mark * 100 + "oe", 40, "")
        assert len(label) <= 11
        assert label.endswith("oe")


@given(ANY_TEXT, st.integers(0, 100))
def test_a_colour_is_always_one(text: str, seed: int) -> None:
    assert access._COLOR.fullmatch(access.clean_color(text, seed))
    assert access.clean_color("#ABCDEF", seed) == "#abcdef"


def contrast_with_white(color: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


@pytest.mark.parametrize("color", access.PALETTE)
def test_white_letters_can_be_read_on_every_colour(color: str) -> None:
    assert contrast_with_white(color) >= 4.5


@pytest.mark.parametrize(
    "path", ["a", "a/b.py", "ü/😀.txt", ".gitignore", "a b/c d", "x" * 255, "a/" * 250 + "b", "a~"]
)
def test_an_honest_path_is_kept(path: str) -> None:
    assert access.clean_path(path) == path


@pytest.mark.parametrize(
    "path", ["", ".", "..", "a/..", "../a", "/a", "a/", "a//b", "a\\b", " a", "a /b", "a.", "a\n", "~1", "x" * 256]
)
def test_a_path_that_leads_elsewhere_or_nowhere_is_refused(path: str) -> None:
    with pytest.raises(Refused) as caught:
        access.clean_path(path)
    assert caught.value.code is Code.PATH_INVALID


PATHS = json.loads((Path(__file__).parent / "vectors" / "paths.json").read_text())


@pytest.mark.parametrize("path", PATHS["kept"])
def test_a_path_of_any_script_is_kept(path: str) -> None:
    assert access.clean_path(path) == unicodedata.normalize("NFC", path)


@pytest.mark.parametrize("path", PATHS["refused"], ids=ascii)
def test_a_path_that_is_none_somewhere_or_looks_like_another_is_refused(path: str) -> None:
    with pytest.raises(Refused) as caught:
        access.clean_path(path)
    assert caught.value.code is Code.PATH_INVALID


@pytest.mark.parametrize("character", HIDDEN)
def test_a_path_with_a_character_that_deceives_is_refused(character: str) -> None:
    with pytest.raises(Refused):
        access.clean_path(f"a{character}b")


@given(ANY_TEXT)
def test_a_path_is_refused_or_has_one_form(text: str) -> None:
    with contextlib.suppress(Refused):
        path = access.clean_path(text)
        assert access.clean_path(path) == path == unicodedata.normalize("NFC", text)
        assert not set(path.split("/")) & {"", ".", ".."}
        path.encode()


@given(ANY_TEXT)
def test_a_text_has_line_feeds_only_or_is_refused(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        with pytest.raises(Refused, match="4443"):
            access.clean_text(text)
    else:
        assert "\r" not in access.clean_text(text)


def test_a_texts_limit_is_in_utf_16_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_UNITS_MAX", 4)
    assert access.clean_text("😀\r\na") == "😀\na"
    with pytest.raises(Refused) as caught:
        access.clean_text("😀😀a")
    assert caught.value.code is Code.DOCUMENT_TOO_LARGE


@pytest.mark.parametrize(
    "text,is_id",
    [
        ("a" * 8, True),
        ("a-_Z0" * 4, True),
        ("a" * 7, False),
        ("a" * 65, False),
        ("aaaaaaa\n", False),
        ("ааааааaа", False),
    ],
)
def test_an_id_is_letters_digits_and_two_signs(text: str, is_id: bool) -> None:
    assert access.is_id(text) == is_id


@pytest.mark.parametrize(
    "text,is_one",
    [("a-_Z0aBc" * 2, True), ("a" * 15, False), ("a" * 17, False), ("a" * 22, False), ("aaaaaaaaaaaaaaa.", False)],
)
def test_an_id_of_a_workspace_has_a_length_of_its_own(text: str, is_one: bool) -> None:
    """Logs name workspaces by it, so a key or a token in its place must not pass for one."""
    assert access.is_workspace_id(text) == is_one


def test_the_longest_path_is_taken_and_one_character_more_is_not() -> None:
    longest = "a" * 254 + "/" + "b" * 255 + "/c"
    assert len(longest) == limits.PATH_UNITS_MAX
    assert access.clean_path(longest) == longest
    with pytest.raises(Refused, match="1 to 512"):
        access.clean_path(longest + "c")


def test_a_text_with_half_a_character_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        access.clean_text("a\ud83d")
    assert caught.value.code is Code.TEXT_INVALID
