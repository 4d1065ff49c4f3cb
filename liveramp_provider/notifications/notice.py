"""What a notice says: which audience and day, what is wrong, what receivers hold, where to look. No personal data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Literal

Kind = Literal["late", "failed", "recovered"]

_COLOURS: dict[Kind, str] = {"late": "#b45309", "failed": "#b91c1c", "recovered": "#15803d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """One file of the delivery.

    :param words: Where it stands, as a sentence without a full stop.
    """

    file: str
    delivered: bool
    rows: int
    members: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task that is not done: its state, and its error when it has failed."""

    task_id: str
    state: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message, for every channel.

    :param headline: What happened, in a sentence.
    :param run_url: The run in Airflow's UI.
    """

    kind: Kind
    audience: str
    name: str
    day: str
    headline: str
    files: tuple[FileState, ...]
    tasks: tuple[TaskState, ...]
    run_url: str

    @property
    def subject(self) -> str:
        """One line that says it all."""
        return f"LiveRamp: {self.name}, {self.day}: {self.kind}"

    def text(self) -> str:
        """Plain text, as Slack shows it."""
        lines = [
            f"*{_slack(self.subject)}*",
            _slack(self.headline),
            *(f"• `{file.file}` {_slack(file.words)}" for file in self.files),
            *(f"• task `{task.task_id}` {task.state}{_slack(_error(task))}" for task in self.tasks),
            f"<{self.run_url}|The run in Airflow>",
        ]
        return "\n".join(lines)

    def html(self) -> str:
        """The body of an e-mail; it needs no pictures and no style sheet."""
        rows = [(file.file, file.words) for file in self.files]
        rows += [(f"task {task.task_id}", f"{task.state}{_error(task)}") for task in self.tasks]
        table = "".join(
            f'<tr><td style="padding:4px 16px 4px 0;font-family:monospace">{escape(what)}</td>'
            f'<td style="padding:4px 0">{escape(words)}</td></tr>'
            for what, words in rows
        )
        return (
            f'<div style="font-family:sans-serif;border-left:4px solid {_COLOURS[self.kind]};padding-left:16px">'
            f"<p><b>{escape(self.headline)}</b></p><table>{table}</table>"
            f'<p><a href="{escape(self.run_url)}">The run in Airflow</a></p></div>'
        )

    def payload(self) -> dict[str, object]:
        """JSON for a webhook."""
        return {"subject": self.subject, **asdict(self)}


def _error(task: TaskState) -> str:
    return f": {task.error}" if task.error else ""


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
