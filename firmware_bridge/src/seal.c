/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "seal.h"

uint32_t ecgqa_digest_more(uint32_t digest, const void *data, size_t len)
{
    const uint8_t *const bytes = data;
    for (size_t i = 0u; i < len; ++i) {
        digest = (digest ^ bytes[i]) * UINT32_C(16777619);
    }
    return digest;
}

int ecgqa_is_sealed(const void *structure, size_t digest_at, size_t pointers_at,
                    size_t pointers_bytes)
{
    const uint8_t *const bytes = structure;
    const uint8_t *const pointers = bytes + pointers_at;
    const uint32_t *const digest = (const uint32_t *)(const void *)(bytes + digest_at);
    uint32_t differ = *digest ^ ecgqa_digest_more(ECGQA_DIGEST_START, bytes, digest_at);
    for (size_t i = 0u; i < pointers_bytes; ++i) { /* clang makes of memcmp what newlib may lack */
        differ |= (uint32_t)(pointers[i] ^ pointers[pointers_bytes + i]);
    }
    return differ == 0u;
}
