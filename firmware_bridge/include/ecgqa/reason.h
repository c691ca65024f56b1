/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Why a segment is what it is. One list makes the C enum, the strings and, checked by a test,
 * Python's SegmentStatus. All but OK are low quality without the network. */
#ifndef ECGQA_REASON_H
#define ECGQA_REASON_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, text) */
#define ECGQA_REASONS(X)                                                                        \
    X(OK, 0, "ok")           /* the network has looked at the segment */                        \
    X(FLAT, 1, "flat")       /* constant, or nothing but a baseline */                          \
    X(HELD, 2, "held")       /* 1 s or so of one value or of dither, or 1.5 s of bare hum */    \
    X(CLIPPED, 3, "clipped") /* a tenth of the samples or more lie on the segment's extremes */ \
    X(GAP, 4, "gap")         /* samples are missing: lead-off, a lost packet */                 \
    X(SMOOTH, 5, "smooth")   /* nothing as steep as a QRS complex: a pulse wave, breathing */

typedef enum {
#define ECGQA_REASON_VALUE(name, value, text) ECGQA_REASON_##name = (value),
    ECGQA_REASONS(ECGQA_REASON_VALUE)
#undef ECGQA_REASON_VALUE
        ECGQA_REASON_LAST = ECGQA_REASON_SMOOTH /* C++98 takes no comma before the brace */
} ecgqa_reason_t;

/* "ok", "flat", ...; "unknown reason" for any other value. */
const char *ecgqa_reason_str(ecgqa_reason_t reason);

#ifdef __cplusplus
}
#endif
#endif
