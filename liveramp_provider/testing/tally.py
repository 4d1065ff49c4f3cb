"""What is wrong with a file, counted by place, so that a million bad cells make one sentence."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts faults by place and keeps the first line of each. It is never given a cell's value."""

    _seen: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)

    def add(self, place: str, fault: str, line: int, *, unit: str = "cell") -> None:
        """Count one `fault` at `place` (a column's label, or a part of the file) on the given line."""
        count, first = self._seen.get((place, fault, unit), (0, line))
        self._seen[place, fault, unit] = (count + 1, first)

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence for each place and fault, in order of discovery."""
        return tuple(
            f"{place}: {fault} in {count:,} {unit}{'' if count == 1 else 's'}, first on line {first:,}."
            for (place, fault, unit), (count, first) in self._seen.items()
        )
