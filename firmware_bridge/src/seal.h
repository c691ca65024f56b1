/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Whether a struct of constants is as the exporter made it: a digest over its numbers, and its
 * pointers twice. It says nothing of who made it. */
#ifndef ECGQA_SEAL_H
#define ECGQA_SEAL_H

#include <stddef.h>
#include <stdint.h>

#define ECGQA_DIGEST_START UINT32_C(2166136261)

/* FNV-1a, 32 bits, continued: changing one byte always changes the digest. */
uint32_t ecgqa_digest_more(uint32_t digest, const void *data, size_t len);

/* The struct's digest is of the bytes before it, and `pointers_bytes` from `pointers_at` on are
 * followed by the same once more. */
int ecgqa_is_sealed(const void *structure, size_t digest_at, size_t pointers_at,
                    size_t pointers_bytes);

/* The arguments of ecgqa_is_sealed for a struct whose first pointer is `first`. */
#define ECGQA_SEAL(type, first, structure)                      \
    (structure), offsetof(type, digest), offsetof(type, first), \
        offsetof(type, again) - offsetof(type, first)

#define ECGQA_SEAL_CWT(s) ECGQA_SEAL(ecgqa_cwt_tables_t, radices, s)
#define ECGQA_SEAL_LAYER(s) ECGQA_SEAL(ecgqa_nn_layer_t, weights, s)
#define ECGQA_SEAL_MODEL(s) ECGQA_SEAL(ecgqa_nn_model_t, lut_s8, s)
#define ECGQA_SEAL_GOLDEN(s) ECGQA_SEAL(ecgqa_golden_t, samples, s)
#define ECGQA_SEAL_BUNDLE(s) ECGQA_SEAL(ecgqa_bundle_t, cwt, s)
#define ECGQA_SEAL_SOFTMAX(s) (s), offsetof(ecgqa_nn_softmax_t, digest), 0u, 0u

#endif
