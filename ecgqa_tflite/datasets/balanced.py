"""The balanced training set and a validation set made the same way from held-out patients.

High quality: good leads of challenge-2011, clean mitdb segments, mixtures whose beats are all
found. Low quality: bad leads, mixtures whose beats are lost (or unclear), mixtures with a poor
signal-to-noise ratio, noise alone, clipped ECG. Every number is in :class:`Composition`, whose
defaults are what the shipped models were trained on.

Where the line between high and low is drawn decides more than the network does. The people who
graded challenge-2011's leads were strict: of the bad leads that networks take for good, nearly all
have R peaks that anyone can see. Kept as low (the default) they make a network strict about noise;
``agreed_leads`` leaves them out, and a network then calls more of what is noisy but readable high.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterable, Sequence, Set
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets import challenge2011, mitdb
from ecgqa_tflite.datasets.labelled import LabelledSegments, LabelledSet, by_rate
from ecgqa_tflite.datasets.layout import find_folder
from ecgqa_tflite.datasets.mitdb import AnnotatedLead
from ecgqa_tflite.datasets.mixtures import (
    MixtureRule,
    Mixtures,
    beats_before,
    clean_starts_s,
    mix_lead,
    with_agreed_beats,
)
from ecgqa_tflite.datasets.noise import KINDS, NoiseBank, Part, jump
from ecgqa_tflite.datasets.splits import held_out_groups
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress, ticks
from ecgqa_tflite.recording import Recording
from ecgqa_tflite.segments import quantise
from ecgqa_tflite.spec import FrontEnd, Quality

CACHE_FORMAT = 1
"""Enters the names of cached files: raise it when what is computed changes."""
LABEL_ONLY = ("see_through", "low_snr_db", "high_snr_db")
"""Numbers of the mixture rule that say what a mixture is called, not what it is."""
MIXTURES = ("mixtures_found", "mixtures_lost", "mixtures_low_snr", "mixtures_unclear")
"""Sources that are mixtures."""
LEADS = ("leads_good", "leads_bad")
"""Sources that keep challenge-2011's own labels."""
NOISE = "noise"
"""Source of segments that are noise alone."""
NOISE_FS_HZ = 360.0
"""Sampling rate of segments that are noise alone, Hz: nstdb's own."""

_LSB_PER_MV = 4000.0
"""Stands in for a segment's own, to quantise it anew: the amplitude never matters to the image."""


@dataclass(frozen=True)
class Composition:
    """What the balanced sets are made of.

    Attributes
    ----------
    n_train, n_validation
        Segments in each set, half of them high quality.
    validation_share
        Share of patients (mitdb) and of records (challenge-2011) held out.
    high, low
        Sources and their weights. Low has ``clipped`` too (clean ECG on the rails of an
        amplifier) and may have ``mixtures_unclear`` (a detector errs, and the signal-to-noise ratio
        is below what high quality needs).
    agreed_leads
        Take a good lead's segment only if both detectors agree on its beats, and a bad lead's only
        if they don't.
    jump_share, jump_height
        Share of the segments, whatever their source, that get a jump of the baseline on top, and
        the range of its height over the segment's own (log-uniform). A jump says nothing of the
        beats around it, yet owns the range of the image: a network has to see it in both classes.
    clipped_share
        Range of the share of a ``clipped`` segment's samples that lie on the rails (uniform), a
        third to two thirds of it on the upper one. Either way round, R and T waves are then cut to
        the same height.
    stretches_per_lead
        Stretches mixed for each lead of mitdb (30 min) and of challenge-2011 (10 s).
    mixture
        How mixtures are made and labelled.
    seed
        Of the split, the mixtures and the draw.
    """

    n_train: int = 20_000
    n_validation: int = 4_000
    validation_share: float = 0.2
    high: tuple[tuple[str, float], ...] = (
        ("leads_good", 1.0),
        ("clean", 1.0),
        ("mixtures_found", 2.0),
    )
    low: tuple[tuple[str, float], ...] = (
        ("leads_bad", 0.5),
        ("mixtures_lost", 2.5),
        ("mixtures_low_snr", 1.0),
        ("noise", 1.0),
        ("clipped", 0.25),
    )
    agreed_leads: bool = False
    jump_share: float = 0.0
    jump_height: tuple[float, float] = (0.5, 10.0)
    clipped_share: tuple[float, float] = (0.4, 0.8)
    stretches_per_lead: tuple[int, int] = (42, 2)
    mixture: MixtureRule = field(default_factory=MixtureRule)
    seed: int = 0


@dataclass(frozen=True)
class BalancedSets:
    """Training and validation segments; each part is of one source and one sampling rate."""

    train: LabelledSet
    validation: LabelledSet


def build(
    data: Path,
    spec: FrontEnd,
    composition: Composition,
    cache: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> BalancedSets:
    """Make both sets; mixtures, the slow part, are kept in ``cache`` lead by lead.

    Parameters
    ----------
    data
        Folder that holds ``challenge-2011``, ``mitdb`` and ``nstdb``.
    spec
        Says how long a segment is.
    composition
        Every number.
    cache
        Folder for what can be reused; an interrupted call goes on where it was.
    workers
        Processes that mix.
    progress
        Called as work gets done.

    Raises
    ------
    DatasetError
        A set is missing, or holds fewer segments of a source than the composition asks for.
    """
    tell = progress or (lambda what, done, total: None)
    names = challenge2011.labelled_names(data)
    folders = {
        mitdb.NAME: find_folder(data, "100.atr", mitdb.NAME),
        "nstdb": find_folder(data, "em.hea", "nstdb"),
    }
    records = mitdb.record_names(folders[mitdb.NAME])
    patients = {f"{mitdb.NAME}/{mitdb.SAME_PATIENT.get(name, name)}" for name in records}
    share, seed = composition.validation_share, composition.seed
    held_out = held_out_groups(patients, share, seed) | held_out_groups(
        (f"challenge-2011/{name}" for name in names), share, seed
    )

    tick = ticks(progress, "reading challenge-2011")
    recordings = challenge2011.labelled_recordings(data, tick)
    leads = challenge2011.lead_segments(recordings, spec)
    leads = leads.take(leads.usable)

    jobs = [
        *_mitdb_jobs(folders[mitdb.NAME], records, composition),
        *_challenge2011_jobs([recording for recording, _ in recordings], leads, composition),
    ]
    mixed = _mix_all(jobs, folders["nstdb"], held_out, spec, composition, cache, workers, tell)
    made: dict[Part, LabelledSet] = {}
    sizes: dict[Part, int] = {
        "train": composition.n_train,
        "validation": composition.n_validation,
    }
    for part, n in sizes.items():
        inside = part == "validation"
        pools = _pools(
            [job for job in mixed if (job.group in held_out) == inside],
            leads.take(np.array([(g in held_out) == inside for g in leads.group])),
            composition,
        )
        bank = NoiseBank.read(folders["nstdb"], part)
        rng = np.random.default_rng([seed, inside])
        drawn = _draw(pools, bank, n, composition, spec, rng)
        made[part] = LabelledSet(tuple(_with_jumps(one, composition, rng) for one in drawn))
    return BalancedSets(made["train"], made["validation"])


# ---- mixing, lead by lead -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """Leads of one record to mix into; ``source`` is what their clean segments are called."""

    leads: tuple[AnnotatedLead, ...]
    n_stretches: int
    source: str

    @property
    def known(self) -> bool:
        """Whether the leads' beats are annotated."""
        return self.source == "clean"


@dataclass(frozen=True)
class _Mixed:
    """What came of one lead; ``source`` is what its clean segments are called."""

    group: str
    fs_hz: float
    source: str
    mixtures: Mixtures
    clean: LabelledSegments


def _mitdb_jobs(folder: Path, records: list[str], composition: Composition) -> Iterable[_Job]:
    for record in records:
        leads = tuple(mitdb.read_leads(folder, record))
        yield _Job(leads, composition.stretches_per_lead[0], "clean")


def _challenge2011_jobs(
    recordings: Sequence[Recording], leads: LabelledSet, composition: Composition
) -> Iterable[_Job]:
    """Its good leads, a job per record, to mix into; its bad ones if the detectors are asked."""
    wanted: dict[tuple[str, int], list[str]] = {}
    places = (str(name).split("@")[0].split("/") for name in leads.ids)
    for (_, record, lead), quality in zip(places, leads.quality, strict=True):
        names = wanted.setdefault((record, int(quality)), [])
        if lead not in names:
            names.append(lead)
    nowhere = np.zeros(0)
    by_name = {recording.name: recording for recording in recordings}
    for (record, quality), names in wanted.items():
        recording = by_name[record]
        found = tuple(
            AnnotatedLead(
                f"challenge-2011/{record}/{name}",
                f"challenge-2011/{record}",
                recording.lead(name),
                recording.fs_hz,
                nowhere,
                nowhere,
            )
            for name in names
        )
        good = quality == Quality.HIGH
        if not good and not composition.agreed_leads:
            continue
        n_stretches = composition.stretches_per_lead[1] if good else 0
        yield _Job(found, n_stretches, "leads_good" if good else "leads_bad")


def _mix_all(
    jobs: list[_Job],
    nstdb: Path,
    held_out: frozenset[str],
    spec: FrontEnd,
    composition: Composition,
    cache: Path,
    workers: int,
    tell: Progress,
) -> list[_Mixed]:
    banks = {part: NoiseBank.read(nstdb, part) for part in ("train", "validation")}
    done: dict[int, list[_Mixed]] = {}
    waiting: dict[int, tuple[_Job, NoiseBank, Composition, FrontEnd, Path]] = {}
    for i, job in enumerate(jobs):
        bank = banks["validation" if job.leads[0].group in held_out else "train"]
        path = cache / "mixtures" / f"{_job_hash(job, bank, spec, composition)}.npz"
        if path.exists():
            done[i] = _load(job, path)
        else:
            waiting[i] = (job, bank, composition, spec, path)
    total = len(jobs)
    tell("mixing noise into clean leads", len(done), total)
    if workers <= 1:
        for i, task in waiting.items():
            _mix_record(*task)
            done[i] = _load(task[0], task[-1])
            tell("mixing noise into clean leads", len(done), total)
    elif waiting:
        # TensorFlow may be loaded in this process: its threads don't survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _die_with_parent) as pool:
            futures = {pool.submit(_mix_record, *task): i for i, task in waiting.items()}
            for future in as_completed(futures):
                future.result()
                i = futures[future]
                done[i] = _load(jobs[i], waiting[i][-1])
                tell("mixing noise into clean leads", len(done), total)
    return [mixed for i in range(total) for mixed in done[i]]


def _die_with_parent() -> None:
    """End this worker when the process that started it is gone: a killed run leaves none behind."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def _job_hash(job: _Job, bank: NoiseBank, spec: FrontEnd, composition: Composition) -> str:
    numbers = {
        "format": CACHE_FORMAT,
        "segment_s": spec.segment_s,
        "rule": {
            name: value
            for name, value in asdict(composition.mixture).items()
            if name not in LABEL_ONLY
        },
        "seed": composition.seed,
        "n": job.n_stretches,
        "part": bank.part,
        "known": job.known,
        "leads": [(lead.name, lead.group, lead.fs_hz) for lead in job.leads],
    }
    sha = hashlib.sha256(json.dumps(numbers, sort_keys=True).encode())
    for lead in job.leads:
        for array in (lead.signal_mv, lead.beats_s, lead.bars_s):
            sha.update(f"{array.dtype} {array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)
    for kind in sorted(bank.recorded):
        sha.update(np.ascontiguousarray(bank.recorded[kind][::97]).data)
    return sha.hexdigest()[:32]


def _mix_record(
    job: _Job, bank: NoiseBank, composition: Composition, spec: FrontEnd, path: Path
) -> None:
    """Mix into every lead of a record and write what came of it, whole."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, bare in enumerate(job.leads):
        beats = beats_before(bare)
        lead = bare if job.known else with_agreed_beats(bare, beats)
        if lead is None:
            continue
        seed = [composition.seed, int(hashlib.sha256(lead.name.encode()).hexdigest()[:8], 16)]
        mixtures = mix_lead(lead, beats, bank, job.n_stretches, composition.mixture, spec, seed)
        arrays |= {f"{number}/{name}": value for name, value in mixtures.arrays().items()}
        arrays[f"{number}/clean"] = clean_starts_s(lead, beats, spec)
    with whole_file(path, overwrite=True) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _load(job: _Job, path: Path) -> list[_Mixed]:
    with np.load(path) as arrays:
        found = []
        for number, lead in enumerate(job.leads):
            if f"{number}/clean" not in arrays:
                continue
            mixtures = Mixtures.from_arrays(
                {name.split("/")[1]: arrays[name] for name in arrays if _number(name) == number}
            )
            clean = _clean_segments(
                lead, arrays[f"{number}/clean"], mixtures.samples.shape[1], job.source
            )
            found.append(_Mixed(lead.group, lead.fs_hz, job.source, mixtures, clean))
        return found


def _number(name: str) -> int:
    return int(name.split("/")[0])


def _clean_segments(
    lead: AnnotatedLead, starts_s: NDArray[Any], length: int, source: str
) -> LabelledSegments:
    n = len(starts_s)
    first = np.rint(starts_s * lead.fs_hz).astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(lead.signal_mv, length)[first]
    return LabelledSegments(
        quantise(windows) if n else np.zeros((0, length), np.int16),
        lead.fs_hz,
        np.full(n, Quality.HIGH, np.uint8),
        np.full(n, lead.group),
        np.array([f"{lead.name}@{start:.2f}" for start in starts_s], np.str_),
        source,
    )


# ---- drawing ------------------------------------------------------------------------------------


def _pools(
    mixed: list[_Mixed], leads: LabelledSet, composition: Composition
) -> dict[str, LabelledSet]:
    """Candidates by source."""
    clean = {
        source: [item.clean for item in mixed if item.source == source]
        for source in ("clean", *LEADS)
    }
    good, bad = (leads.take(leads.quality == quality) for quality in (Quality.HIGH, Quality.LOW))
    if composition.agreed_leads:
        readable = LabelledSet(tuple(clean["leads_bad"])).ids
        good, bad = LabelledSet(tuple(clean["leads_good"])), _without(bad, set(readable))
    found: dict[str, list[LabelledSegments]] = {name: [] for name in MIXTURES}
    for item in mixed:
        for name, part in _mixtures(item, composition.mixture).items():
            found[name].append(part)
    pools = {"clean": clean["clean"], "clipped": clean["clean"], **found}
    return {
        "leads_good": good,
        "leads_bad": bad,
        **{name: LabelledSet(tuple(parts)) for name, parts in pools.items()},
    }


def _mixtures(item: _Mixed, rule: MixtureRule) -> dict[str, LabelledSegments]:
    """What came of one lead, by the source that each mixture may be drawn for."""
    m = item.mixtures
    hides = ~np.isin(m.kind, rule.see_through)
    unclear = ~m.beats_found & ~m.beats_lost & (m.snr_db < rule.high_snr_db)
    chosen = {
        "mixtures_found": (m.beats_found & (m.snr_db > rule.high_snr_db), Quality.HIGH),
        "mixtures_lost": (m.beats_lost & hides, Quality.LOW),
        "mixtures_low_snr": ((m.snr_db < rule.low_snr_db) & hides, Quality.LOW),
        "mixtures_unclear": (unclear & hides, Quality.LOW),
    }
    return {name: m.labelled(mask, quality, item.fs_hz) for name, (mask, quality) in chosen.items()}


def _without(segments: LabelledSet, ids: Set[str]) -> LabelledSet:
    return segments.take(np.array([name not in ids for name in segments.ids], bool))


def _draw(
    pools: dict[str, LabelledSet],
    bank: NoiseBank,
    n: int,
    composition: Composition,
    spec: FrontEnd,
    rng: np.random.Generator,
) -> list[LabelledSegments]:
    """Draw each source's share; a segment that fits two sources (lost beats and a poor ratio)
    is drawn once.
    """
    drawn: list[LabelledSegments] = []
    used: set[str] = set()
    for weights in (composition.high, composition.low):
        share = np.cumsum([weight for _, weight in weights])
        edges = np.rint(n / 2 * share / share[-1]).astype(int)
        for (source, _), wanted in zip(weights, np.diff(edges, prepend=0), strict=True):
            if not wanted:
                continue
            if source == NOISE:
                drawn.append(_noise_alone(bank, wanted, spec, rng))
                continue
            pool = _without(pools[source], used)
            taken = _pick(pool, wanted, f"{bank.part}, {source}", rng)
            used.update(taken.ids)
            parts = taken.parts
            if source == "clipped":
                parts = tuple(_clipped(part, composition.clipped_share, rng) for part in parts)
            drawn += by_rate(parts, source).parts
    return drawn


def _pick(pool: LabelledSet, wanted: int, what: str, rng: np.random.Generator) -> LabelledSet:
    """``wanted`` segments of the pool, without replacement."""
    if len(pool) < wanted:
        raise DatasetError(
            f"{what}: {wanted} segments wanted, {len(pool)} there; "
            f"ask for fewer segments or more stretches per lead"
        )
    return pool.take(np.sort(rng.choice(len(pool), wanted, replace=False)))


def _clipped(
    part: LabelledSegments, share: tuple[float, float], rng: np.random.Generator
) -> LabelledSegments:
    """Each segment with its samples above and below two levels cut off; ids end in ``+clipped``."""
    samples = part.samples.copy()
    for i, own in enumerate(part.samples):
        on_rails, above = rng.uniform(*share), rng.uniform(1 / 3, 2 / 3)
        low, high = np.quantile(own, (on_rails * (1 - above), 1 - on_rails * above))
        samples[i] = quantise(np.clip(own, low, high) / _LSB_PER_MV)
    quality = np.full(len(part), Quality.LOW, np.uint8)
    ids = np.array([f"{name}+clipped" for name in part.ids], np.str_)
    return replace(part, samples=samples, ids=ids, quality=quality)


def _with_jumps(
    part: LabelledSegments, composition: Composition, rng: np.random.Generator
) -> LabelledSegments:
    """The part with a jump added to some of its segments; their ids end in ``+jump``."""
    chosen = np.flatnonzero(rng.random(len(part)) < composition.jump_share)
    samples, ids = part.samples.copy(), [str(name) for name in part.ids]
    lowest, highest = np.log(composition.jump_height)
    for i in chosen:
        own = part.samples[i].astype(float)
        height = np.exp(rng.uniform(lowest, highest)) * np.ptp(own)
        step = height * jump(own.size, part.fs_hz, rng)
        samples[i] = quantise((own + step) / _LSB_PER_MV)
        ids[i] += "+jump"
    return replace(part, samples=samples, ids=np.array(ids, np.str_))


def _noise_alone(
    bank: NoiseBank, n: int, spec: FrontEnd, rng: np.random.Generator
) -> LabelledSegments:
    length = spec.segment_len(NOISE_FS_HZ)
    samples = np.zeros((n, length), np.int16)
    names = []
    for row in range(n):
        noise, name = bank.draw(KINDS[row % len(KINDS)], length, NOISE_FS_HZ, rng)
        samples[row] = quantise(noise)
        names.append(f"noise/{name}#{bank.part}.{row}")
    return LabelledSegments(
        samples,
        NOISE_FS_HZ,
        np.full(n, Quality.LOW, np.uint8),
        np.array([name.split("@")[0].split("#")[0] for name in names], np.str_),
        np.array(names, np.str_),
        NOISE,
    )
