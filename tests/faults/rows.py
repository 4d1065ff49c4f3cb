"""The fault table: what can go wrong, what is promised, and who tries it, the cases here or tests by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault.

    :param promise: What is promised, in words.
    :param tests: Tests that try it, as ``path::name`` below ``tests``; besides the cases, or instead of them.
    :param why: Why neither tries it, or what more there is to say.
    """

    number: int
    fault: str
    promise: str
    tests: tuple[str, ...] = ()
    why: str = ""


_SFTP = "integration/test_sftp.py::"
_FAULTS = "integration/test_sftp_faults.py::"
_LOGIN = "integration/test_sftp_login.py::"
_CONTRACT = "integration/test_delivery_contract.py::"
_DELIVER = "integration/test_deliver.py::"
_POSTGRES = "integration/test_deliver_postgres.py::"
_S3 = "integration/test_s3.py::"
_TAKEOVER = "integration/test_s3_takeover.py::"
_RUNS = "airflow/test_runs.py::"
_RUNNING = "running/test_running.py::"
_PGP = "core/test_pgp.py::"
_GPG = "core/test_gpg_faults.py::"
_GUARDS = "core/test_guards.py::"
_HOSTILE = "core/test_audience_file_hostile.py::"
_CSV = "core/test_csv.py::"
_STAGING = "core/test_staging.py::"
_SCRATCH = "core/test_scratch.py::"

ROWS = (
    Row(
        number=1,
        fault="nobody listens, no such host, wrong password",
        promise="exactly once when it is over, else stopped; a wrong password is not tried again",
        tests=(f"{_FAULTS}test_peer_that_never_greets",),
    ),
    Row(
        number=2,
        fault="the line is cut at byte 1, around every block, half-way, at the last byte",
        promise="exactly once; D, E: or in doubt",
    ),
    Row(
        number=3,
        fault="the server says nothing: on open, write, close, rename",
        promise="exactly once; D, E: or in doubt",
    ),
    Row(number=4, fault="1 kB a second", promise="stopped by the deadline; D, E: or in doubt"),
    Row(number=5, fault="one write fails, any of them", promise="exactly once; D, E: or in doubt"),
    Row(
        number=6, fault="no room at the receiver", promise="exactly once when there is, else stopped; D, E: or in doubt"
    ),
    Row(
        number=7,
        fault="the server acknowledges more than it keeps",
        promise="exactly once when it keeps all, else stopped; D, E: or in doubt",
    ),
    Row(
        number=8, fault="the close fails", promise="exactly once when it closes again, else stopped; D, E: or in doubt"
    ),
    Row(number=9, fault="the answer to the close is lost", promise="exactly once; D, E: or in doubt"),
    Row(
        number=10,
        fault="the rename is refused, or fails",
        promise="exactly once when it is allowed again, else stopped",
        tests=("integration/test_doctor.py::test_a_server_that_renames_nothing",),
    ),
    Row(number=11, fault="the line is cut before or after the rename", promise="exactly once"),
    Row(
        number=12,
        fault="the file is taken the moment it has its name",
        promise="exactly once; the name is never looked at",
    ),
    Row(
        number=13,
        fault="nothing, or no size, is told of files",
        promise="exactly once; the evidence says what is not known",
        tests=(f"{_SFTP}test_size_denied",),
    ),
    Row(
        number=14,
        fault="only one kind of rename; a file of that name is there",
        promise="exactly once; somebody's file is never replaced: in doubt; C without the plain rename: stopped",
        tests=(f"{_SFTP}test_plain_rename_denied", f"{_SFTP}test_foreign_file_is_never_replaced"),
    ),
    Row(
        number=15,
        fault="the server appends instead of replacing",
        promise="impossible: every upload has a new name and is created exclusively",
        tests=("testing/test_liveramp_box_sftp.py::test_exclusive_create_and_plain_rename_do_not_replace",),
    ),
    Row(number=16, fault="no such folder", promise="stopped, with its path", tests=(f"{_SFTP}test_missing_folder",)),
    Row(
        number=17,
        fault="new keys all the time; more than 4 GiB",
        promise="exactly once, memory flat",
        tests=(f"{_FAULTS}test_new_keys_at_openssh",),
        why="more than 4 GiB: `make slow`",
    ),
    Row(
        number=18,
        fault="one request at a time, packets of 4 KiB, a small window; answers out of order, with and without a cut",
        promise="exactly once; D, E, cut: or in doubt",
        tests=(f"{_FAULTS}test_narrow_servers",),
    ),
    Row(
        number=19,
        fault="another, or an unknown host key",
        promise="stopped before any credential is sent",
        tests=(
            f"{_LOGIN}test_wrong_host_key",
            f"{_LOGIN}test_known_hosts_that_do_not_know",
        ),
    ),
    Row(
        number=20,
        fault="an upload lies there from a dead try",
        promise="removed: nothing of ours stays beside a delivered file",
        tests=(f"{_DELIVER}test_recovery",),
    ),
    Row(number=21, fault="body cut, 500, 503, 409, n times", promise="exactly once"),
    Row(number=22, fault="the answer is lost, or wrong, after the object was made", promise="exactly once"),
    Row(number=23, fault="a bit changes on its way", promise="exactly once"),
    Row(number=24, fault="credentials that can only put objects", promise="exactly once, and nothing else is asked"),
    Row(number=25, fault="an object of that name is there", promise="in doubt; it is not replaced"),
    Row(
        number=26,
        fault="an endpoint that ignores If-None-Match",
        promise="refused, unless somebody vouches for it",
        tests=("airflow/test_s3_connection.py::test_an_endpoint_that_keeps_the_condition",),
    ),
    Row(
        number=27,
        fault="in parts: every call fails or is lost; kill -9 at every step",
        promise="exactly once",
        tests=(f"{_TAKEOVER}test_kill", f"{_TAKEOVER}test_parts_that_stay_are_named"),
    ),
    Row(
        number=28,
        fault="credentials expired, clock wrong",
        promise="exactly once when that is over, else stopped",
        tests=(f"{_S3}test_refusals_are_told",),
    ),
    Row(
        number=29,
        fault="kill -9 at every step of deliver",
        promise="exactly once; D, E: or in doubt",
        tests=(f"{_SCRATCH}test_a_killed_stage_leaves_nothing_for_long",),
    ),
    Row(number=30, fault="kill -9, and kill -9 again while it recovers", promise="exactly once; D, E: or in doubt"),
    Row(
        number=31,
        fault="SIGTERM, Airflow's timeout, eviction",
        promise="the upload is removed where the server answers, the lease released; the retry: exactly once; D, E: or "
        "in doubt",
        tests=(
            f"{_SFTP}test_failure_frees_the_claim",
            "integration/test_sftp_ended.py::test_ended",
            "airflow/test_ended_runs.py::test_execution_timeout",
            "airflow/test_ended_runs.py::test_sigterm",
        ),
    ),
    Row(
        number=32,
        fault="a worker sleeps at any step, is taken over, and wakes up",
        promise="exactly once; D, E: or in doubt",
        tests=(f"{_DELIVER}test_old_holder_resumes_beside_the_new_one", f"{_TAKEOVER}test_old_holder_resumes"),
    ),
    Row(
        number=33,
        fault="2 to 16 workers at once, of one run and of several",
        promise="exactly once; D, E: or in doubt",
        tests=(f"{_POSTGRES}test_workers_at_once", f"{_POSTGRES}test_processes_at_once"),
    ),
    Row(
        number=34,
        fault="clear & rerun after success",
        promise="the old receipt; nothing is sent",
        tests=(f"{_CONTRACT}test_rerun_sends_nothing", f"{_RUNS}test_delivers_every_cell_and_a_rerun_sends_nothing"),
        why="also the end of every case of this table",
    ),
    Row(
        number=35,
        fault="a backfill meets the scheduled run of the same day",
        promise="exactly once",
        tests=(f"{_RUNNING}test_two_backfills_and_a_scheduled_run_of_one_day_send_one_file",),
    ),
    Row(
        number=36,
        fault="an older day after a newer one",
        promise="incremental: sent with a warning; refresh: refused",
        tests=(
            f"{_GUARDS}test_order",
            f"{_CONTRACT}test_a_late_day",
            f"{_CONTRACT}test_what_a_guard_refuses",
        ),
    ),
    Row(
        number=37,
        fault="the ledger cannot be read, stops, or changed by hand",
        promise="stopped, or told as failed: no ledger, no delivery",
        tests=(
            f"{_CONTRACT}test_no_ledger_no_delivery",
            f"{_POSTGRES}test_ledger_stopped_during_an_upload",
            f"{_POSTGRES}test_ledger_stopped_before_the_rename_is_written_down",
        ),
    ),
    Row(
        number=38,
        fault="the ledger is lost after a delivery, or restored from an older backup",
        promise="in doubt, as long as what was staged for the day is kept",
        tests=(
            f"{_S3}test_a_lost_ledger",
            "core/test_remembering.py::test_a_ledger_of_yesterday",
            "airflow/test_doubtful_runs.py::test_a_lost_ledger",
        ),
    ),
    Row(
        number=39,
        fault="no room, no inode, or no right, on the worker's own disk",
        promise="stopped; nothing is half sealed, nothing left",
        tests=("core/test_full_disk.py::test_a_disk_that_is_full_in_the_middle",),
    ),
    Row(
        number=40,
        fault="little memory, many members",
        promise="exactly once, memory flat",
        why="`make bench`: [performance](performance.md)",
    ),
    Row(
        number=41,
        fault="EIO or EINTR by a system call",
        promise="exactly once, or stopped",
        why="injected by strace; short writes: as the system makes them, rows 18 and 39",
    ),
    Row(
        number=42,
        fault="days of 23 and 25 hours, midnight, other zones; clocks a day ahead, a day behind, or jumping",
        promise="the file's day is the run's; one file a day, and nobody waits for a lease of tomorrow",
        tests=(
            "airflow/test_dag.py::test_schedule_is_partitioned_by_snapshot_day",
            "core/test_naming.py::test_two_days_never_share_a_name",
            "integration/test_clocks.py::test_wrong_clocks",
            "core/test_ledger.py::test_a_lease_by_a_wrong_clock",
        ),
    ),
    Row(
        number=43,
        fault="the source changes between two tries",
        promise="the sealed bytes are sent; other bytes never under a name that may have arrived",
        tests=(
            f"{_STAGING}test_sealed_once_and_sent_again_as_it_is",
            f"{_DELIVER}test_file_rebuilt_between_tries",
            f"{_S3}test_file_rebuilt_after_something_may_have_arrived",
        ),
    ),
    Row(
        number=44,
        fault="rows in any order, repeated, broken off",
        promise="the same CSV, byte for byte",
        tests=(
            "core/test_same_day.py::test_a_day_built_again_after_a_week",
            "core/test_golden_files.py::test_same_people_same_digest",
        ),
    ),
    Row(
        number=45,
        fault="a key that is unknown, expired, revoked, for signing only",
        promise="refused before a row is read",
        tests=(
            "integration/test_preflight.py::test_wrong_pgp_key",
            f"{_PGP}test_expired_key",
            f"{_PGP}test_revoked_key",
            f"{_PGP}test_sign_only_key",
            f"{_PGP}test_two_keys_in_the_file",
        ),
    ),
    Row(
        number=46,
        fault="gpg is missing, fails, hangs",
        promise="stopped; no readable file",
        tests=(
            f"{_GPG}test_a_gpg_that_dies_or_raves",
            f"{_GPG}test_a_gpg_that_never_ends",
            f"{_GPG}test_what_cannot_be_started",
            f"{_STAGING}test_an_unusable_key_seals_nothing",
        ),
    ),
    Row(
        number=47,
        fault="gpg's output is cut, or for another key",
        promise="stopped",
        tests=(
            f"{_GPG}test_what_is_not_for_the_receiver_alone",
            f"{_PGP}test_subkey_is_the_only_recipient",
        ),
    ),
    Row(
        number=48,
        fault="files of any size to encrypt",
        promise="decrypts to the same bytes",
        tests=(f"{_PGP}test_any_size",),
        why="2 GiB in the memory of 64 MiB: `make slow`",
    ),
    Row(
        number=49,
        fault="the name inside the encrypted file",
        promise="is the delivered one",
        tests=(f"{_PGP}test_name_inside_and_no_compression",),
    ),
    Row(
        number=50,
        fault="hostile text in every column",
        promise="read back cell by cell, or counted as left out",
        tests=(f"{_CSV}test_reads_back", "core/test_build_rows.py::test_any_people"),
    ),
    Row(
        number=51,
        fault="quotes, line breaks, NUL, marks, very long rows",
        promise="as 50; a row is a line",
        tests=("core/test_limits.py::test_row_length", "core/test_identifiers.py::test_control_characters_are_noticed"),
    ),
    Row(
        number=52,
        fault="cells that begin with = + - @",
        promise="what a spreadsheet would run is left blank and counted, unless its column allows it",
        tests=(
            "core/test_formulas.py::test_no_cell_is_a_formula",
            "core/test_formulas.py::test_a_column_that_allows_them",
        ),
    ),
    Row(
        number=53,
        fault="hostile names and ids",
        promise="refused, or harmless",
        tests=(
            f"{_HOSTILE}test_ids_stay_names",
            f"{_HOSTILE}test_the_remote_folder_is_what_it_says",
            f"{_HOSTILE}test_a_file_name_is_never_a_path",
        ),
    ),
    Row(
        number=54,
        fault="SQL in ids, traits and days",
        promise="bound, or refused",
        tests=("core/test_traits_expressions.py::test_hostile", f"{_HOSTILE}test_headers_and_traits_are_plain_words"),
    ),
    Row(
        number=55,
        fault="hostile parameters of a run",
        promise="refused",
        tests=("airflow/test_dag.py::test_snapshot_day", "airflow/test_revisions.py::test_what_is_no_revision"),
    ),
    Row(
        number=56,
        fault="planted people, looked for everywhere",
        promise="not found",
        tests=(f"{_RUNS}test_the_search_for_leaks_finds_what_is_planted", f"{_RUNNING}test_no_personal_data_anywhere"),
        why="after every case of this table: last line",
    ),
    Row(
        number=57,
        fault="planted credentials, looked for everywhere",
        promise="not found",
        tests=(f"{_LOGIN}test_no_secret_in_a_repr",),
        why="after every case of this table: last line",
    ),
    Row(
        number=58,
        fault="0 to 26 members",
        promise="sent from 25 on, else stopped",
        tests=(f"{_CONTRACT}test_small_audience", "core/test_traps.py::test_trap_06_minimum_counts_unique_keys"),
    ),
    Row(
        number=59,
        fault="somebody opts out after the day",
        promise="is not in the file",
        tests=(
            "core/test_suppression.py::test_who_opted_out_today_is_not_in_a_file_of_last_month",
            "core/test_rebuild.py::test_who_opted_out_since_is_not_sent",
        ),
    ),
    Row(
        number=60,
        fault="what is staged, after success, failure and kill -9",
        promise="private; scratch is gone",
        tests=(
            f"{_STAGING}test_scratch_is_gone_after_success",
            f"{_SCRATCH}test_scratch_is_gone_after_failure",
            f"{_SCRATCH}test_a_killed_stage_leaves_nothing_for_long",
        ),
    ),
    Row(
        number=61,
        fault="another region",
        promise="refused before a row is read, where the audience file says `residency`",
        tests=(
            "core/test_audience_file.py::test_residency",
            "core/test_destination_liveramp.py::test_limits_of_each_region",
        ),
    ),
    Row(
        number=62,
        fault="another header than last time",
        promise="refused",
        tests=(
            f"{_GUARDS}test_another_header",
            f"{_GUARDS}test_another_header_is_refused_before_a_row_is_read",
            f"{_CONTRACT}test_what_a_guard_refuses",
        ),
    ),
    Row(
        number=63,
        fault="far fewer members than last time",
        promise="refused",
        tests=(
            f"{_GUARDS}test_shrinking",
            f"{_GUARDS}test_shrinking_is_exact",
            f"{_CONTRACT}test_what_a_guard_refuses",
        ),
    ),
    Row(
        number=64,
        fault="of two files, one cannot be sent",
        promise="each on its own; the other arrives",
        tests=(f"{_RUNS}test_a_small_device_file_does_not_hold_the_pii_file",),
    ),
    Row(
        number=65,
        fault="code changed on purpose (mutants)",
        promise="seen by a test",
        why="[how good the tests are](#how-good-the-tests-are)",
    ),
    Row(
        number=66,
        fault="branches no test takes",
        promise="none",
        why="[how good the tests are](#how-good-the-tests-are)",
    ),
)
