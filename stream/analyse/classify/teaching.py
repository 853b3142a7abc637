"""A classifier learnt from a user's labels while the scan goes on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from stream.analyse.classify.labels import Labelled, Labels, check_counts
from stream.analyse.classify.manifest import read_manifest
from stream.analyse.classify.model import Classifier, load_model
from stream.analyse.classify.sample import Sample
from stream.core.errors import UsageError

Parts = list[tuple[Sample, Labelled]]
IN_USE, LEARNING = "in use", "being learnt"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Taught:
    """A classifier, and from how many labelled voxels it was learnt."""

    classifier: Classifier
    voxels: int

    @property
    def told(self) -> dict[str, Any]:
        """What the metadata say of it, and why."""
        right = f"{self.classifier.accuracy:.1%} of those left out are named alike"
        return {**self.classifier.told, "chosen": "labels", "reason": f"learnt from {self.voxels} voxels; {right}"}


@dataclass(slots=True)
class Teaching:
    """Labels in, a classifier out: live in a thread beside the updates, in the end at once.

    Attributes
    ----------
    folder
        where model and manifest go, once there are labels; it is loaded from there, by its hash.
    taught
        the latest that was learnt, None before.
    state
        what became of the labels, a few words.
    """

    folder: Path = Path()
    labels: Labels | None = None
    taught: Taught | None = None
    state: str = ""
    _due: bool = False
    _job: Future[Taught] | None = None
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "teaching"))

    @property
    def told(self) -> dict[str, Any]:
        """What the metadata say of the labels and what was learnt from them; nothing where there are none."""
        if self.labels is None:
            return {}
        learnt = {} if self.taught is None else self.taught.told
        return {**learnt, "labels": self.labels.told, "labels_state": self.state}

    def take(self, labels: Labels, folder: Path) -> None:
        """These labels, in the place of earlier ones."""
        self.labels, self.folder, self.state, self._due = labels, folder, LEARNING, True

    @property
    def busy(self) -> bool:
        """Whether something is being learnt."""
        return self._job is not None

    def turn(self, samples: Sequence[Sample]) -> bool:
        """Take into use what has been learnt, which is True, and begin to learn from these samples what is due."""
        done = self._job is not None and self._job.done()
        if self._job is not None and done:
            self._use(self._job.result())
            self._job = None
        if self._due and self._job is None:
            parts = self._parts(samples)
            if parts is not None:
                self._due = False
                self._job = self._pool.submit(self._learn, parts)
        return done

    def conclude(self, samples: Sequence[Sample]) -> None:
        """Learn from these samples, now: the result depends on them and on the labels alone."""
        if self._job is not None:
            self._job.result()
            self._job = None
        self.taught, self._due = None, False
        if self.labels is not None and (parts := self._parts(samples)) is not None:
            self._use(self._learn(parts))

    def _parts(self, samples: Sequence[Sample]) -> Parts | None:
        """Samples with their labels; None where these do not do, which is told."""
        assert self.labels is not None
        parts = [(sample, self.labels.of(sample)) for sample in samples]
        try:
            check_counts([labels for _, labels in parts])
        except UsageError as error:
            self.state = f"not learnt: {error}"
            log.warning("labels.refused", reason=str(error))
            return None
        return parts

    def _learn(self, parts: Parts) -> Taught:
        from stream.analyse.classify.learn.own import learn, write  # takes a second to import

        own = learn(parts)
        write(own, self.folder)
        entry = read_manifest(self.folder).entry(own.name)
        return Taught(load_model(self.folder, entry), own.voxels)

    def _use(self, taught: Taught) -> None:
        self.taught = taught
        self.state = LEARNING if self._due else IN_USE
        log.info("labels.learnt", model=taught.told)
