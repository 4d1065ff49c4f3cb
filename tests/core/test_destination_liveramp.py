"""LiveRamp's rules on files: which header means what, what may stand together, and what a short form gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import pytest

from liveramp_provider.core.destination import (
    DeviceFile,
    Hash,
    Identifier,
    IdentifierColumn,
    Layout,
    PiiFile,
    Region,
    TraitColumn,
)
from liveramp_provider.core.destinations.liveramp import (
    MAX_SEGMENT_FIELDS,
    REGIONS,
    Delimiter,
    LayoutName,
    file_rules,
    identifier_of_header,
    identifier_of_trait,
)
from liveramp_provider.core.destinations.liveramp.files import device_files, pii_file
from liveramp_provider.core.destinations.liveramp.spec import DeviceSpec, PiiSpec

KNOWN = ["email", "email2", "phone", "first_name", "last_name", "address1", "city", "state", "zip", "country"]
TRAITS = [*KNOWN, "idfa", "gaid", "tier", "contact"]
KEY = {"CCID": {"from": "member_id"}}
EMAIL = {"EMAIL1": {"from": "email"}}


class Told:
    """Takes what a file's author would be told."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.warnings: list[str] = []

    def __call__(self, at: tuple[str | int, ...], message: str, hint: str = "", *, warning: bool = False) -> None:
        line = f"{'.'.join(map(str, at))}: {message}. {hint}".rstrip()
        (self.warnings if warning else self.faults).append(line)


def pii(
    columns: dict[str, Any], *, region: Region = "us", traits: list[str] = TRAITS, layout: LayoutName = "liveramp"
) -> tuple[PiiFile, Told]:
    told = Told()
    spec = PiiSpec.model_validate({"columns": columns})
    return pii_file(spec, region=region, traits=traits, segment="VIP", report=told, layout=layout), told


def device(
    spec: dict[str, Any], *, region: Region = "us", traits: list[str] = TRAITS
) -> tuple[tuple[DeviceFile, ...], Told]:
    told = Told()
    files = device_files(DeviceSpec.model_validate(spec), region=region, traits=traits, segment="VIP", report=told)
    return files, told


# Which header and which trait means what.


@pytest.mark.parametrize(
    ("header", "identifier", "algorithm"),
    [
        ("EMAIL1", "email", None),
        ("EMAIL3", "email", None),
        ("EMAIL", "email", None),
        ("EMAIL1_MD5", "email", "md5"),
        ("EMAIL1_SHA1", "email", "sha1"),
        ("EMAIL1_SHA-1", "email", "sha1"),
        ("EMAIL2_SHA-256", "email", "sha256"),
        ("EMAIL1_SHA256", "email", "sha256"),
        ("MD5EMAIL1", "email", "md5"),
        ("SHA1EMAIL2", "email", "sha1"),
        ("SHA256EMAIL3", "email", "sha256"),
        ("email1_sha256", "email", "sha256"),
        ("PHONE1", "phone", None),
        ("PHONE1_SHA1", "phone", "sha1"),
        ("MOBILE2", "phone", None),
        ("LANDLINE1", "phone", None),
        ("FIRSTNAME", "first_name", None),
        ("LASTNAME", "last_name", None),
        ("ADDRESS1", "address1", None),
        ("ADDRESS2", "address2", None),
        ("CITY", "city", None),
        ("TOWN", "city", None),
        ("STATE", "state", None),
        ("COUNTY", "state", None),
        ("ZIP", "zip", None),
        ("POSTCODE", "zip", None),
        ("COUNTRY", "country", None),
        ("CCID", None, None),
        ("CustomerID", None, None),
        ("ZIP4", None, None),
        ("ADDRESS", None, None),
        ("ADDRESS21", None, None),
        ("EMAIL4", None, None),
        ("EMAIL1_SHA512", None, None),
        ("EMAIL_OPT_IN", None, None),
        ("LAST_EMAIL", None, None),
        ("STATEMENT", None, None),
        ("VIP", None, None),
    ],
)
def test_a_header_is_read_as_liveramp_reads_it(header: str, identifier: str | None, algorithm: str | None) -> None:
    """Recommended headers, of the US and of Europe, stand for an identifier and a hash; any other stands for none."""
    assert identifier_of_header(header) == (
        Identifier(identifier) if identifier else None,
        Hash(algorithm) if algorithm else None,
    )


@pytest.mark.parametrize(
    ("trait", "identifier"),
    [
        *((identifier.value, identifier.value) for identifier in Identifier),
        ("Email", "email"),
        ("email2", "email"),
        ("phone10", "phone"),
        ("idfa2", "idfa"),
        ("zip4", None),
        ("address3", None),
        ("first_name2", None),
        ("emails", None),
        ("email_opt_in", None),
        ("loyalty_tier", None),
        ("2", None),
    ],
)
def test_a_trait_is_an_identifier_by_its_name(trait: str, identifier: str | None) -> None:
    """The twelve names, and numbered e-mails, phones and device ids; `zip4` is only a part of a ZIP code."""
    assert identifier_of_trait(trait) == (Identifier(identifier) if identifier else None)


# What may stand in a PII file.


def test_columns_stand_as_they_are_declared() -> None:
    """Order, headers, hashes and kinds are the author's."""
    file, told = pii(
        KEY
        | EMAIL
        | {"EMAIL1_SHA256": {"from": "email", "hash": "sha256"}, "TIER": {"from": "tier"}, "VIP": {"segment": "1"}}
    )
    assert told.faults == []
    assert told.warnings == []
    assert file.headers == ("CCID", "EMAIL1", "EMAIL1_SHA256", "TIER", "VIP")
    assert [type(column).__name__ for column in file.columns] == [
        "IdentifierColumn",
        "IdentifierColumn",
        "TraitColumn",
        "SegmentColumn",
    ]


@pytest.mark.parametrize(
    ("column", "identifier"),
    [
        ({"EMAIL1": {"from": "contact"}}, "email"),
        ({"CONTACT": {"from": "contact", "identifier": "phone"}}, "phone"),
        ({"HOME": {"from": "city"}}, "city"),
        ({"LANDLINE1": {"from": "phone"}}, "phone"),
    ],
)
def test_an_identifier_is_known_by_key_trait_or_header(column: dict[str, Any], identifier: str) -> None:
    """`identifier:` says it, else the trait's name, else the header."""
    file, told = pii(KEY | column)
    assert told.faults == []
    (found,) = file.columns
    assert isinstance(found, IdentifierColumn)
    assert found.identifier == identifier


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (EMAIL, "columns.EMAIL1: the first column must be the audience key. Begin with CCID: {from: member_id}."),
        (EMAIL | KEY, "columns.CCID: the audience key must be the first column. Move it to the top."),
        (
            KEY | EMAIL | {"ID": {"from": "member_id"}},
            "columns.ID: the audience key stands twice. Leave this column out.",
        ),
        (
            {"EMAIL2": {"from": "member_id"}} | EMAIL,
            "columns.EMAIL2: LiveRamp reads this header as an identifier, not as the key. Name it CCID.",
        ),
        (
            {"CCID": {"from": "member_id", "hash": "sha256"}} | EMAIL,
            "columns.CCID: the audience key is sent as it is. Write it as {from: member_id}.",
        ),
        (KEY | {"TIER": {"from": "tier"}}, "columns: no column identifies anybody. LiveRamp needs an e-mail"),
        (
            KEY | EMAIL | {"X": {"from": "gone"}},
            "columns.X: no source gives a trait gone. Known traits: address1, city",
        ),
        (
            KEY | EMAIL | {"IDFA": {"from": "idfa"}},
            "columns.IDFA: the device id idfa may not stand beside known identifiers. Send it in the device file.",
        ),
        (
            KEY | EMAIL | {"DEVICE": {"from": "contact", "identifier": "gaid"}},
            "columns.DEVICE: the device id contact may not stand beside known identifiers.",
        ),
        (
            KEY | EMAIL | {"FIRSTNAME": {"from": "last_name"}},
            "columns.FIRSTNAME: LiveRamp reads this header as first_name, but last_name is last_name. Choose another",
        ),
        (
            KEY | EMAIL | {"EMAIL1_SHA256": {"from": "email"}},
            "columns.EMAIL1_SHA256: the header promises sha256. Write {from: email, hash: sha256}.",
        ),
        (
            KEY | EMAIL | {"EMAIL1_MD5": {"from": "email", "hash": "sha1"}},
            "columns.EMAIL1_MD5: the header promises md5. Write {from: email, hash: md5}.",
        ),
        (
            KEY | EMAIL | {"STATE": {"segment": "1"}},
            "columns.STATE: LiveRamp reads the header STATE as state, not as a segment. Choose another header.",
        ),
        (KEY | EMAIL | {"TIER": {"from": "tier", "hash": "md5"}}, "columns.TIER: a segment field is never hashed."),
        (KEY | EMAIL | {"Email1": {"from": "email2"}}, "columns.Email1: the header stands twice."),
        (KEY | EMAIL | {"ccid": {"from": "tier"}}, "columns.ccid: the header stands twice."),
        (
            KEY | EMAIL | {"V" * 100: {"segment": "x" * 60}},
            f"columns.{'V' * 100}: header and value make a segment name of 161 characters; LiveRamp takes 150. Shorten",
        ),
        (
            KEY | {"EMAIL1": {"from": "contact"}, "PHONE1": {"from": "contact"}},
            "columns.PHONE1: the trait contact is email in another column. It can be one only.",
        ),
        (
            KEY | EMAIL | {f"S{n}": {"segment": "1"} for n in range(MAX_SEGMENT_FIELDS + 1)},
            "columns: 501 segment fields; LiveRamp takes 500 a file. Leave some out",
        ),
    ],
)
def test_what_a_pii_file_may_not_hold(columns: dict[str, Any], fault: str) -> None:
    """Each broken rule is one fault, at its column, with a way out."""
    _, told = pii(columns)
    assert len(told.faults) == 1, told.faults
    assert told.faults[0].startswith(fault)


def test_segment_fields_up_to_the_limit_are_taken() -> None:
    """Five hundred are not too many, and identifiers do not count."""
    _, told = pii(KEY | EMAIL | {f"S{n}": {"segment": "1"} for n in range(MAX_SEGMENT_FIELDS)})
    assert told.faults == []


@pytest.mark.parametrize("region", get_args(Region))
@pytest.mark.parametrize("algorithm", list(Hash))
@pytest.mark.parametrize("identifier", [identifier for identifier in Identifier if identifier not in ("idfa", "gaid")])
def test_what_may_be_hashed(identifier: Identifier, algorithm: Hash, region: Region) -> None:
    """E-mails always, phones as SHA-1 where the region takes it, anything else never; a hash nobody matches warns."""
    _, told = pii(KEY | EMAIL | {"X": {"from": "contact", "identifier": identifier, "hash": algorithm}}, region=region)
    if identifier is Identifier.EMAIL:
        assert (told.faults, told.warnings) == ([], [])
    elif identifier is Identifier.PHONE and region in ("eu", "uk", "fr"):
        assert told.faults == [f"columns.X: phones are never hashed in region {region}. Leave hash out."]
    elif identifier is Identifier.PHONE and algorithm is not Hash.SHA1:
        assert told.faults == []
        assert told.warnings == [f"columns.X: LiveRamp matches no {algorithm} of a phone, only sha1."]
    elif identifier is Identifier.PHONE:
        assert (told.faults, told.warnings) == ([], [])
    else:
        assert told.faults == [
            f"columns.X: {identifier} is never hashed. LiveRamp matches it in plain only; leave hash out."
        ]


def test_a_hash_under_a_plain_header_warns() -> None:
    """`EMAIL1` with a hash in it may be mapped as a plain address, and then nobody matches."""
    _, told = pii(KEY | {"EMAIL1": {"from": "email", "hash": "sha256"}})
    assert told.faults == []
    assert told.warnings == [
        "columns.EMAIL1: LiveRamp may read this header as a plain email; EMAIL1_SHA256 says what it is."
    ]


# A file like Segment's.

SEGMENT_KEY = {"audience_key": {"from": "member_id"}}


def test_segments_columns() -> None:
    """The key comes first, then all others by code points; a header need not say what is hashed under it."""
    file, told = pii(
        SEGMENT_KEY
        | {
            "zip": {"from": "zip"},
            "phone_number": {"from": "phone", "hash": "sha1"},
            "email": {"from": "email", "hash": "sha256"},
            "TIER": {"from": "tier"},
            "vip": {"segment": "1"},
        },
        layout="segment",
    )
    assert (told.faults, told.warnings) == ([], [])
    assert file.headers == ("audience_key", "TIER", "email", "phone_number", "vip", "zip")


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (KEY | EMAIL, "columns.CCID: in Segment's files the audience key has another header. Name it audience_key."),
        (EMAIL, "columns.EMAIL1: the first column must be the audience key. Begin with audience_key: {from: member"),
        ({}, ": a file like Segment's has no usual columns. Write the columns of your mapping."),
        (
            SEGMENT_KEY | EMAIL | {"first_name": {"from": "first_name", "hash": "sha256"}},
            "columns.first_name: first_name is never hashed. LiveRamp matches it in plain only; leave hash out.",
        ),
        (
            SEGMENT_KEY | EMAIL | {"tier": {"from": "tier", "hash": "sha256"}},
            "columns.tier: a segment field is never hashed.",
        ),
    ],
)
def test_what_a_file_like_segments_may_not_hold(columns: dict[str, Any], fault: str) -> None:
    """What LiveRamp does not know from Segment, and what Segment hashed although nobody matches it."""
    _, told = pii(columns, layout="segment")
    assert len(told.faults) == 1, told.faults
    assert told.faults[0].startswith(fault)


@pytest.mark.parametrize(("delimiter", "sign"), [("comma", ","), ("pipe", "|"), ("tab", "\t"), ("semicolon", ";")])
def test_delimiters_and_quotes(delimiter: Delimiter, sign: Literal[",", "|", "\t", ";"]) -> None:
    """Only the layout of a region's rules changes with them."""
    for layout, quoting in (("liveramp", "all"), ("segment", "values")):
        rules = file_rules("eu", delimiter=delimiter, layout=layout)
        assert rules == replace(REGIONS["eu"].files, layout=Layout(delimiter=sign, quoting=quoting))


# The short form.

US = "CCID FIRSTNAME LASTNAME ADDRESS1 CITY STATE ZIP COUNTRY EMAIL1 EMAIL2 PHONE1 VIP"
EUROPE = "CustomerID FIRSTNAME LASTNAME ADDRESS1 TOWN COUNTY POSTCODE COUNTRY EMAIL1 EMAIL2 MOBILE1 VIP"


@pytest.mark.parametrize(
    ("region", "headers"), [("us", US), ("au", US), ("eu", EUROPE), ("uk", EUROPE), ("fr", EUROPE)]
)
def test_the_usual_pii_file_of_each_region(region: Region, headers: str) -> None:
    """`pii: true` gives the region's own headers in their recommended order, then the segment."""
    file, told = pii({}, region=region)
    assert (told.faults, told.warnings) == ([], [])
    assert file.headers == tuple(headers.split())
    assert all(identifier_of_header(header)[0] is not None for header in file.headers[1:-1])


def test_the_usual_pii_file_takes_traits_however_they_are_written() -> None:
    """Capitals and a 1 at the end make no other trait of it; one without a usual header is named in a warning."""
    file, told = pii({}, traits=["EMAIL", "phone1", "email7"])
    assert file.headers == ("CCID", "EMAIL1", "PHONE1", "VIP")
    assert [column.trait for column in file.columns[:2] if isinstance(column, IdentifierColumn)] == ["EMAIL", "phone1"]
    assert told.warnings == [": the trait email7 has no usual header and is not sent; write the columns."]


def test_the_usual_pii_file_needs_somebody_to_match() -> None:
    """Device ids and segment fields identify nobody there."""
    _, told = pii({}, traits=["idfa", "tier"])
    assert len(told.faults) == 1
    assert told.faults[0].startswith(": no trait identifies anybody. Name one of first_name, ")


def test_a_segment_is_not_called_like_an_identifier() -> None:
    """An audience named `zip` would give every member the ZIP code 1."""
    told = Told()
    pii_file(PiiSpec(), region="us", traits=["email"], segment="ZIP", report=told)
    assert told.faults == [": LiveRamp reads the header ZIP as zip, not as a segment. Choose another header."]


# The Device file.


def test_plain_device_ids_share_one_file() -> None:
    """Unhashed, Apple's and Google's ids stand joined in one column, always in the same order."""
    (file,), told = device({"identifiers": ["gaid", "idfa"], "columns": {"TIER": {"from": "tier"}}})
    assert told.faults == []
    assert (file.slot, file.headers, file.hash) == ("D", ("MOBILEID", "TIER"), None)
    assert file.identifiers == (("idfa", Identifier.IDFA), ("gaid", Identifier.GAID))
    assert file.columns == (TraitColumn(header="TIER", trait="tier"),)


def test_hashed_device_ids_never_share_a_file() -> None:
    """With a hash there is one file a kind, each under its own header; a kind that is not there has none."""
    files, told = device({"hash": "sha1"})
    assert told.faults == []
    assert [(file.slot, file.key_header, file.hash) for file in files] == [
        ("D-IDFA", "IDFA", Hash.SHA1),
        ("D-AAID", "AAID", Hash.SHA1),
    ]
    assert [file.identifiers for file in files] == [(("idfa", Identifier.IDFA),), (("gaid", Identifier.GAID),)]
    (only,), _ = device({"hash": "sha1"}, traits=["gaid"])
    assert only.slot == "D-AAID"


def test_device_headers_can_be_chosen() -> None:
    """LiveRamp publishes no header for device ids, so each one is configuration."""
    headers = {"joined": "MAID", "idfa": "APPLE", "gaid": "GOOGLE"}
    (joined,), _ = device({"headers": headers})
    split, _ = device({"headers": headers, "hash": "sha1"})
    assert [file.key_header for file in (joined, *split)] == ["MAID", "APPLE", "GOOGLE"]


def test_the_usual_device_file_takes_the_ids_there_are() -> None:
    """`device: true` needs one kind of device id, not both."""
    (file,), told = device({}, traits=["email", "gaid", "IDFA2"])
    assert told.faults == []
    assert file.identifiers == (("IDFA2", Identifier.IDFA), ("gaid", Identifier.GAID))
    assert file.headers == ("MOBILEID", "VIP")


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"identifiers": ["idfa", "email"]}, "identifiers.1: email is no device id. Use traits named idfa or gaid."),
        ({"identifiers": ["idfa3"]}, "identifiers.0: no source gives a trait idfa3. Known traits: address1"),
        ({"identifiers": ["idfa", "idfa"]}, "identifiers.1: idfa stands twice. Leave it out here."),
        (
            {"columns": {"EMAIL1": {"from": "email"}}},
            "columns.EMAIL1: email may not stand beside device ids. Send it in",
        ),
        (
            {"columns": {"X": {"from": "city"}}},
            "columns.X: city may not stand beside device ids. Send it in the pii file.",
        ),
        ({"columns": {"ZIP": {"from": "tier"}}}, "columns.ZIP: zip may not stand beside device ids."),
        (
            {"columns": {"CCID": {"from": "member_id"}}},
            "columns.CCID: the member id may not stand beside device ids. It would link them to known people.",
        ),
        ({"columns": {"ID": {"from": "idfa"}}}, "columns.ID: idfa is a device id, not a segment field. Name it under"),
        ({"columns": {"X": {"from": "gone"}}}, "columns.X: no source gives a trait gone."),
        (
            {"columns": {"X": {"from": "tier", "hash": "md5"}}},
            "columns.X: a segment field is never hashed. Leave hash out.",
        ),
        (
            {"columns": {"EMAIL1": {"segment": "1"}}},
            "columns.EMAIL1: LiveRamp reads the header EMAIL1 as email, not as",
        ),
        ({"columns": {"mobileid": {"segment": "1"}}}, "columns.mobileid: the header stands twice."),
    ],
)
def test_what_a_device_file_may_not_hold(spec: dict[str, Any], fault: str) -> None:
    """Nothing that is known of a person stands beside a device id, and each broken rule is one fault."""
    _, told = device(spec)
    assert len(told.faults) == 1, told.faults
    assert told.faults[0].startswith(fault)


def test_a_device_file_needs_a_device_id() -> None:
    """Without a trait of that kind there is nothing to send."""
    _, told = device({}, traits=["email"])
    assert told.faults == [": no trait is a device id. Select one named idfa or gaid under traits."]


@pytest.mark.parametrize(
    ("region", "rows", "row_chars", "hashed_phones"),
    [
        ("us", 500_000_000, 10_000, True),
        ("au", 500_000_000, 10_000, True),
        ("eu", 500_000_000, 1_000, False),
        ("uk", 100_000_000, 1_000, False),
        ("fr", 30_000_000, 1_000, False),
    ],
)
def test_limits_of_each_region(region: Region, rows: int, row_chars: int, hashed_phones: bool) -> None:
    """Rows, length of a row and hashed phones differ, as LiveRamp's pages say."""
    rules = REGIONS[region]
    limits = rules.files.limits
    assert limits is not None
    assert (limits.max_rows, limits.max_row_chars, rules.hashed_phones) == (rows, row_chars, hashed_phones)
