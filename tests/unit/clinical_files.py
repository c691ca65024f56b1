# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""SCP-ECG, Philips and GE MUSE files written by hand after their formats' published descriptions.

SCP-ECG: EN 1064 (pointers, tags, default Huffman table, second differences, as devices write).
Philips: PageWriter's XML 1.03 (base64 16-bit, one lead after the other). GE MUSE: restecg.dtd.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib

import numpy as np


def _section(number: int, body: bytes, reserved: bytes = bytes(6)) -> bytes:
    """A section, of even length, its CRC over all that follows it."""
    body += bytes(len(body) % 2)
    rest = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + reserved + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def _huffman(values: np.ndarray) -> bytes:
    """The default table: 0, then as many ones as the magnitude, 0 and a sign; else an escape."""
    bits = []
    for value in values.tolist():
        if value == 0:
            bits.append("0")
        elif abs(value) <= 8:
            bits.append("1" * abs(value) + "0" + ("0" if value > 0 else "1"))
        elif -128 <= value <= 127:
            bits.append("1111111110" + f"{value & 0xFF:08b}")
        else:
            bits.append("1111111111" + f"{value & 0xFFFF:016b}")
    text = "".join(bits)
    text += "0" * (-len(text) % 16)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _differences(codes: np.ndarray) -> np.ndarray:
    """Second differences; the first two samples stand as they are."""
    return np.concatenate([codes[:2], codes[2:] - 2 * codes[1:-1] + codes[:-2]])


def scp_bytes(leads: dict[int, np.ndarray], fs_hz: float, uv_per_count: float) -> bytes:
    """An SCP-ECG record of leads by their code (1: I, 2: II, 3: V1), mV."""
    codes = {k: np.rint(v * 1000 / uv_per_count).astype(int) for k, v in leads.items()}
    packed = [_huffman(_differences(c)) for c in codes.values()]
    n = len(next(iter(codes.values())))

    def tag(number: int, value: bytes) -> bytes:
        return struct.pack("<BH", number, len(value)) + value

    patient = tag(2, b"X\0") + tag(14, bytes(36)) + tag(25, struct.pack("<HBB", 2020, 1, 2))
    patient += tag(26, bytes((3, 4, 5))) + tag(255, b"")
    where = struct.pack("<BB", len(codes), 0x04 | len(codes) << 3)
    where += b"".join(struct.pack("<IIB", 1, n, code) for code in codes)
    rhythm = struct.pack("<HHBB", round(uv_per_count * 1000), round(1e6 / fs_hz), 2, 0)
    rhythm += struct.pack(f"<{len(packed)}H", *map(len, packed)) + b"".join(packed)
    bodies = {1: patient, 2: struct.pack("<H", 19999), 3: where, 6: rhythm}
    sections = {number: _section(number, body) for number, body in bodies.items()}
    at = 7 + 16 + 12 * 10
    pointers = struct.pack("<HII", 0, at - 7, 7)
    for number in range(1, 12):
        size = len(sections.get(number, b""))
        pointers += struct.pack("<HII", number, size, at if size else 0)
        at += size
    content = _section(0, pointers, b"SCPECG") + b"".join(sections.values())
    rest = struct.pack("<I", 6 + len(content)) + content
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def philips_text(leads: dict[str, np.ndarray], fs_hz: int, uv_per_count: float) -> str:
    """A Philips PageWriter XML of leads by name, mV."""
    codes = [np.rint(v * 1000 / uv_per_count).astype("<i2") for v in leads.values()]
    data = base64.encodebytes(b"".join(c.tobytes() for c in codes)).decode()
    n = len(codes[0])
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<restingecgdata xmlns="http://www3.medical.philips.com">\n'
        "<documentinfo><documentname>x.xml</documentname><documenttype>SierraECG</documenttype>"
        "<documentversion>1.03</documentversion></documentinfo>\n"
        '<dataacquisition date="2020-01-02" time="03:04:05"><signalcharacteristics>'
        f"<samplingrate>{fs_hz}</samplingrate><signalresolution>{uv_per_count:g}"
        f"</signalresolution><numberchannelsvalid>{len(leads)}</numberchannelsvalid>"
        "<bitspersample>16</bitspersample><signalsigned>True</signalsigned>"
        "<acquisitiontype>STD-12</acquisitiontype></signalcharacteristics></dataacquisition>\n"
        f'<waveforms><parsedwaveforms dataencoding="Base64" compressflag="False" '
        f'numberofleads="{len(leads)}" leadlabels="{" ".join(leads)}" '
        f'durationperchannel="{n * 1000 // fs_hz}" samplespersecond="{fs_hz}">\n'
        f"{data}</parsedwaveforms></waveforms>\n</restingecgdata>\n"
    )


def muse_text(leads: dict[str, np.ndarray], fs_hz: int, uv_per_count: float) -> str:
    """A GE MUSE XML of leads by name, mV."""
    parts = []
    for name, signal in leads.items():
        data = np.rint(signal * 1000 / uv_per_count).astype("<i2").tobytes()
        parts.append(
            f"<LeadData><LeadByteCountTotal>{len(data)}</LeadByteCountTotal>"
            "<LeadTimeOffset>0</LeadTimeOffset>"
            f"<LeadSampleCountTotal>{len(signal)}</LeadSampleCountTotal>"
            f"<LeadAmplitudeUnitsPerBit>{uv_per_count:g}</LeadAmplitudeUnitsPerBit>"
            "<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits>"
            "<LeadHighLimit>32767</LeadHighLimit><LeadLowLimit>268402688</LeadLowLimit>"
            f"<LeadID>{name}</LeadID><LeadOffsetFirstSample>0</LeadOffsetFirstSample>"
            "<FirstSampleBaseline>0</FirstSampleBaseline><LeadSampleSize>2</LeadSampleSize>"
            f"<LeadOff>FALSE</LeadOff><LeadDataCRC32>{zlib.crc32(data)}</LeadDataCRC32>"
            f"<WaveFormData>{base64.encodebytes(data).decode()}</WaveFormData></LeadData>"
        )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
        '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'
        "<RestingECG><MuseInfo><MuseVersion>8.0.2</MuseVersion></MuseInfo>"
        "<TestDemographics><DataType>RESTING</DataType><AcquisitionTime>03:04:05"
        "</AcquisitionTime><AcquisitionDate>01-02-2020</AcquisitionDate></TestDemographics>\n"
        "<Waveform><WaveformType>Rhythm</WaveformType><NumberofLeads>"
        f"{len(leads)}</NumberofLeads><SampleType>CONTINUOUS_SAMPLES</SampleType>"
        f"<SampleBase>{fs_hz}</SampleBase><SampleExponent>0</SampleExponent>"
        f"{''.join(parts)}</Waveform></RestingECG>\n"
    )
