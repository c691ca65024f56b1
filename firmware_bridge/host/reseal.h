/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* For hosts and tests that fill or alter a struct of constants: what ecgqa_is_sealed asks for.
 *
 *     ecgqa_reseal(ECGQA_SEAL_CWT(&tables)); */
#ifndef ECGQA_RESEAL_H
#define ECGQA_RESEAL_H

#include <string.h>

#include "../src/seal.h"

static inline void ecgqa_reseal(void *structure, size_t digest_at, size_t pointers_at,
                                size_t pointers_bytes)
{
    uint8_t *const bytes = (uint8_t *)structure;
    const uint32_t digest = ecgqa_digest_more(ECGQA_DIGEST_START, bytes, digest_at);
    memcpy(bytes + digest_at, &digest, sizeof digest);
    memcpy(bytes + pointers_at + pointers_bytes, bytes + pointers_at, pointers_bytes);
}

#endif
