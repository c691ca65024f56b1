# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The balanced training set and a validation set made the same way from held-out patients.

The line is drawn where readers draw it: high where every beat can be told, whatever the rhythm and
whatever one artefact does; low where noise hides beats for more than a second, and where there is
no ECG. Sources are segments of recordings (challenge-2011's leads as their readers labelled them,
vfdb's rhythms, windows graded by eye) and segments drawn one by one from mitdb and nstdb, whose
labels follow from where the beats are known to be (:mod:`~ecgqa_tflite.datasets.drawn`). Every
number is in :class:`Composition`, whose defaults are what the shipped models were trained on.

Segments that the signal itself gives away (flat, held, clipped, smooth) are in no set: no network
is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.datasets import arrhythmia, challenge2011, mitdb
from ecgqa_tflite.datasets.agreed import beats_agreed
from ecgqa_tflite.datasets.defects import disturbed
from ecgqa_tflite.datasets.drawn import RULES, WINDOWS, Material, draw
from ecgqa_tflite.datasets.labelled import LabelledSegments, LabelledSet, by_rate
from ecgqa_tflite.datasets.layout import find_folder
from ecgqa_tflite.datasets.noise import NoiseBank, Part
from ecgqa_tflite.datasets.splits import held_out_groups
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.output import whole_file
from ecgqa_tflite.progress import Progress, ticks
from ecgqa_tflite.resources import UNREADABLE
from ecgqa_tflite.segments import quantise
from ecgqa_tflite.spec import FrontEnd, Quality

CACHE_FORMAT = 4
"""Enters the names of cached sets: raise it when what is drawn changes."""
_FIELDS = ("samples", "quality", "group", "ids")
LEADS = ("leads_good", "leads_bad")
"""Sources that keep challenge-2011's own labels."""
HIDDEN = "leads_hidden"
"""Bad leads less those segments in which two detectors agree on every beat: a label of 10 s of a
lead doesn't hold for each 5 s of it. In place of ``leads_bad``, not beside it."""
DISTURBED = "leads_disturbed"
"""Good leads with one disturbance of the baseline."""
RECORDED = frozenset(
    {
        *LEADS,
        DISTURBED,
        HIDDEN,
        "rhythms_recorded",
        "tachycardia_recorded",
        "fibrillation_recorded",
        "graded_high",
        "graded_low",
    }
)
"""Sources that are cut from recordings: they hold so many segments and no more, or none."""
SHIFTED = 8
"""Shifted copies of each graded window in training; validation has none."""

_MV_PER_LSB = 1 / 4000
"""Stands in for a segment's own, to quantise it anew: the amplitude never matters to the image."""


@dataclass(frozen=True)
class Composition:
    """What the balanced sets are made of.

    Attributes
    ----------
    n_train, n_validation
        Segments in each set, half of them high quality.
    validation_share
        Share of patients (mitdb) and of records (challenge-2011, challenge-2015-vt) held out.
    held_out
        Records of vfdb and cudb held out, ``set/record``: named, since they are few and not alike.
    high, low
        Sources and their weights. A source that is cut from recordings gives what it has at most;
        what it lacks, the drawn sources of its class make up.
    seed
        Of the split and the draw.
    """

    n_train: int = 20_000
    n_validation: int = 4_000
    validation_share: float = 0.2
    held_out: tuple[str, ...] = (
        "vfdb/423",
        "vfdb/429",
        "vfdb/611",
        "cudb/cu04",
        "cudb/cu12",
        "cudb/cu24",
    )
    high: tuple[tuple[str, float], ...] = (
        ("leads_good", 1.5),
        (DISTURBED, 0.5),
        ("clean", 1.2),
        ("disturbed", 1.8),
        ("mixtures_found", 2.2),
        ("rhythms", 0.6),
        ("pauses", 1.4),
        ("tachycardia", 0.9),
        ("rhythms_recorded", 1.2),
        ("tachycardia_recorded", 0.2),
        ("graded_high", 1.0),
    )
    low: tuple[tuple[str, float], ...] = (
        (HIDDEN, 1.2),
        ("mixtures_lost", 2.7),
        ("mixtures_poor", 2.0),
        ("hidden", 1.3),
        ("noise", 1.2),
        ("hum", 0.3),
        ("hum_alone", 0.2),
        ("waves", 0.5),
        ("bells", 0.6),
        ("fibrillation", 0.6),
        ("fibrillation_recorded", 0.1),
        ("graded_low", 0.8),
    )
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
    progress: Progress | None = None,
) -> BalancedSets:
    """Make both sets, or read them where the same call made them before.

    No patient, recording or stretch of noise is in both. Without vfdb, cudb, challenge-2015-vt or
    their grades (:func:`~ecgqa_tflite.datasets.arrhythmia.missing`) the sources made of them are
    left out.

    Parameters
    ----------
    data
        Folder that holds ``challenge-2011``, ``mitdb`` and ``nstdb``, and may hold ``arrhythmia``.
    spec
        Says how long a segment is.
    composition
        Every number.
    cache
        Folder where the sets are kept; other files in the data's folders make them anew.
    progress
        Called as work gets done.

    Raises
    ------
    DatasetError
        A set is missing, or holds too little of a source; a source is unknown.
    """
    for source, _ in (*composition.high, *composition.low):
        if source not in RECORDED and source not in RULES:
            known = ", ".join(sorted(RECORDED | set(RULES)))
            raise DatasetError(f"{source!r} is no source of the balanced sets: {known}")
    folders = find_sets(data)
    path = cache / "sets" / f"{_key(data, folders, spec, composition)}.npz"
    try:
        return read_sets(path)
    except UNREADABLE:  # none yet, or a damaged one
        sets = _make(data, spec, composition, progress)
        with whole_file(path, overwrite=True) as temporary:
            np.savez(temporary, **_arrays(sets))  # type: ignore[arg-type]
    return read_sets(path)


def find_sets(data: Path) -> list[Path]:
    """The folders of the sets that :func:`build` reads, without reading a recording.

    Raises
    ------
    DatasetError
        A set is missing, its labels are not what they should be, or name what isn't there.
    """
    challenge2011.check_names(data)
    return [
        find_folder(data, "em.hea", "nstdb"),
        find_folder(data, "100.atr", mitdb.NAME),
        challenge2011.labelled_folder(data),
        *arrhythmia.find(data).values(),
    ]


def _key(data: Path, folders: list[Path], spec: FrontEnd, composition: Composition) -> str:
    """What the sets depend on; of the files, their names, sizes and times."""
    files = [file for folder in folders for file in folder.iterdir()]
    graded = data / arrhythmia.NAME / arrhythmia.GRADED_NAME
    files += [graded] if graded.exists() else []
    seen = sorted((str(f.relative_to(data)), f.stat().st_size, f.stat().st_mtime_ns) for f in files)
    plain = [CACHE_FORMAT, spec.segment_s, asdict(composition), seen]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:32]


def _arrays(sets: BalancedSets) -> dict[str, NDArray[Any]]:
    """Every array by ``part/number/source/rate/field``."""
    found = {}
    for name in ("train", "validation"):
        for i, part in enumerate(getattr(sets, name).parts):
            for field in _FIELDS:
                found[f"{name}/{i}/{part.source}/{part.fs_hz!r}/{field}"] = getattr(part, field)
    return found


def read_sets(path: Path) -> BalancedSets:
    """The sets that :func:`build` kept in a file of its cache."""
    found: dict[str, list[LabelledSegments]] = {"train": [], "validation": []}
    with np.load(path) as arrays:
        for key in arrays:
            if key.endswith(f"/{_FIELDS[0]}"):
                name, _, source, fs_hz, _ = key.split("/")
                prefix = key.removesuffix(_FIELDS[0])
                fields = {field: arrays[prefix + field] for field in _FIELDS}
                found[name].append(LabelledSegments(**fields, fs_hz=float(fs_hz), source=source))
    return BalancedSets(*(LabelledSet(tuple(parts)) for parts in found.values()))


def _make(
    data: Path, spec: FrontEnd, composition: Composition, progress: Progress | None
) -> BalancedSets:
    held_out = _held_out(data, composition)
    leads = _mitdb_leads(data, progress)
    leads_of, _ = challenge2011.whose_leads(data)
    recordings = challenge2011.labelled_recordings(data, ticks(progress, f"reading {leads_of}"))
    good_and_bad = challenge2011.lead_segments(recordings, spec)
    usable = good_and_bad.take(good_and_bad.usable)
    pools = _lead_pools(usable) | _rhythms(data, spec)
    if HIDDEN in dict(composition.low):
        bad, tick = pools["leads_bad"], ticks(progress, "looking for beats in bad leads")
        agreed = beats_agreed((recording for recording, _ in recordings), bad, spec.segment_s, tick)
        pools[HIDDEN] = bad.take(~agreed)

    made: dict[Part, LabelledSet] = {}
    sizes: dict[Part, int] = {
        "train": composition.n_train,
        "validation": composition.n_validation,
    }
    for part, n in sizes.items():
        inside = part == "validation"
        rng = np.random.default_rng([composition.seed, inside])
        mine = {name: _of_part(pool, held_out, inside) for name, pool in pools.items()}
        wanted = frozenset(g for g in _arrhythmia_groups(data) if (g in held_out) == inside)
        mine |= arrhythmia.graded_segments(data, spec, wanted, 0 if inside else SHIFTED, rng)
        material = Material(
            tuple(lead for lead in leads if (lead.group in held_out) == inside),
            NoiseBank.read(data, part),
            spec,
            min(n, WINDOWS),
        )
        made[part] = _draw(mine, material, n, composition, progress)
    return BalancedSets(made["train"], made["validation"])


def _held_out(data: Path, composition: Composition) -> frozenset[str]:
    """Groups that validate: patients of mitdb, records of the others."""
    share, seed = composition.validation_share, composition.seed
    records = mitdb.record_names(find_folder(data, "100.atr", mitdb.NAME))
    alarms = [g for g in _arrhythmia_groups(data) if g.startswith("challenge-2015-vt/")]
    return (
        held_out_groups((_patient(name) for name in records), share, seed)
        | held_out_groups(
            (f"challenge-2011/{name}" for name in challenge2011.labelled_names(data)), share, seed
        )
        | held_out_groups(alarms, share, seed)
        | frozenset(composition.held_out)
    )


def _patient(record: str) -> str:
    return f"{mitdb.NAME}/{mitdb.SAME_PATIENT.get(record, record)}"


def _arrhythmia_groups(data: Path) -> list[str]:
    return [
        f"{name}/{record}"
        for name, folder in arrhythmia.find(data).items()
        for record in arrhythmia.record_names(folder)
    ]


def _mitdb_leads(data: Path, progress: Progress | None) -> list[mitdb.AnnotatedLead]:
    folder = find_folder(data, "100.atr", mitdb.NAME)
    records, tick = mitdb.record_names(folder), ticks(progress, "reading mitdb")
    leads: list[mitdb.AnnotatedLead] = []
    for record in records:
        leads += mitdb.read_leads(folder, record)
        tick(len(records))
    return leads


def _rhythms(data: Path, spec: FrontEnd) -> dict[str, LabelledSet]:
    folder = arrhythmia.find(data).get("vfdb")
    return {} if folder is None else arrhythmia.rhythm_segments(folder, spec)


def _lead_pools(segments: LabelledSet) -> dict[str, LabelledSet]:
    good, bad = (segments.take(segments.quality == q) for q in (Quality.HIGH, Quality.LOW))
    return {"leads_good": good, "leads_bad": bad}


def _of_part(pool: LabelledSet, held_out: frozenset[str], inside: bool) -> LabelledSet:
    return pool.take(np.array([(g in held_out) == inside for g in pool.group], bool))


# ---- drawing ------------------------------------------------------------------------------------


def _draw(
    pools: Mapping[str, LabelledSet],
    material: Material,
    n: int,
    composition: Composition,
    progress: Progress | None,
) -> LabelledSet:
    """``n`` segments, class by class, source by source; none depends on what others drew."""
    parts: list[LabelledSegments] = []
    rest = dict(pools)
    for weights in (composition.high, composition.low):
        have = {s: len(rest.get(s, ())) for s, _ in weights if s in RECORDED}
        if DISTURBED in have:  # the good leads are halved between both
            have |= dict.fromkeys(("leads_good", DISTURBED), len(rest["leads_good"]) // 2)
        for source, wanted in shares(weights, n // 2, have).items():
            if not wanted:
                continue
            inside = material.bank.part == "validation"
            rng = np.random.default_rng([composition.seed, inside, *source.encode()])
            if source in RULES:
                tick = ticks(progress, f"drawing segments, {material.bank.part}, {source}")
                parts.append(draw(source, wanted, material, rng, tick))
                continue
            pool = "leads_good" if source == DISTURBED else source
            order = rng.permutation(len(rest[pool]))
            taken = rest[pool].take(np.sort(order[:wanted]))
            rest[pool] = rest[pool].take(np.sort(order[wanted:]))
            if source == DISTURBED:
                taken = LabelledSet(tuple(_disturbed(part, rng) for part in taken.parts))
            parts += by_rate(taken.parts, source).parts if len(taken) else ()
    return LabelledSet(tuple(parts))


def shares(
    weights: tuple[tuple[str, float], ...], n: int, have: Mapping[str, int]
) -> dict[str, int]:
    """Segments of each source: ``n`` by weight, no more than a recorded one has.

    Parameters
    ----------
    have
        Segments that there are, of those sources that can run out.

    Raises
    ------
    DatasetError
        All of them together hold fewer than ``n``.
    """
    left, found = dict(weights), {source: 0 for source, _ in weights}
    while left:
        free = n - sum(found[source] for source in found if source not in left)
        edges = np.rint(free * np.cumsum(list(left.values())) / sum(left.values())).astype(int)
        found |= dict(zip(left, np.diff(edges, prepend=0).tolist(), strict=True))
        short = {s: have[s] for s in left if s in have and have[s] < found[s]}
        if not short:
            return found
        found |= short
        left = {source: weight for source, weight in left.items() if source not in short}
    raise DatasetError(
        f"{', '.join(found)}: {n} segments wanted, {sum(found.values())} there; ask for fewer "
        f"segments, or give the recipe a source that is drawn"
    )


def _disturbed(part: LabelledSegments, rng: np.random.Generator) -> LabelledSegments:
    """Each segment with one disturbance of the baseline; ids end in ``+disturbed``."""
    rows: list[NDArray[np.int16]] = [
        quantise(disturbed(own * _MV_PER_LSB, part.fs_hz, rng)) for own in part.samples
    ]
    ids = np.array([f"{name}+disturbed" for name in part.ids], np.str_)
    return replace(part, samples=np.array(rows), ids=ids)
