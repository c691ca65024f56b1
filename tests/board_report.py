# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""What the bench program of a board writes to its UART, with a line before it."""

LOG = """boot
ecgqa-bench 1
unit cycles
unit_per_s 64000000
spec 00112233445566aa
model 8899aabbccddeeff
workspace 24080
context 76
first 0 6400000 64000000 640 -12
loop 0
segment 0 6400000 64000000 640 -12
segment 1 6400000 57600000 640 100
loop 1
segment 0 6400000 64000000 640 -12
segment 1 6400000 57600000 640 100
layer 0 60000000
layer 1 3000000
softmax 1000
end ok
"""
