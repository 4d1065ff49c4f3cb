"""File names: what stands in the template and the snapshot day, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveramp_provider.core.destination import Encryption
from liveramp_provider.core.destinations.liveramp import LiveRamp
from liveramp_provider.core.naming import delivered_name, inner_name, placeholders
from tests.core.test_destination_audience_manager import audience_manager, segment_files

PLAIN = LiveRamp(
    id="liveramp",
    conn_id="liveramp_default",
    region="us",
    path="/uploads/vip",
    update_method="incremental",
    org="3242",
    filename="{org}_{audience}-{kind}_{date}",
    compression="none",
    encryption=None,
    files=(),
    min_members=25,
    max_shrink_percent=50,
)
DAY = date(2020, 3, 31)


def encrypted(extension: Literal["gpg", "pgp"]) -> Encryption:
    return Encryption(recipients=("0" * 40,), public_key=Path("key.asc"), extension=extension)


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        ("PII", "3242_17095-PII_2020-03-31.csv"),
        ("D", "3242_17095-D_2020-03-31.csv"),
        ("D-IDFA", "3242_17095-D-IDFA_2020-03-31.csv"),
        ("D-AAID", "3242_17095-D-AAID_2020-03-31.csv"),
    ],
)
def test_the_usual_name_is_mparticles(slot: str, name: str) -> None:
    """Organisation, audience, kind and day, as receivers of mParticle's files know them."""
    assert inner_name(PLAIN, audience_id="17095", slot=slot, day=DAY) == name


def test_the_upload_date_is_the_day_after() -> None:
    """A nightly run sends yesterday: its date, not the snapshot's, is what mParticle writes; months end."""
    destination = replace(PLAIN, filename="{org}_{audience}-{kind}_{upload_date}")
    assert inner_name(destination, audience_id="17095", slot="D", day=DAY) == "3242_17095-D_2020-04-01.csv"


@pytest.mark.usefixtures("far_zone")
def test_a_time_tells_revisions_apart() -> None:
    """Where the name has a time, one sent again has another; a part has its number, and what is whole has none."""
    destination = audience_manager(*segment_files({"vip": "1"}))
    name = partial(inner_name, destination, audience_id="vip", slot="20914", day=DAY)
    assert name() == "ftp_1234_20914_Acme_full_1585699200000.sync"
    assert name(revision=2, sync="iter") == "ftp_1234_20914_Acme_iter_1585699200001.sync"
    assert name(part=2) == "ftp_1234_20914_Acme_full_1585699200000002.sync"
    assert inner_name(PLAIN, audience_id="vip", slot="PII", day=DAY, revision=2) == "3242_vip-PII_2020-03-31_r2.csv"


@pytest.mark.parametrize(
    ("compression", "extension", "ending"),
    [
        ("none", None, ".csv"),
        ("gzip", None, ".csv.gz"),
        ("none", "gpg", ".csv.gpg"),
        ("gzip", "gpg", ".csv.gz.gpg"),
        ("gzip", "pgp", ".csv.gz.pgp"),
    ],
)
def test_a_file_is_named_then_compressed_then_encrypted(compression: str, extension: str | None, ending: str) -> None:
    """Endings stand in the order of the steps, and the plain name never changes."""
    encryption = encrypted(extension) if extension else None
    destination = replace(PLAIN, compression=compression, encryption=encryption)
    assert delivered_name(destination, audience_id="vip", slot="PII", day=DAY) == f"3242_vip-PII_2020-03-31{ending}"
    assert inner_name(destination, audience_id="vip", slot="PII", day=DAY) == "3242_vip-PII_2020-03-31.csv"


def test_a_revision_has_a_name_of_its_own() -> None:
    """A day that is sent again ends with its number, before all other endings; the first delivery has none."""
    destination = replace(PLAIN, compression="gzip", encryption=encrypted("gpg"))
    names = [delivered_name(destination, audience_id="vip", slot="PII", day=DAY, revision=n) for n in (1, 2, 99)]
    assert names == [f"3242_vip-PII_2020-03-31{ending}.csv.gz.gpg" for ending in ("", "_r2", "_r99")]
    assert inner_name(PLAIN, audience_id="vip", slot="D", day=DAY, revision=2) == "3242_vip-D_2020-03-31_r2.csv"


@given(first=st.dates(max_value=date(9999, 12, 1)), days=st.integers(1, 29))
def test_two_days_never_share_a_name(first: date, days: int) -> None:
    """Tomorrow's file cannot overwrite today's, with either date in the template."""
    for template in ("{kind}_{date}", "{kind}_{upload_date}"):
        destination = replace(PLAIN, filename=template)
        names = {
            delivered_name(destination, audience_id="vip", slot="D", day=day)
            for day in (first, first + timedelta(days=days))
        }
        assert len(names) == 2


def test_placeholders_are_listed_in_order() -> None:
    """Names come as they stand; doubled braces are text."""
    assert placeholders("{org}_{audience}-{kind}_{date}{{x}}") == ("org", "audience", "kind", "date")
    assert placeholders("plain") == ()


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{date", "they do not pair"),
        ("date}", "they do not pair"),
        ("{{date}", "they do not pair"),
        ("{date:%Y}", "placeholders take no format"),
        ("{date!r}", "placeholders take no format"),
    ],
)
def test_placeholders_take_no_format(template: str, fault: str) -> None:
    """A format or a conversion could make any text of a value, so none is taken; braces pair."""
    with pytest.raises(ValueError, match=f"^{fault}$"):
        placeholders(template)
