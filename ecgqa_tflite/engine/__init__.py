# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""From a ``.tflite`` to the constants of the C engine: operators, plan, golden vectors.

One lead is an axiom of the engine: a context (``ecgqa_t``, ``ecgqa_nn_t``) has one stream of
samples, one index map and one plan of the memory, and nothing in it counts leads. Several leads
are several contexts, each with its own workspace; they share the bundle, which is constant.
"""
