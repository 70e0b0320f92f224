"""A run of ``rcrnn detect`` over recordings: the work, the table, and all that is said about it."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .._utils.text import counted
from ._common import Log, fail
from ._following import Follower, conclusion
from ._target import Target

if TYPE_CHECKING:
    from ..inference.files import Outcome

# If nothing was found in at most this many seconds of audio, they are searched once more for the
# candidate with the highest score.
_SEARCHED_AGAIN = 600.0


class Terminated(KeyboardInterrupt):
    """Somebody, a batch system for example, wants the process to end."""


@contextmanager
def ends_by_signal() -> Iterator[None]:
    """SIGTERM ends the work in order, as Ctrl-C does: workers go, what is done is kept."""

    def terminate(*_: Any) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class DetectionRun:
    """Recordings to events, with all that is said about it."""

    def __init__(self, pipe: Any, target: Target, log: Log, follower: Follower):
        self.pipe = pipe
        self.target = target
        self.log = log
        self.follower = follower

    def all(self, paths: list[Path], cluster: str | None, jobs: int, **options: Any) -> None:
        with ExitStack() as stack:

            def outcomes() -> Iterator[Outcome]:
                client = None
                if cluster is not None:
                    from ..inference.cluster import connected

                    client = stack.enter_context(connected(cluster, jobs if jobs > 1 else None))
                return self._outcomes(paths, client=client, **options)

            self._write(outcomes, paths, str)

    def standard_input(self, overwrite: bool, jobs: int) -> None:
        """A copy on disk takes the place of standard input, which cannot be read twice."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "stdin"
            with open(copy, "wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)

            def outcomes() -> Iterator[Outcome]:
                for outcome in self._outcomes([copy], overwrite=overwrite, n_jobs=jobs):
                    error = outcome.error and outcome.error.replace(str(copy), "standard input")
                    yield outcome._replace(path=Path("stdin"), error=error)

            self._write(outcomes, [copy], lambda path: "stdin")

    def _outcomes(self, paths: list[Path], **options: Any) -> Iterator[Outcome]:
        from ..inference.files import detect_files

        return detect_files(
            self.pipe,
            paths,
            output_dir=self.target.folder,
            format=self.target.format,
            ordered=False,
            progress=self.follower.progress,
            **options,
        )

    def _write(
        self,
        outcomes: Callable[[], Iterator[Outcome]],
        paths: list[Path],
        name: Callable[[Path], str],
    ) -> None:
        """Report progress until all is done, then write the table unless each file has its own."""
        from ..annotations.tables import write_events

        table = self.target.table
        found: dict[str, Any] = {}
        try:
            with self.follower:
                for outcome in self.follower.followed(outcomes()):
                    if table and outcome.events is not None:
                        found[str(outcome.path)] = outcome.events
            # Rows are in the order of the recordings, whichever was finished first.
            found = {name(path): found[name(path)] for path in paths if name(path) in found}
            if table:
                write_events(found, None if table == "-" else table, self.target.format)
        except KeyboardInterrupt as error:
            self._keep(found, len(paths))
            raise typer.Exit(143 if isinstance(error, Terminated) else 130) from None
        except BrokenPipeError:
            raise
        except ConnectionError as error:
            self._keep(found, len(paths))
            self.log.say("error", str(error), error=str(error))
            raise typer.Exit(3) from None
        except (ImportError, OSError, ValueError) as error:
            fail(str(error))
        self._conclude(paths)

    def _conclude(self, paths: list[Path]) -> None:
        summary = self.follower.summary
        if summary is None:  # there was nothing to do
            from ..inference.run_statistics import RunStatistics

            summary = RunStatistics([])
            summary.n_files = summary.n_skipped = len(paths)
        only = len(paths) == 1 and self.target.folder is None
        self.log.say("finished", "" if only else conclusion(summary), **summary.as_dict())
        if summary.n_done and not summary.n_skipped and not summary.events:
            unseen = self.log.quiet or self.log.as_json
            self.log.say("nothing", "" if unseen else self._best(paths, summary.duration))
        raise typer.Exit(1 if summary.n_failed else 0)

    def _best(self, paths: list[Path], duration: float) -> str:
        """Tell people that nothing was found, and which candidate had the highest score."""
        from ..inference.work import Job, work

        detector = self.pipe[-1]
        usual = detector._thresholds()
        limits = set(usual.values()) if isinstance(usual, Mapping) else {usual}
        one, limit = len(limits) == 1, max(limits)
        text = f"No events above {limit:.2f}" if one else "No events above the thresholds"
        if duration > _SEARCHED_AGAIN:
            return f"{text}; a lower --threshold shows weaker candidates"
        # Rules would join candidates of any score to events that begin where none of them does.
        rules = {"merge_gap": None, "min_duration": None, "max_duration": None}
        detector.set_params(score_threshold=0.0, **rules)
        found = [(e, path) for path in paths for e in work(self.pipe, Job(str(path))).events]
        if not found:
            return f"{text}, and no candidates under it"
        best, path = max(found, key=lambda pair: pair[0].score)
        where = f" in {path}" if len(paths) > 1 else ""
        if best.score >= (usual[best.label] if isinstance(usual, Mapping) else usual):
            return (
                "No event is left by the shortest and the longest duration; the best candidate is "
                f"{best.label} from {best.onset:.2f} to {best.offset:.2f} s{where}, with a score "
                f"of {best.score:.2f}"
            )
        return (
            f"{text}; the best candidate is {best.label} at {best.onset:.2f} s{where}, with a "
            f"score of {best.score:.2f}"
        )

    def _keep(self, found: dict[str, Any], total: int) -> None:
        """Save the events of an interrupted run that would otherwise be lost."""
        from ..annotations.tables import write_events

        table = self.target.table
        text = "interrupted: repeated, the command goes on with the recordings that are not done"
        if table:
            place = None if table == "-" else f"{table}.part"
            if found:
                write_events(found, place, self.target.format)
            text = f"interrupted: events of {len(found)} of {counted(total, 'recording')}"
            text += f" are in {place}" if place and found else ""
            text += "; with a folder as output (-o tables) a run goes on when it is repeated"
        self.log.say("interrupted", text, n_files=total)
