/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The front end's innermost loops for Cortex-M with the DSP extension: the same bytes as the C of
 * cwt.c and fft.c. In assembly, whole, for compilers run out of registers in each; r9 is left
 * alone. */
#include "fast.h"

#include "cwt_dsp.h"

typedef int ecgqa_cwt_dsp_c_is_not_empty;

#if ECGQA_DSP

/* ---- columns --------------------------------------------------------------------------------- */

typedef char ecgqa_assert_columns_words[sizeof(ecgqa_cwt_dsp_columns_t) == 36u ? 1 : -1];

/* ecgqa_dot8_s16 of the samples at `x` and the taps in r4 to r7. */
#define DOT8(sum, x)                     \
    "ldr r8, [" x "]\n\t"                \
    "smuad " sum ", r8, r4\n\t"          \
    "ldr r8, [" x ", #4]\n\t"            \
    "smlad " sum ", r8, r5, " sum "\n\t" \
    "ldr r8, [" x ", #8]\n\t"            \
    "smlad " sum ", r8, r6, " sum "\n\t" \
    "ldr r8, [" x ", #12]\n\t"           \
    "smlad " sum ", r8, r7, " sum "\n\t"

#define ABS(to, a)                          \
    "eor " to ", " a ", " a ", asr #31\n\t" \
    "sub " to ", " to ", " a ", asr #31\n\t"

/* `folded` of cwt.c: along in r4, across in r5. */
#define FOLDED(shift)                    \
    "sub r6, r5, r4, asr #" shift "\n\t" \
    "add r4, r4, r5, asr #" shift "\n\t" ABS("r5", "r6")

__attribute__((naked, noinline)) void ecgqa_cwt_dsp_columns(const ecgqa_cwt_dsp_columns_t *columns
                                                            __attribute__((unused)))
{
    __asm__ volatile("push {r4-r8, r10, r11, lr}\n\t"
                     "ldmia r0, {r1-r8, r10}\n\t"
                     "push {r6-r8, r10}\n\t"
                     "mov r0, r4\n\t"
                     "mov r12, r5\n"
                     "1:\n\t"
                     "add lr, r3, r2\n\t"
                     "ldr r4, [lr]\n\t"
                     "ldr r5, [lr, #4]\n\t"
                     "ldr r6, [lr, #8]\n\t"
                     "ldr r7, [lr, #12]\n\t"
                     "add lr, r0, r12\n\t" DOT8("r10", "r0") DOT8("r11", "lr") ABS("r4", "r10")
                         ABS("r5", "r11") "sub r6, r5, r4\n\t"
                                          "add r4, r4, r5\n\t" ABS("r5", "r6") FOLDED("1")
                                              FOLDED("2") FOLDED("3") FOLDED(
                                                  "4") "add r4, r4, r5, asr #5\n\t"
                                                       "str r4, [r1], #4\n\t"
                                                       "ldmia.w sp, {r4-r7}\n\t"
                                                       "add r0, r0, r5\n\t"
                                                       "adds r2, r2, r4\n\t"
                                                       "bcc 2f\n\t" /* the phase is still below 0 */
                                                       "sub r2, r2, r6\n\t"
                                                       "add r0, r0, #2\n"
                                                       "2:\n\t"
                                                       "cmp r1, r7\n\t"
                                                       "bne 1b\n\t"
                                                       "add sp, sp, #16\n\t"
                                                       "pop {r4-r8, r10, r11, pc}");
}

/* ---- butterflies ----------------------------------------------------------------------------- */

typedef char ecgqa_assert_stage_words[sizeof(ecgqa_cwt_dsp_stage_t) == 36u ? 1 : -1];

/* half_mul of fft.c: a value from `at`, read to `a` and `b`, times the twiddle at `w` on the stack;
 * SMMLAR adds what SMMULR makes. */
#define HALF_MUL(re, im, a, b, at, w)      \
    "ldrd " a ", " b ", [" at "]\n\t"      \
    "ldr r6, [sp, #" w "]\n\t"             \
    "smmulr " re ", " a ", r6\n\t"         \
    "smmulr " im ", " b ", r6\n\t"         \
    "ldr r6, [sp, #" w " + 4]\n\t"         \
    "smmulr " b ", " b ", r6\n\t"          \
    "smmlar " im ", " a ", r6, " im "\n\t" \
    "sub " re ", " re ", " b "\n\t"

/* store_four of fft.c at r0 to r3, a span apart, of values that are turned: halves are doubled in
 * the additions. */
#define TURNED_FOUR                                                     \
    HALF_MUL("r7", "r8", "r4", "r5", "r2", "8")                         \
    HALF_MUL("r10", "r11", "r4", "r5", "r3", "16")                      \
    "add r4, r7, r10\n\t"                                               \
    "sub r7, r7, r10\n\t"                                               \
    "add r5, r8, r11\n\t"                                               \
    "sub r8, r8, r11\n\t" HALF_MUL("r12", "lr", "r10", "r11", "r1",     \
                                   "0") "ldrd r10, r11, [r0]\n\t"       \
                                        "add r6, r10, r12, lsl #1\n\t"  \
                                        "sub r10, r10, r12, lsl #1\n\t" \
                                        "add r12, r11, lr, lsl #1\n\t"  \
                                        "sub r11, r11, lr, lsl #1\n\t"  \
                                        "add lr, r6, r4, lsl #1\n\t"    \
                                        "sub r6, r6, r4, lsl #1\n\t"    \
                                        "add r4, r12, r5, lsl #1\n\t"   \
                                        "sub r12, r12, r5, lsl #1\n\t"  \
                                        "strd lr, r4, [r0]\n\t"         \
                                        "strd r6, r12, [r2]\n\t"        \
                                        "add r4, r10, r8, lsl #1\n\t"   \
                                        "sub r5, r11, r7, lsl #1\n\t"   \
                                        "strd r4, r5, [r1]\n\t"         \
                                        "sub r4, r10, r8, lsl #1\n\t"   \
                                        "add r5, r11, r7, lsl #1\n\t"   \
                                        "strd r4, r5, [r3]\n\t"

/* The twiddle `offset` bytes from both tables (r5, r6) to `w` on the stack. */
#define TWIDDLE(offset, w)         \
    "ldr r7, [r5, " offset "]\n\t" \
    "ldr r8, [r6, " offset "]\n\t" \
    "strd r7, r8, [sp, #" w "]\n\t"

/* On the stack lie three twiddles, then a copy of the stage. */
__attribute__((naked, noinline)) void ecgqa_cwt_dsp_stage(const ecgqa_cwt_dsp_stage_t *stage
                                                          __attribute__((unused)))
{
    __asm__ volatile("push {r4-r8, r10, r11, lr}\n\t"
                     "ldmia r0, {r1-r8, r10}\n\t"
                     "push {r1-r8, r10}\n\t"
                     "sub sp, sp, #24\n"
                     "1:\n\t"
                     "ldr r4, [sp, #40]\n\t"
                     "ldrd r5, r6, [sp, #32]\n\t"
                     "add r10, r4, r4, lsl #1\n\t" TWIDDLE("r4", "8") TWIDDLE("r4, lsl #1", "0")
                         TWIDDLE("r10", "16") "ldr r7, [sp, #44]\n\t"
                                              "add r4, r4, r7\n\t"
                                              "str r4, [sp, #40]\n\t"
                                              "ldrd r0, r4, [sp, #48]\n\t"
                                              "add r5, r0, #8\n\t"
                                              "str r5, [sp, #48]\n\t"
                                              "add r1, r0, r4\n\t"
                                              "add r2, r1, r4\n\t"
                                              "add r3, r2, r4\n"
                                              "2:\n\t" TURNED_FOUR "ldrd r4, r5, [sp, #24]\n\t"
                                              "add r0, r0, r4\n\t"
                                              "add r1, r1, r4\n\t"
                                              "add r2, r2, r4\n\t"
                                              "add r3, r3, r4\n\t"
                                              "cmp r0, r5\n\t"
                                              "blo 2b\n\t"
                                              "ldr r0, [sp, #48]\n\t"
                                              "ldr r1, [sp, #56]\n\t"
                                              "cmp r0, r1\n\t"
                                              "bne 1b\n\t"
                                              "add sp, sp, #60\n\t"
                                              "pop {r4-r8, r10, r11, pc}");
}

/* ---- bins ------------------------------------------------------------------------------------ */

typedef char ecgqa_assert_bins_words[sizeof(ecgqa_cwt_dsp_bins_t) == 44u ? 1 : -1];

/* psi_at of cwt.c, and on: SMUSDX takes psi[1] * between - psi[0] * (between - 2^15). */
#define PSI(to, scratch)                             \
    "ubfx " to ", r2, #1, #15\n\t"                   \
    "lsr " scratch ", r2, #16\n\t"                   \
    "add " to ", " to ", " to ", lsl #16\n\t"        \
    "ldr " scratch ", [r1, " scratch ", lsl #1]\n\t" \
    "orr " to ", " to ", #0x80000000\n\t"            \
    "smusdx " to ", " to ", " scratch "\n\t"         \
    "add r2, r2, r3\n\t"                             \
    "add " to ", " to ", #16384\n\t"                 \
    "asr " to ", " to ", #15\n\t"

#define ADD_SIZE(a) ABS("lr", a) "add r6, r6, lr\n\t"

__attribute__((naked, noinline)) uint32_t ecgqa_cwt_dsp_weigh(const ecgqa_cwt_dsp_bins_t *bins
                                                              __attribute__((unused)))
{
    __asm__ volatile("push {r4-r8, r10, r11, lr}\n\t"
                     "ldr r1, [r0, #40]\n\t"
                     "push {r1, r2}\n\t"
                     "ldmia r0, {r0-r8, r10}\n"
                     "1:\n\t" PSI("r11", "r12")
                         PSI("r12", "lr") "ldr lr, [r0], #4\n\t"
                                          "smlabb r11, r11, lr, r5\n\t"
                                          "smlabt r12, r12, lr, r5\n\t"
                                          "asr r11, r11, r4\n\t"
                                          "asr r12, r12, r4\n\t" ADD_SIZE("r11")
                                              ADD_SIZE("r12") "ldrh lr, [r8], #2\n\t"
                                                              "lsr lr, lr, r10\n\t"
                                                              "add lr, r7, lr, lsl #3\n\t"
                                                              "strd r11, r12, [lr]\n\t"
                                                              "ldr lr, [sp]\n\t"
                                                              "cmp r0, lr\n\t"
                                                              "bne 1b\n\t"
                                                              "mov r0, r6\n\t"
                                                              "add sp, sp, #8\n\t"
                                                              "pop {r4-r8, r10, r11, pc}");
}

/* ---- zeros ----------------------------------------------------------------------------------- */

__attribute__((naked, noinline)) void
ecgqa_cwt_dsp_clear(int32_t *z __attribute__((unused)), const int32_t *end __attribute__((unused)))
{
    __asm__ volatile("push {r4-r8, lr}\n\t"
                     "movs r2, #0\n\t"
                     "movs r3, #0\n\t"
                     "movs r4, #0\n\t"
                     "movs r5, #0\n\t"
                     "movs r6, #0\n\t"
                     "movs r7, #0\n\t"
                     "mov r8, r2\n\t"
                     "mov r12, r2\n"
                     "1:\n\t"
                     "stmia r0!, {r2-r8, r12}\n\t"
                     "cmp r0, r1\n\t"
                     "bne 1b\n\t"
                     "pop {r4-r8, pc}");
}

#endif
