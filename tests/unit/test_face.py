# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``import ecgqa_tflite``: five names, lazily; two of them are submodules' names too."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import pytest

import ecgqa_tflite
from ecgqa_tflite.bundle.request import Converted, convert


def in_a_fresh_interpreter(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_it_imports_nothing_more() -> None:
    in_a_fresh_interpreter(
        "import sys, ecgqa_tflite\n"
        "assert not [m for m in sys.modules if m.startswith('ecgqa_tflite.')]\n"
        "assert not {'numpy', 'wfdb', 'click', 'pandas'} & set(sys.modules)\n"
        "ecgqa_tflite.read_recording\n"
        "assert 'wfdb' not in sys.modules and 'ecgqa_tflite.assess' not in sys.modules\n"
    )


ORDERS = (
    "import ecgqa_tflite as e",
    "import ecgqa_tflite.assess, ecgqa_tflite.convert.quantisation, ecgqa_tflite as e",
    "from ecgqa_tflite.assess import Assessor; import ecgqa_tflite as e",
    "import ecgqa_tflite as e; e.assess; e.convert; import ecgqa_tflite.assess, "
    "ecgqa_tflite.convert.quantisation",
)


@pytest.mark.parametrize("first", ORDERS)
def test_a_name_is_a_function_whatever_was_imported_before(first: str) -> None:
    in_a_fresh_interpreter(
        f"{first}\n"
        "from types import FunctionType\n"
        "import sys\n"
        "assert isinstance(e.assess, FunctionType) and isinstance(e.convert, FunctionType)\n"
        "from ecgqa_tflite.assess import Assessor, assess\n"
        "from ecgqa_tflite.convert import quantisation\n"
        "from ecgqa_tflite import convert\n"
        "assert e.assess is assess and e.Assessor is Assessor and e.convert is convert\n"
        "assert quantisation is sys.modules['ecgqa_tflite.convert.quantisation']\n"
    )


def test_its_names() -> None:
    assert set(ecgqa_tflite.__all__) == {"__version__", *ecgqa_tflite._HOME}
    assert set(ecgqa_tflite.__all__) <= set(dir(ecgqa_tflite))
    assert ecgqa_tflite.convert is convert
    with pytest.raises(AttributeError, match="no attribute 'asses'"):
        _ = ecgqa_tflite.asses  # type: ignore[attr-defined]


def test_type_checkers_read_its_types() -> None:
    assert (resources.files(ecgqa_tflite) / "py.typed").is_file()
    assert convert.__annotations__["return"] == Converted.__name__
