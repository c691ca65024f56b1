# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which signal of a file is the ECG, and what its unit is in millivolts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ecgqa_tflite.errors import RecordingError

_MV_PER_UNIT = {"nv": 1e-6, "uv": 1e-3, "mv": 1.0, "v": 1e3}
_PREFIX = {"nano": "n", "micro": "u", "milli": "m", "": ""}
_WORD = re.compile(r"(nano|micro|milli|)volts?")

# as they stand in records: MLII, "ECG I", "EKG2", "Lead II", "V5", "CM5", "D2", "Ableitung I"
_ECG = re.compile(
    r"(?:^|[^a-z])(?:ecg|ekg|elektrokardio|electrocardio|mlii?i?|cm\d|cs\d|d[123]|ml?c?l\d|av[rlf]|"
    r"v[1-9]r?|mv\d|i{1,3}|leadi{1,3})(?:$|[^a-z])|^(?:ecg|ekg)|(?:ecg|ekg)$"
)
_OTHER = re.compile(
    r"eeg|eog|emg|(?:^|[^a-z])e?[lr]eye|(?:left|right)eye|resp|thor|abdo|chest mov|airflow|flow|"
    r"nasal|pleth|ppg|(?:^|[^a-z])(?:abp|art|cvp|pap|bp|icp|spo2|sao2|acc|gyro|pos|temp|mark|event|"
    r"trig|status|snor\w*|light|sound|co2)(?:$|[^a-z])|pressure|puls|"
    r"^[fcopt]p?[z0-9]\d?-?[amfcopt]"
)


def mv_per_unit(unit: str) -> float | None:
    """What one ``unit`` (V, mV, uV, nV, however written) is in mV, None for no voltage."""
    plain = unit.strip().strip("[]()").strip().casefold()
    plain = plain.replace("\u00b5", "u").replace("\u03bc", "u")
    word = _WORD.fullmatch(plain)
    return _MV_PER_UNIT.get(_PREFIX[word[1]] + "v" if word else plain)


def likelihood(name: str) -> int:
    """2 for a name that ECG leads have, 0 for one that other signals have, 1 for any other."""
    plain = re.sub(r"[\s_]+", " ", name.casefold()).strip()
    if _OTHER.search(plain):
        return 2 if re.search(r"ecg|ekg", plain) else 0
    return 2 if _ECG.search(plain) else 1


def default_lead(names: Sequence[str]) -> int:
    """Index of the lead that is taken where nobody says: the first that is most likely an ECG."""
    ranks = [likelihood(name) for name in names]
    return ranks.index(max(ranks))


def lead_index(
    name: str, names: Sequence[str], lead: str | int | None, others: Sequence[str]
) -> int:
    """Index of ``lead`` among ``names``; see :meth:`ecgqa_tflite.recording.Recording.lead_index`.

    Raises
    ------
    RecordingError
        There is no such lead.
    """
    if lead is None:
        return default_lead(names)
    if isinstance(lead, str):
        if lead in names:
            return list(names).index(lead)
        alike = [i for i, n in enumerate(names) if n.casefold() == lead.casefold()]
        if len(alike) == 1:
            return alike[0]
        number = int(lead) if lead.isascii() and lead.isdigit() and len(lead) < 9 else -1
    else:
        number = lead
    if 0 <= number < len(names):
        return number
    left_out = f"; no ECG: {', '.join(others)}" if others else ""
    raise RecordingError(f"{name} has no lead {lead!r}: choose among {', '.join(names)}{left_out}")


def distinct(given: Iterable[str]) -> list[str]:
    """A printable name for every signal: those given, made different where they repeat or lack."""
    names: list[str] = []
    for i, text in enumerate(given):
        base = "".join(c if c.isprintable() else "?" for c in text.strip()) or f"ch{i}"
        name, count = base, 2
        while name in names:
            name, count = f"{base}#{count}", count + 1
        names.append(name)
    return names
