"""Names are people's: a hundred that are theirs, fifty that are nobody's, and what the rule does between."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studymatch.rules.names import NAME_MAX_CHARS, accept_name, alike
from studymatch.rules.protocol import Criteria

REAL = """
Ada|Zoë|José María|O'Connor|O’Brien|Jean-Luc|Łukasz Żółć|Đặng Thị Ngọc Ánh|Nguyễn Văn Quỳnh|Ọlábísí Ọ̀ṣọ́
Þórdís Guðmundsdóttir|Jiří Dvořák|Ştefan|İbrahim Yıldız|Sørén Ærø|Straße|Háŋska|Kealiʻi|Nǃxau|ǂKhomani
Αλέξανδρος|Ἀριστοτέλης|Владимир|Їжак Ґалаґан|Ђорђе|Айгүл Ёж|ქეთევან|Գայանե|שָׁרָה|דוד בן־גוריון
محمد|فاطمة الزهراء|مُحَمَّد|عليّ|علی‌رضا|نیک‌پی|می‌ترا|مہ‌وش|عبد الله|ܐܦܪܝܡ
ߛߏߟߏߡߊߣߊ|ދިވެހި|प्रिया|राजेन्द्र|अक्षय‌कुमार|क्‍ष|শ্রেয়া|র‍্যাচেল|ਗੁਰਪ੍ਰੀਤ|જ્યોતિ
ପ୍ରତିଭା|தமிழ்ச்செல்வி|వెంకటేశ్వర్లు|శ్రీ‌కాంత్|ಕೃಷ್ಣ|ಅರ್‌ಎಸ್|മോഹന്‍|അനില്‍ കുമാര്‍|ശ്രീജിത്ത്|ශ්‍රී
ප්‍රසන්න|สมชาย ใจดี|ณัฐวุฒิ ก้ำกึ่ง|ສົມສັກ|བསྟན་འཛིན་རྒྱ་མཚོ|རྡོ་རྗེ|မြင့်မြင့်|ကျော်စွာ|သုခမိန်|សុខា
ព្រះនរោត្ត|ᠲᠡᠮᠦᠵᠢᠨ|አበበ ቢቂላ|ᏎᏉᏯ|ᐃᓄᒃ|ⵜⵉⵏⵀⵉⵏⴰⵏ|ꦗꦮ|ᮞᮥᮔ᮪ᮓ|ᬩᬮᬶ|𞤀𞤣𞤤𞤢𞤥
王小明|歐陽娜娜|佐藤 さくら|山田・ジョン|葛󠄀城|辻󠄀|𠮷野|김민준|이 서연|ㄅㄆㄇ
👩‍💻|👨‍👩‍👧‍👦|🏳️‍🌈|🏴󠁧󠁢󠁥󠁮󠁧󠁿|🇩🇪|1️⃣|👍🏽|👩🏽‍🚀|❤️‍🔥|🧑‍⚖️ Ruth
⛹🏻‍♀️|🏴‍☠️ Anne|🐈‍⬛|🙂‍↔️|Ada ☕︎|\U0001fae9|\U0001fadc Root|\U0001faea|X Æ A-12|@nn #1 & Co. (she)
\U00010d4a\U00010d50|\U000116d0 ᱥᱟᱱᱛᱟᱲ|\U000323b0|99|3.14|Ⅷ|ﷺ
"""
"""Among them: emoji and scripts that are newer than the tables of Python 3.11, 3.12 or 3.13."""

NAMES = [name for line in REAL.strip().splitlines() for name in line.split("|")]

NOBODYS = [
    "",
    " ",
    "\t\r\n",
    "\u00a0",
    "\u2003\u3000",
    "\u2028\u2029",
    "\u1680",
    "\u3164",
    "\u3164\u3164 \u3164",
    "\uffa0",
    "\u2800",
    "\u2800 \u2800",
    "\u115f",
    "\u1160",
    "\u115f\u1160",
    "\u17b4",
    "\u17b5",
    "\u034f",
    "\u00ad",
    "\u180e",
    "\u180b",
    "\u061c",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200d\u200d \u200c",
    "\u200e\u200f",
    "\u202e",
    "\u2066\u2069",
    "\u2060\u2063",
    "\ufeff",
    "\ufe0f",
    "\ufffc",
    "\ufff9\ufffb",
    "\U000e0001",
    "\U000e0067\U000e0062\U000e007f",
    "\U000e0100",
    "\U000e0fff",
    "\U0001d159",
    "\U0001d173",
    "\U00016fe4",
    "\u0301",
    "\u0301\u0302 \u0303",
    "\u20e3",
    "\u0903",
    "\u094d\u200d",
    "\u093f",
    "A\x00da",
    "A\x07da",
    "A\x1b[31mda",
    "A\x9bda",
    "\ud800",
    "Ada\udfff",
    "\ue000",
    "\U0010fffd",
    "\U00100000 Ada",
    "\uffff",
    "A\ufdd0",
    "A\U0001ffff",
    "A\U00050000",
    "Q" + "\u0301\u0302\u0303\u0304",
    "Z" + "\u0335\u0321" * 20,
    "ก" + "\u0e47" * 8,
    "ก" + "\u0e49" * 3,
    "क" + "\u0951\u0952" * 4,
    "ب" + "\u064b\u064c\u064d\u064e\u064f\u0650\u0652",
    "x" * 41,
    "ä" * 41,
    "🎓" * 41,
    "x" * 1_000_000,
    "x" + "\u0316\u0301" * 500_000,
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_real_name_is_accepted_as_it_is(name: str) -> None:
    assert accept_name(name) == unicodedata.normalize("NFC", name)
    assert accept_name(unicodedata.normalize("NFD", name)) == unicodedata.normalize("NFC", name)


def test_there_are_enough_names() -> None:
    assert len(set(NAMES)) >= 100
    assert len(set(NOBODYS)) >= 50


@pytest.mark.parametrize("name", NOBODYS, ids=lambda name: ascii(name[:12]))
def test_what_nobody_could_see_or_bear_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^Please .*[.]$"):
        accept_name(name)


@pytest.mark.parametrize(
    ("given_", "name"),
    [
        ("  Ada   Lovelace ", "Ada Lovelace"),
        ("Ada\u2028Lovelace", "Ada Lovelace"),
        ("Ada\u3164\u00a0\u2800Lovelace\uffa0", "Ada Lovelace"),
        ("A\u202eda", "Ada"),
        ("\u2067Ada\u2069", "Ada"),
        ("Ad\u200da", "Ada"),
        ("A\u200c\u200bd\ufeffa\u00ad", "Ada"),
        ("\u0301Ada \u0301L", "Ada L"),
        ("e\u200c\u0301", "é"),
        ("Zoe\u0308", "Zoë"),
        ("علی\u200c", "علی"),
        ("\u200cعلی", "علی"),
        ("علی\u200c رضا", "علی رضا"),
        ("علی\u200c\u200cرضا", "علیرضا"),
        ("👩\u200d", "👩"),
        ("👩\u200d\u200d💻", "👩💻"),
        ("A\u200d👩", "A👩"),
        ("A\ufe0f", "A"),
        ("1\ufe0f", "1"),
        ("🏴\U000e0067\U000e0062", "🏴"),
        ("A\U000e0067\U000e0062\U000e0065\U000e007f", "A"),
        ("葛\U000e0100\U000e0101", "葛\U000e0100"),
        ("\u094d\u200dA", "A"),
        ("\u0600Ada", "Ada"),
        ("x" * 40 + " \u200b", "x" * 40),
    ],
    ids=ascii,
)
def test_what_does_nothing_is_stripped(given_: str, name: str) -> None:
    assert accept_name(given_) == name


@pytest.mark.parametrize("what", [None, 7, ["Ada"], {"name": "Ada"}, b"Ada", True])
def test_a_name_is_text(what: object) -> None:
    with pytest.raises(ValueError, match="as text"):
        accept_name(what)


def test_a_refusal_says_what_is_wrong() -> None:
    for name, sentence in (("", "enter a name"), ("x" * 41, "at most 40"), ("\x00", "can be shown")):
        with pytest.raises(ValueError, match=sentence):
            accept_name(name)


marks_and_joiners = st.sampled_from(
    "aéक\u094d\u200d\u200c\u0301ب👩💻\ufe0f\U0001f3f4\U000e0067\U000e007f \u3164葛\U000e0100\u180e\u1820"
)


@given(st.text(max_size=60) | st.text(marks_and_joiners, max_size=30))
def test_what_was_accepted_is_accepted_as_it_is(text: str) -> None:
    try:
        name = accept_name(text)
    except ValueError:
        return
    assert accept_name(name) == name
    assert 1 <= len(name) <= NAME_MAX_CHARS
    assert name == " ".join(name.split())
    assert unicodedata.is_normalized("NFC", name)
    name.encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("  Maths ", "maths"),
        ("Zoo\u0308logie", "zoölogie"),
        ("Straße", "STRASSE"),
        ("ＭＡＴＨＳ", "maths"),
        ("linear\u2003 \nalgebra", "linear algebra"),
        ("ma\u200bths\u202c", "maths"),
        ("زبان\u200cشناسی", "زبانشناسی"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ﬁnance", "finance"),
    ],
)
def test_criteria_are_the_same_when_people_read_them_as_the_same(one: str, other: str) -> None:
    assert Criteria(subject=one).named() == Criteria(subject=other).named()
    assert Criteria(language=one).named() == Criteria(language=other).named()


def test_a_criterion_of_nothing_is_none() -> None:
    assert Criteria(subject="\u3164 \u200b", language="").named() == {}
    assert Criteria(subject="  Maths ", language=None).named() == {"subject": "maths"}


@given(st.text(max_size=60))
def test_what_is_compared_is_compared_as_it_is(text: str) -> None:
    assert alike(alike(text)) == alike(text)
