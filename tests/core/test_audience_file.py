"""What an audience file may say, and what its author reads when it says something else."""

from __future__ import annotations

import glob
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from liveramp_provider.core.audience import Audience, FilesSource, SqlSource, Trait
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.channels import (
    EmailChannel,
    SlackChannel,
    WebhookChannel,
)
from liveramp_provider.core.destination import Hash, Identifier, IdentifierColumn, Layout, SegmentColumn
from liveramp_provider.core.errors import AudienceFileError, Fault

EXAMPLE = Path(__file__).parents[2] / "dags" / "audiences" / "high_value_customers.yaml"

GOOD = """\
audience: vip
name: Very important
schedule: {cron: "0 0 * * *", timezone: America/New_York}
owners: [crm@example.com]
membership:
  sql:
    conn_id: warehouse
    query: select id from vip where day = :snapshot_date
  key: id
traits:
  - files:
      path: data/{snapshot_date}.parquet
    key: id
    select:
      email: mail
      phone: mobile
      tier: tier
      idfa: idfa
      gaid: gaid
destinations:
  - id: liveramp
    kind: liveramp
    conn_id: liveramp_default
    region: us
    path: /uploads/vip
    org: "3242"
    filename: "{org}_{audience}-{kind}_{date}"
    encryption: {recipient: 86C66858DDC8AC1151F86A1AC0FADA3667413471, public_key: liveramp.asc}
    files:
      pii:
        columns:
          CCID: {from: member_id}
          EMAIL1: {from: email}
          VIP: {segment: "1"}
      device:
        identifiers: [idfa, gaid]
        hash: none
    guards: {min_members: 25}
"""


def write(folder: Path, text: str | bytes) -> Path:
    (folder / "liveramp.asc").touch()
    path = folder / "vip.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def load(folder: Path, *changes: tuple[str, str]) -> Audience:
    """The audience of the good file after `changes`, each a line (or part of one) and what stands there instead."""
    return load_audience(write(folder, changed(*changes)))


def changed(*changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def faults(folder: Path, text: str | bytes) -> tuple[Fault, ...]:
    with pytest.raises(AudienceFileError) as caught:
        load_audience(write(folder, text))
    assert all(str(fault) in str(caught.value) for fault in caught.value.faults)
    return caught.value.faults


def audience_or_error(folder: Path, text: str) -> Audience | AudienceFileError:
    try:
        return load_audience(write(folder, text))
    except AudienceFileError as error:
        return error


def sentences(folder: Path, text: str | bytes) -> list[str]:
    return [str(fault) for fault in faults(folder, text)]


# What is right.


def test_the_example_is_good() -> None:
    """The audience file that newcomers copy has no fault and no warning, and makes both files."""
    audience = load_audience(EXAMPLE)
    assert audience.warnings == ()
    assert [file.slot for file in audience.destinations[0].files] == ["PII", "D"]


def test_every_key_reaches_the_value(tmp_path: Path) -> None:
    """What the file says is what the stages get."""
    audience = load(tmp_path)
    assert (audience.id, audience.name, audience.owners) == ("vip", "Very important", ("crm@example.com",))
    assert (audience.schedule.cron, audience.schedule.timezone) == ("0 0 * * *", "America/New_York")
    assert audience.membership.key == "id"
    assert audience.membership.source == SqlSource(
        conn_id="warehouse", query="select id from vip where day = :snapshot_date", current=False
    )
    (traits,) = audience.traits
    assert traits.source == FilesSource(
        path=f"{tmp_path}/data/{{snapshot_date}}.parquet", format="parquet", current=False
    )
    assert traits.traits[0] == Trait(name="email", column="mail")
    (destination,) = audience.destinations
    assert (destination.id, destination.conn_id, destination.region) == ("liveramp", "liveramp_default", "us")
    assert (destination.path, destination.org, destination.min_members) == ("/uploads/vip", "3242", 25)
    assert destination.max_shrink_percent == 50
    assert destination.encryption is not None
    assert destination.encryption.public_key == tmp_path / "liveramp.asc"
    assert destination.encryption.recipients == ("86C66858DDC8AC1151F86A1AC0FADA3667413471",)
    pii, device = destination.files
    assert pii.headers == ("CCID", "EMAIL1", "VIP")
    assert pii.columns[0] == IdentifierColumn(header="EMAIL1", trait="email", identifier=Identifier.EMAIL, hash=None)
    assert device.headers == ("MOBILEID", "VIP")


def test_a_bucket(tmp_path: Path) -> None:
    """A path on S3 is taken as it is, with a key or without; another path is no bucket."""
    (sftp,) = load(tmp_path).destinations
    (bucket,) = load(tmp_path, ("path: /uploads/vip", "path: s3://acme.drop/in/vip")).destinations
    key = "path: s3://drop/vip\n    kms_key_id: arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab"
    (encrypted,) = load(tmp_path, ("path: /uploads/vip", key)).destinations
    assert (sftp.on_s3, bucket.on_s3, bucket.path, bucket.kms_key_id) == (False, True, "s3://acme.drop/in/vip", "")
    assert encrypted.kms_key_id == "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab"


def test_a_direct_upload(tmp_path: Path) -> None:
    """Files are renamed unless the file says otherwise; what to do in doubt may be said, too."""
    (usual,) = load(tmp_path).destinations
    (direct,) = load(tmp_path, ("path: /uploads/vip", "path: /uploads/vip\n    upload: direct")).destinations
    written = "path: /uploads/vip\n    upload: direct\n    on_doubt: resend"
    (again,) = load(tmp_path, ("path: /uploads/vip", written)).destinations
    assert [(way.upload, way.on_doubt) for way in (usual, direct, again)] == [
        ("rename", "stop"),
        ("direct", "stop"),
        ("direct", "resend"),
    ]


def test_who_is_told_when(tmp_path: Path) -> None:
    """The deadline is a span of time, and every channel keeps its connection."""
    audience = load(
        tmp_path,
        (
            "owners: [",
            "deliver_by: 90m\n"
            "notify:\n"
            "  - email: {conn_id: smtp_default, to: [crm@example.com, oncall@example.com]}\n"
            "  - slack: {conn_id: slack_alerts}\n"
            "  - webhook: {conn_id: pager}\n"
            "owners: [",
        ),
    )
    assert audience.deliver_by == timedelta(minutes=90)
    assert audience.notify == (
        EmailChannel(conn_id="smtp_default", to=("crm@example.com", "oncall@example.com")),
        SlackChannel(conn_id="slack_alerts"),
        WebhookChannel(conn_id="pager"),
    )
    assert audience.warnings == ()


def test_a_deadline_that_nobody_hears_of_is_a_warning(tmp_path: Path) -> None:
    """The longest deadline is a day; without a channel it is only seen in Airflow."""
    audience = load(tmp_path, ("owners: [", "deliver_by: 24h\nowners: ["))
    assert audience.deliver_by == timedelta(days=1)
    assert audience.warnings == ("deliver_by: nobody is told of a late delivery; add notify",)


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    """Keys that may be missing take the documented default."""
    text = changed(
        ("owners: [crm@example.com]\n", ""),
        ('    filename: "{org}_{audience}-{kind}_{date}"\n', ""),
        ("    guards: {min_members: 25}\n", ""),
    )
    audience = load_audience(write(tmp_path, text))
    destination = audience.destinations[0]
    assert audience.owners == ()
    assert destination.filename == "{org}_{audience}-{kind}_{date}"
    assert (destination.compression, destination.update_method, destination.min_members) == ("gzip", "incremental", 25)


def test_two_recipients(tmp_path: Path) -> None:
    """While a receiver changes its key, both are pinned, in the order in which they are tried."""
    old, new = "86C66858DDC8AC1151F86A1AC0FADA3667413471", "a" * 40
    audience = load(tmp_path, (f"recipient: {old}", f"recipient: [{new}, {old}]"))
    encryption = audience.destinations[0].encryption
    assert encryption is not None
    assert encryption.recipients == (new.upper(), old)


@pytest.mark.parametrize(("written", "percent"), [("0%", 0), ("7%", 7), ("99%", 99), ("off", None), ('"50%"', 50)])
def test_how_far_members_may_fall(written: str, percent: int | None, tmp_path: Path) -> None:
    """A share in percent, or nothing that holds it back."""
    audience = load(tmp_path, ("{min_members: 25}", f"{{max_shrink: {written}}}"))
    destination = audience.destinations[0]
    assert (destination.max_shrink_percent, destination.min_members) == (percent, 25)


def test_short_forms_give_the_usual_files(tmp_path: Path) -> None:
    """`pii: true` and `device: true` take every identifier among the traits, under the usual headers."""
    text = GOOD[: GOOD.index("      pii:")] + "      pii: true\n      device: true\n"
    pii, device = load_audience(write(tmp_path, text)).destinations[0].files
    assert pii.headers == ("CCID", "EMAIL1", "PHONE1", "VIP")
    assert device.headers == ("MOBILEID", "VIP")
    assert pii.columns[-1] == SegmentColumn(header="VIP", value="1")


def test_a_file_like_segments(tmp_path: Path) -> None:
    """It has Segment's key, the delimiter that was chosen and no quotes in the header; device ids are not in it."""
    changes = (("region: us", "region: us\n    layout: segment\n    delimiter: pipe"), ("CCID:", "audience_key:"))
    text = changed(*changes)
    assert sentences(tmp_path, text) == [
        "line 37: destinations[0].files.device: Segment has no file of device ids. Give it a destination of its own "
        "without layout: segment."
    ]
    without_device = text[: text.index("      device:")]
    (file,) = load_audience(write(tmp_path, without_device)).destinations[0].files
    assert (file.headers, file.rules.layout) == (
        ("audience_key", "EMAIL1", "VIP"),
        Layout(delimiter="|", quoting="values"),
    )


def test_residency(tmp_path: Path) -> None:
    """A destination in another region than the people's is a fault; without the key, any region will do."""
    said = ("name: Very important", "name: Very important\nresidency: us")
    assert load(tmp_path, said) == load(tmp_path)
    for region in ("au", "eu", "uk", "fr"):
        elsewhere = ("region: us", f"region: {region}")
        assert load(tmp_path, elsewhere).destinations[0].region == region
        (told,) = sentences(tmp_path, changed(said, elsewhere))
        assert f"is {region}, and the data of this audience's people stays in us (residency)" in told
    misspelt = ("name: Very important", "name: Very important\nresidency: e")
    assert len(sentences(tmp_path, changed(misspelt, ("region: us", "region: eu")))) == 1


def test_a_short_form_of_false_leaves_the_file_out(tmp_path: Path) -> None:
    """`device: false` is as if the key were not there."""
    text = GOOD[: GOOD.index("      device:")] + "      device: false\n"
    assert [file.slot for file in load_audience(write(tmp_path, text)).destinations[0].files] == ["PII"]


def test_no_traits_need_no_source(tmp_path: Path) -> None:
    """Membership alone is an audience file, but then nobody can be matched and the file says so."""
    text = GOOD[: GOOD.index("traits:")] + GOOD[GOOD.index("destinations:") :]
    assert "destinations[0].files.pii.columns.EMAIL1: no source gives a trait email. Known traits: none." in str(
        sentences(tmp_path, text)
    )


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    """YAML's own ways to say something once stay; a mapping's own keys win over merged ones."""
    text = changed(
        ("  sql:\n    conn_id: warehouse\n", "  sql: &sql\n    conn_id: warehouse\n"),
        (
            "  - files:\n      path: data/{snapshot_date}.parquet\n",
            "  - sql: {<<: *sql, query: 'select * from t where day = :snapshot_date'}\n",
        ),
    )
    audience = load_audience(write(tmp_path, text))
    source = audience.traits[0].source
    assert source == SqlSource(conn_id="warehouse", query="select * from t where day = :snapshot_date", current=False)


def test_unquoted_words_are_text_as_in_editors(tmp_path: Path) -> None:
    """`NO`, `on`, `0123` and dates mean themselves: only true, false, null and whole numbers are more than text."""
    audience = load(
        tmp_path,
        ('org: "3242"', "org: 0123"),
        (
            'VIP: {segment: "1"}',
            "NO: {segment: on}\n          SINCE: {segment: 2026-01-01}\n          N1: {segment: 7}",
        ),
    )
    destination = audience.destinations[0]
    assert destination.org == "0123"
    assert destination.files[0].columns[1:] == (
        SegmentColumn(header="NO", value="on"),
        SegmentColumn(header="SINCE", value="2026-01-01"),
        SegmentColumn(header="N1", value="7"),
    )


@pytest.mark.parametrize(
    "encode", [lambda text: b"\xef\xbb\xbf" + text.encode(), lambda text: text.replace("\n", "\r\n").encode()]
)
def test_windows_editors_do_no_harm(tmp_path: Path, encode) -> None:
    """A byte order mark and CRLF line ends change nothing."""
    assert load_audience(write(tmp_path, encode(GOOD))) == load(tmp_path)


def test_an_unencrypted_destination_is_a_warning(tmp_path: Path) -> None:
    """Plain files are allowed, and never by accident."""
    text = "".join(line for line in GOOD.splitlines(keepends=True) if "encryption" not in line)
    audience = load_audience(write(tmp_path, text))
    assert audience.destinations[0].encryption is None
    assert audience.warnings == ("destinations[0]: files are not encrypted; anyone who gets one can read it",)


def test_a_fingerprint_may_be_written_in_small_letters(tmp_path: Path) -> None:
    """Gpg prints capitals; both spellings pin the same key."""
    audience = load(tmp_path, ("86C66858DDC8AC1151F86A1AC0FADA3667413471", "86c66858ddc8ac1151f86a1ac0fada3667413471"))
    assert audience.destinations[0].encryption.recipients == ("86C66858DDC8AC1151F86A1AC0FADA3667413471",)


def test_a_folder_with_odd_characters_is_no_pattern(tmp_path: Path) -> None:
    """Brackets and braces in the name of the audience file's own folder find the files beside it all the same."""
    folder = tmp_path / "team [1] {eu} *"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "2026-11-20.parquet").touch()
    source = load(folder).traits[0].source
    assert glob.glob(source.path.format(snapshot_date="2026-11-20")) == [f"{folder}/data/2026-11-20.parquet"]


# Every fault at once, with its place.


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """Faults of every kind, in every part of one file, come in one list in the order of the lines."""
    text = changed(
        ("audience: vip", "audience: v i p"),
        ('cron: "0 0 * * *"', 'cron: "0 * * * *"'),
        ("owners: [crm@example.com]", "owner: [crm@example.com]"),
        ("    query: select id from vip where day = :snapshot_date", "    query: select id from vip where day = :day"),
        ("path: data/{snapshot_date}.parquet", "path: data/vip.txt"),
        ("      phone: mobile", "      EMAIL: mobile"),
        ("region: us", "region: usa"),
        ("path: /uploads/vip", "path: uploads/vip"),
        ("public_key: liveramp.asc", "public_key: other.asc"),
        ("EMAIL1: {from: email}", "EMAIL1: {from: email, hash: sha256}\n          FIRSTNAME: {from: first_name}"),
        ("identifiers: [idfa, gaid]", "identifiers: [idfa, roku]"),
        ("min_members: 25", "min_members: 24"),
    )
    found = [(fault.line, fault.where) for fault in faults(tmp_path, text)]
    assert found == [
        (1, "audience"),
        (3, "schedule.cron"),
        (4, "owner"),
        (8, "membership.sql.query"),
        (8, "membership.sql.query"),
        (12, "traits[0].files.path"),
        (12, "traits[0].files.path"),
        (16, "traits[0].select.EMAIL"),
        (24, "destinations[0].region"),
        (25, "destinations[0].path"),
        (28, "destinations[0].encryption.public_key"),
        (34, "destinations[0].files.pii.columns.FIRSTNAME"),
        (37, "destinations[0].files.device.identifiers[1]"),
        (39, "destinations[0].guards.min_members"),
    ]


def test_a_fault_brings_no_others_with_it(tmp_path: Path) -> None:
    """One slip is one fault: what only follows from it is not told."""
    for old, new in (
        ("    select:", "    slect:"),
        ("CCID: {from: member_id}", "CCID: {frm: member_id}"),
        ("  key: id\ntraits:", "  kye: id\n  key: id\ntraits:"),
        ("      email: mail", "      email: [mail]"),
        ("EMAIL1: {from: email}", "EMAIL1: {from: email, hash: sha512}"),
        ('filename: "{org}_{audience}-{kind}_{date}"', "filename: 5"),
    ):
        found = faults(tmp_path, changed((old, new)))
        assert len({fault.line for fault in found}) == 1, found


FAULTS = yaml.safe_load((Path(__file__).parent / "audience_faults.yaml").read_text())


@pytest.mark.parametrize("slip", FAULTS, ids=lambda slip: slip["case"])
def test_a_slip_is_one_fault_with_a_line_and_a_way_out(tmp_path: Path, slip: dict[str, str]) -> None:
    """Each slip is told once: where it stands, what is wrong and what to write instead."""
    assert sentences(tmp_path, changed((slip["for"], slip["write"]))) == [slip["told"]]


def test_exactly_one_source(tmp_path: Path) -> None:
    """A source is a query or files, never both and never none."""
    both = changed(("  sql:\n", "  files: {path: 'x/{snapshot_date}.csv'}\n  sql:\n"))
    neither = changed(("  - files:\n      path: data/{snapshot_date}.parquet\n    key: id", "  - key: id"))
    assert sentences(tmp_path, both) == [
        "line 5: membership: needs exactly one source: sql, files, segment_events or python."
    ]
    assert sentences(tmp_path, neither) == [
        "line 11: traits[0]: needs exactly one of sql, files, segment_events, python, computed and predictive."
    ]


def test_a_destination_needs_a_file(tmp_path: Path) -> None:
    """Neither pii nor device is a fault, whether left out or switched off."""
    for files in ("{}", "{pii: false, device: false}"):
        text = GOOD[: GOOD.index("    files:\n      pii")] + f"    files: {files}\n"
        assert sentences(tmp_path, text) == ["line 29: destinations[0].files: needs at least one file: pii or device."]


def test_destinations_differ(tmp_path: Path) -> None:
    """Two destinations may share neither their id nor the names of their files."""
    second = GOOD[GOOD.index("  - id: liveramp") :]
    assert sentences(tmp_path, GOOD + second) == [
        "line 39: destinations[1].id: the id stands twice. Ids name deliveries; they differ.",
        "line 43: destinations[1].path: its files would have the names of those of destinations[0]. "
        "Choose another path, org or filename.",
    ]
    other = second.replace("id: liveramp\n", "id: test\n", 1).replace("/uploads/vip", "/uploads/test")
    assert len(load_audience(write(tmp_path, GOOD + other)).destinations) == 2


def test_there_is_a_destination(tmp_path: Path) -> None:
    """An audience that goes nowhere is a slip."""
    text = GOOD[: GOOD.index("destinations:")] + "destinations: []\n"
    assert sentences(tmp_path, text) == ["line 20: destinations: needs at least one entry."]


def test_a_repeated_key_is_told_where_it_repeats(tmp_path: Path) -> None:
    """YAML keeps the last of two equal keys without a word; here both the key and its line are named."""
    text = changed(("      tier: tier", "      email: other"), ("    region: us", "    region: us\n    region: eu"))
    assert sentences(tmp_path, text) == [
        "line 17: traits[0].select.email: the key stands twice. YAML would silently take the last one.",
        "line 25: destinations[0].region: the key stands twice. YAML would silently take the last one.",
    ]


def test_a_fault_in_an_alias_has_the_line_of_its_text(tmp_path: Path) -> None:
    """What stands behind an anchor is corrected where it is written."""
    text = changed(
        ("  sql:\n    conn_id: warehouse", "  sql: &sql\n    conn_id: ware house"),
        ("  - files:\n      path: data/{snapshot_date}.parquet\n", "  - sql: *sql\n"),
    )
    assert [(fault.line, fault.where) for fault in faults(tmp_path, text)] == [
        (7, "membership.sql.conn_id"),
        (7, "traits[0].sql.conn_id"),
    ]


def test_a_value_is_never_quoted_in_a_fault(tmp_path: Path) -> None:
    """What stands behind a key may be a password in the wrong place: faults name keys, never values."""
    secret = "postgresql://crm:hunter2@db/prod"  # a URL where the name of a connection belongs
    for old in ("conn_id: warehouse", "region: us", "recipient: 86C66858DDC8AC1151F86A1AC0FADA3667413471",
                "path: /uploads/vip", "hash: none", 'cron: "0 0 * * *"'):  # fmt: skip
        text = changed((old, f"{old.partition(':')[0]}: '{secret}'"))
        assert "hunter2" not in "\n".join(sentences(tmp_path, text))


def test_reading_an_audience_file_loads_no_engine() -> None:
    """The DAG parser reads every file every half minute: neither an engine nor a warehouse driver is loaded for it."""
    code = (
        "import sys; from liveramp_provider.core.audience_file import load_audience; "
        f"load_audience({str(EXAMPLE)!r}); "
        "print(sys.modules.keys() & {'airflow', 'duckdb', 'ibis', 'pandas', 'pyarrow', 'gnupg', 'asyncssh'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_hashes_are_the_known_ones(tmp_path: Path) -> None:
    """Each algorithm is written in small letters and arrives as itself."""
    for algorithm in Hash:
        header = f"EMAIL1_{algorithm.upper()}"
        audience = load(tmp_path, ("EMAIL1: {from: email}", f"{header}: {{from: email, hash: {algorithm}}}"))
        assert audience.destinations[0].files[0].columns[0].hash is algorithm
