# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# The library's sources, for every CMake-based build (CMakeLists.txt, zephyr/). A test holds the
# list against src/.
set(ECGQA_SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/src/condition.c
    ${CMAKE_CURRENT_LIST_DIR}/src/cwt.c
    ${CMAKE_CURRENT_LIST_DIR}/src/cwt_dsp.c
    ${CMAKE_CURRENT_LIST_DIR}/src/ecgqa.c
    ${CMAKE_CURRENT_LIST_DIR}/src/fft.c
    ${CMAKE_CURRENT_LIST_DIR}/src/lost.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn_check.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn_few.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn_kernels.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn_kernels_dsp.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn_kernels_mve.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn_kernels_v6m.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn_layers.c
    ${CMAKE_CURRENT_LIST_DIR}/src/nn_softmax.c
    ${CMAKE_CURRENT_LIST_DIR}/src/seal.c
    ${CMAKE_CURRENT_LIST_DIR}/src/selftest.c
    ${CMAKE_CURRENT_LIST_DIR}/src/status.c
)
set(ECGQA_INCLUDE_DIR ${CMAKE_CURRENT_LIST_DIR}/include)
