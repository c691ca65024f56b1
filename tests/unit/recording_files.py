# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A file of every format with a known signal in it, for tests of the readers."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.io
import wfdb
from clinical_files import muse_text, philips_text, scp_bytes

from ecgqa_tflite.recording.file import ReadOptions
from ecgqa_tflite.recording.simulator import simulate

FS_HZ = 250.0


@dataclass(frozen=True)
class Made:
    """A file, what it holds in mV at which rate, and how near a reader can come."""

    path: Path
    signal_mv: np.ndarray
    fs_hz: float
    tolerance_mv: float
    options: ReadOptions = field(default_factory=ReadOptions)


def ecg(seconds: float = 12, fs_hz: float = FS_HZ, seed: int = 1) -> np.ndarray:
    """A clean simulated lead, mV."""
    return simulate(seconds, fs_hz, seed=seed).signal_mv[:, 0].astype(np.float64)


def wfdb_record(folder: Path) -> Made:
    signal = ecg()
    codes = np.rint(signal * 1000).astype(int)[:, None]
    wfdb.wrsamp(
        "rec", fs=FS_HZ, units=["mV"], sig_name=["II"], d_signal=codes, fmt=["16"],
        adc_gain=[1000.0], baseline=[0], write_dir=str(folder),
    )  # fmt: skip
    return Made(folder / "rec.hea", signal, FS_HZ, 6e-4)


def edf_bytes(
    signals: list[tuple[str, str, np.ndarray, int]],
    *,
    record_s: float = 1.0,
    onsets_s: list[float] | None = None,
    bdf: bool = False,
    start: tuple[str, str] = ("02.03.21", "22.15.00"),
    n_records: int | None = None,
) -> bytes:
    """EDF or BDF of (label, unit, values within +-10, samples a record); EDF+D with onsets."""
    top = 2**23 - 1 if bdf else 2**15 - 1
    records = len(signals[0][2]) // signals[0][3]
    rows = [(label, unit, "-10", "10", str(-top), str(top), per) for label, unit, _, per in signals]
    if onsets_s is not None:
        name = "BDF Annotations" if bdf else "EDF Annotations"
        rows.append((name, "", "-1", "1", str(-top - 1), str(top), 16))

    def field(text: object, size: int) -> bytes:
        return str(text).ljust(size).encode()

    kind = "" if onsets_s is None else "BDF+D" if bdf else "EDF+D"
    head = b"\xffBIOSEMI" if bdf else field(0, 8)
    head += field("X X X X", 80) + field("Startdate 02-MAR-2021 X X X" if kind else "", 80)
    head += field(start[0], 8) + field(start[1], 8) + field(256 * (1 + len(rows)), 8)
    head += field(kind, 44) + field(records if n_records is None else n_records, 8)
    head += field(f"{record_s:g}", 8) + field(len(rows), 4)
    columns = [[r[0] for r in rows], [""] * len(rows), [r[1] for r in rows]]
    columns += [[r[k] for r in rows] for k in (2, 3, 4, 5)]
    columns += [[""] * len(rows), [r[6] for r in rows], [""] * len(rows)]
    for size, column in zip((16, 80, 8, 8, 8, 8, 8, 80, 8, 32), columns, strict=True):
        head += b"".join(field(value, size) for value in column)
    body = b""
    width = 3 if bdf else 2
    for k in range(records):
        for _, _, values, per in signals:
            codes = np.rint(values[k * per : (k + 1) * per] * top / 10).astype("<i4")
            body += codes.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
        if onsets_s is not None:
            body += f"+{onsets_s[k]:.10g}\x14\x14\0".encode().ljust(16 * width, b"\0")
    return head + body


def edf(folder: Path) -> Made:
    signal = ecg()
    (folder / "night.edf").write_bytes(edf_bytes([("ECG", "mV", signal, 250)]))
    return Made(folder / "night.edf", signal, FS_HZ, 4e-4)


def bdf(folder: Path) -> Made:
    signal = ecg()
    (folder / "x.bdf").write_bytes(edf_bytes([("ECG", "mV", signal, 250)], bdf=True))
    return Made(folder / "x.bdf", signal, FS_HZ, 2e-6)


def edf_d(folder: Path) -> Made:
    signal = ecg()
    onsets = [float(k) if k < 5 else k + 7.004 for k in range(12)]
    (folder / "gap.edf").write_bytes(edf_bytes([("ECG", "mV", signal, 250)], onsets_s=onsets))
    whole = np.concatenate([signal[:1250], np.full(1751, np.nan), signal[1250:]])
    return Made(folder / "gap.edf", whole, FS_HZ, 4e-4)


def text(folder: Path) -> Made:
    signal = ecg()
    lines = [f"{i * 0.004:.3f};{v:.4f}".replace(".", ",") for i, v in enumerate(signal)]
    (folder / "ecg.csv").write_text("Zeit;EKG (mV)\n" + "\n".join(lines) + "\n")
    return Made(folder / "ecg.csv", signal, FS_HZ, 6e-5)


def polar(folder: Path) -> Made:
    signal = ecg(12, 130.0)
    signal = signal[: len(signal) // 73 * 73]
    step = 1e9 / 130.05  # the strap's clock is off
    ticks = 599616032186148864 + np.rint(np.arange(len(signal)) * step).astype(np.int64)
    keep = np.ones(len(signal), bool)
    keep[73 * 8 : 73 * 10] = False  # two packets lost
    rows = [f"2021-10-19T14:51:24.411;{t};0.0;{round(v * 1000)}"
            for t, v, k in zip(ticks.tolist(), signal, keep, strict=True) if k]  # fmt: skip
    rows[73 * 4 : 73 * 4] = rows[73 * 3 : 73 * 4]  # one written twice
    head = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]\n"
    (folder / "Polar_H10_ECG.txt").write_text(head + "\n".join(rows) + "\n")
    return Made(folder / "Polar_H10_ECG.txt", np.where(keep, signal, np.nan), 130.0, 6e-4)


def apple(folder: Path) -> Made:
    signal = ecg(6, 512.0)
    head = (
        'Name,Test Person\nDate of Birth,"Jan 1, 1970"\nRecorded Date,2020-01-01 09:00:00 +0000\n'
        'Classification,Sinus Rhythm\nSymptoms,\nSoftware Version,1.90\nDevice,"Watch6,3"\n'
        "Sample Rate,512.844 hertz\n\n\nLead,Lead I\nUnit,\u00b5V\n\n\n"
    )
    rows = "\n".join(f"{v * 1000:.3f}".replace(".", ",") for v in signal)
    (folder / "ecg_2020-01-01.csv").write_text(head + rows + "\n", encoding="utf-8")
    return Made(folder / "ecg_2020-01-01.csv", signal, 512.844, 1e-6)


def apple_json(folder: Path) -> Made:
    signal = ecg(6, 512.0)
    points = [{"voltage": round(v / 1000, 9), "units": "V"} for v in signal]
    document = {"ecg": [{"samplingFrequency": 512, "voltageMeasurements": points}]}
    (folder / "ecg.json").write_text(json.dumps({"data": document}))
    return Made(folder / "ecg.json", signal, 512.0, 1e-6)


def movesense(folder: Path) -> Made:
    signal = ecg(12, 200.0)
    counts = np.rint(signal * 1000 / 0.381469726563).astype(int)
    packets = [
        {"ecg": {"Samples": counts[i : i + 16].tolist(), "Timestamp": 1000 + i * 5}}
        for i in range(0, len(counts), 16)
        if i not in (320, 336)
    ]
    (folder / "move.json").write_text(json.dumps({"data": packets}))
    whole = signal.copy()
    whole[320:352] = np.nan
    return Made(folder / "move.json", whole, 200.0, 3e-4)


def withings(folder: Path) -> Made:
    signal = ecg(10, 300.0)
    counts = np.rint(signal * 1000).astype(int).tolist()
    document = {
        "status": 0,
        "body": {"signal": counts, "sampling_frequency": 300, "wearposition": 1},
    }
    (folder / "heart.json").write_text(json.dumps(document))
    return Made(folder / "heart.json", signal, 300.0, 6e-4)


def withings_csv(folder: Path) -> Made:
    signal = ecg(10, 300.0)
    listed = ",".join(f"{v:.3f}" for v in signal)
    (folder / "raw_ecg.csv").write_text(
        f'start,duration,signal\n2021-02-03T04:05:06+01:00,10,"[{listed}]"\n'
    )
    return Made(folder / "raw_ecg.csv", signal, 300.0, 6e-4)


def alivecor(folder: Path) -> Made:
    signal = ecg(10, 300.0)

    def block(kind: bytes, body: bytes) -> bytes:
        return struct.pack("<4sI", kind, len(body)) + body + struct.pack("<I", sum(body) % 2**32)

    content = b"ALIVE\0\0\0" + struct.pack("<I", 3)
    content += block(b"info", b"2019-03-04T05:06:07.000+01:00".ljust(32, b"\0") + bytes(232))
    content += block(b"fmt ", struct.pack("<BHHBH", 1, 300, 500, 0, 0))
    content += block(b"ecg ", np.rint(signal * 2000).astype("<i2").tobytes())
    (folder / "k.atc").write_bytes(content)
    return Made(folder / "k.atc", signal, 300.0, 3e-4)


def kardia(folder: Path) -> Made:
    signal = ecg(10, 300.0)
    raw = {
        "frequency": 300, "mainsFrequency": 50, "amplitudeResolution": 500,
        "samples": {"leadI": np.rint(signal * 2000).astype(int).tolist()},
    }  # fmt: skip
    document = {"recordedAt": "2019-03-04T05:06:07Z", "data": {"raw": raw}}
    (folder / "kardia.json").write_text(json.dumps(document))
    return Made(folder / "kardia.json", signal, 300.0, 3e-4)


def ishne(folder: Path, variable: bytes = b"made by a test") -> Made:
    signal = ecg(12, 200.0)
    head = bytearray(522)
    head[:8] = b"ISHNE1.0"
    struct.pack_into("<iiii", head, 10, len(variable), len(signal), 522, 522 + len(variable))
    struct.pack_into("<hhh", head, 138, 5, 6, 2018)
    struct.pack_into("<hhh", head, 150, 7, 8, 9)
    struct.pack_into("<h", head, 156, 2)
    struct.pack_into("<12h", head, 158, 6, 12, *[-9] * 10)
    struct.pack_into("<12h", head, 206, 2500, 5000, *[-9] * 10)
    struct.pack_into("<h", head, 272, 200)
    codes = np.stack([signal * 1e6 / 2500, signal * -1e6 / 5000], axis=1)
    (folder / "h.ecg").write_bytes(bytes(head) + variable + np.rint(codes).astype("<i2").tobytes())
    return Made(folder / "h.ecg", signal, 200.0, 1.3e-3)


def npy(folder: Path) -> Made:
    signal = ecg()
    np.save(folder / "a.npy", signal.astype(np.float32))
    return Made(folder / "a.npy", signal, FS_HZ, 1e-6, ReadOptions(fs_hz=FS_HZ))


def mat(folder: Path) -> Made:
    signal = ecg()
    scipy.io.savemat(folder / "m.mat", {"ecg": signal * 1000, "fs": 250.0, "age": 60})
    return Made(folder / "m.mat", signal, FS_HZ, 1e-6)


def raw16(folder: Path) -> Made:
    signal = ecg()
    codes = np.stack([np.rint(signal * 400), np.zeros(len(signal))], axis=1)
    (folder / "r.bin").write_bytes(codes.astype("<i2").tobytes())
    options = ReadOptions(fs_hz=FS_HZ, channels=2, counts_per_mv=400)
    return Made(folder / "r.bin", signal, FS_HZ, 1.3e-3, options)


def aecg(folder: Path) -> Made:
    signal = ecg(10, 500.0)
    digits = " ".join(str(round(v * 200)) for v in signal)
    (folder / "ecg.xml").write_text(
        '<?xml version="1.0"?>\n<AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><component><series>'
        '<code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/>'
        '<effectiveTime><low value="20200102030405.000"/></effectiveTime>'
        "<component><sequenceSet>"
        '<component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS">'
        '<head value="20200102030405.000"/><increment value="0.002" unit="s"/></value>'
        "</sequence></component>"
        '<component><sequence><code code="MDC_ECG_LEAD_II"/><value xsi:type="SLIST_PQ">'
        '<origin value="0" unit="uV"/><scale value="5" unit="uV"/>'
        f"<digits>{digits}</digits></value></sequence></component>"
        "</sequenceSet></component></series></component></AnnotatedECG>\n"
    )
    return Made(folder / "ecg.xml", signal, 500.0, 2.6e-3)


def dicom(folder: Path) -> Made:
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import ExplicitVRLittleEndian

    signal = ecg(10, 500.0)
    source = Dataset()
    source.CodeValue, source.CodingSchemeDesignator = "5.6.3-9-2", "SCPECG"
    source.CodeMeaning = "Lead II"
    unit = Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
    channel = Dataset()
    channel.ChannelSourceSequence = Sequence([source])
    channel.ChannelSensitivity, channel.ChannelBaseline = "5", "0"
    channel.ChannelSensitivityCorrectionFactor = "1"
    channel.ChannelSensitivityUnitsSequence = Sequence([unit])
    channel.WaveformBitsStored = 16
    group = Dataset()
    group.WaveformOriginality, group.NumberOfWaveformChannels = "ORIGINAL", 1
    group.NumberOfWaveformSamples, group.SamplingFrequency = len(signal), "500"
    group.ChannelDefinitionSequence = Sequence([channel])
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.WaveformData = np.rint(signal * 200).astype("<i2").tobytes()
    whole = Dataset()
    whole.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    whole.SOPInstanceUID = "1.2.3"
    whole.Modality = "ECG"
    whole.WaveformSequence = Sequence([group])
    whole.file_meta = FileMetaDataset()
    whole.file_meta.MediaStorageSOPClassUID = whole.SOPClassUID
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, whole, enforce_file_format=True)
    (folder / "ecg.dcm").write_bytes(buffer.getvalue())
    return Made(folder / "ecg.dcm", signal, 500.0, 2.6e-3)


def scp(folder: Path) -> Made:
    signal = ecg(10, 500.0)
    (folder / "ecg.scp").write_bytes(scp_bytes({2: signal, 3: -signal}, 500.0, 2.5))
    return Made(folder / "ecg.scp", signal, 500.0, 1.3e-3)


def philips(folder: Path) -> Made:
    signal = ecg(10, 500.0)
    text = philips_text({"II": signal, "V1": -signal}, 500, 5.0)
    (folder / "philips.xml").write_text(text)
    return Made(folder / "philips.xml", signal, 500.0, 2.6e-3)


def muse(folder: Path) -> Made:
    signal = ecg(10, 500.0)
    (folder / "muse.xml").write_text(muse_text({"II": signal, "V1": -signal}, 500, 4.88))
    return Made(folder / "muse.xml", signal, 500.0, 2.5e-3)


MAKERS: dict[str, tuple[str, Callable[[Path], Made]]] = {
    "wfdb": ("wfdb", wfdb_record),
    "edf": ("edf", edf),
    "bdf": ("edf", bdf),
    "edf+d": ("edf", edf_d),
    "text": ("delimited", text),
    "polar": ("polar", polar),
    "apple": ("apple_health", apple),
    "apple-json": ("apple_health", apple_json),
    "movesense": ("movesense", movesense),
    "withings": ("withings", withings),
    "withings-csv": ("withings", withings_csv),
    "alivecor": ("alivecor", alivecor),
    "kardia": ("alivecor", kardia),
    "ishne": ("ishne", ishne),
    "npy": ("numpy_file", npy),
    "mat": ("matlab", mat),
    "raw": ("raw16", raw16),
    "aecg": ("clinical", aecg),
    "dicom": ("clinical", dicom),
    "scp": ("clinical", scp),
    "philips": ("clinical", philips),
    "muse": ("clinical", muse),
}
"""By name: the module of the reader, and what makes a file."""
