/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Row-streaming int8 network: index rows of the scalogram in, int8 scores out.
 *
 *     while ((slot = ecgqa_nn_row_slot(net)) != NULL) { write a row; ecgqa_nn_row_ready(net); }
 *     while (ecgqa_nn_step(net, &event) == ECGQA_OK && event.kind != ECGQA_NN_IDLE) { }
 *
 * The same bytes as TensorFlow Lite's reference kernels. A layer keeps the input rows that its next
 * output row needs, max pooling is merged into the rows of the layer after it, and fully connected
 * and mean layers accumulate, so the image and its activations never exist as a whole.
 *
 * The model is a constant that the planner (ecgqa_tflite/engine) makes of a .tflite: shapes,
 * requantisation, packed weights, and the plan: where in the workspace each buffer lies. */
#ifndef ECGQA_NN_H
#define ECGQA_NN_H

#include <stddef.h>
#include <stdint.h>

#include "ecgqa/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Meaning and layout of the model; generated files refuse another number. */
#define ECGQA_NN_FORMAT 3

/* Alignment of the workspace and of buffers that hold words, bytes. */
#define ECGQA_NN_ALIGN 8u

/* X(name, kernel, accumulates, weights, scaled)
 *   kernel       run_<kernel> computes it (nn_layers.c), <kernel>_is_valid checks it (nn_check.c)
 *   accumulates  1: a row at a time into accumulators that stay until the last one
 *   weights      <weights>_weights_bytes says how many there are (selftest.c)
 *   scaled       1: it has bias, multiplier_q31 and shift
 * MAX_POOL_2D: where it can't be merged into a convolution; MEAN: over rows and columns. */
#define ECGQA_NN_KIND_LIST(X)                    \
    X(CONV_2D, conv, 0, packed, 1)               \
    X(DEPTHWISE_CONV_2D, depthwise, 0, plain, 1) \
    X(MAX_POOL_2D, pool, 0, no, 0)               \
    X(AVERAGE_POOL_2D, pool, 0, no, 0)           \
    X(MEAN, accumulating, 1, no, 1)              \
    X(FULLY_CONNECTED, accumulating, 1, packed, 1)

typedef enum {
#define ECGQA_NN_KIND_ENUM(name, kernel, accumulates, weights, scaled) ECGQA_NN_##name,
    ECGQA_NN_KIND_LIST(ECGQA_NN_KIND_ENUM)
#undef ECGQA_NN_KIND_ENUM
        ECGQA_NN_KIND_LAST = ECGQA_NN_FULLY_CONNECTED /* C++98 takes no comma before the brace */
} ecgqa_nn_kind_t;

typedef struct {
    uint16_t rows, cols, channels;
} ecgqa_nn_shape_t;

/* A sliding window; what lies right of and below the input follows from the output's shape. */
typedef struct {
    uint8_t rows, cols; /* 0: there is none */
    uint8_t stride_rows, stride_cols;
    uint8_t pad_top, pad_left;
} ecgqa_nn_window_t;

/* One layer with the max pooling that follows it. int8 tensors are rows x cols x channels.
 *
 * weights, by kind:
 *   CONV_2D          K = kernel rows * kernel cols * input channels, in that order, are cut into
 *                    `runs` runs of run_len: one run of all where taps are gathered, else a run a
 *                    kernel row, which lies contiguously in an input row. Where from_index is 1 and
 *                    a chunk holds all K, input channels come first.
 *   FULLY_CONNECTED  a run an input row.
 *   Both: [pair of output channels][run][run_len rounded up to even][2]: the even channel's weight
 *   plus 128 as uint8, then the odd channel's as int8; what rounding up adds is zero. 4-byte
 *   aligned; ECGQA_NN_WEIGHTS_TAIL more bytes may be read (and not used) at the end.
 *   DEPTHWISE_CONV_2D  [kernel row][kernel col][output channel], int8.
 * bias, multiplier_q31, shift: [output channels rounded up to even]. bias holds the zero point's
 * part: bias - zero_point * sum of weights; of CONV_2D and FULLY_CONNECTED, whose inputs are taken
 * with 128 added, bias - (zero_point + 128) * sum of weights; of a MEAN, -zero_point * count.
 * scale = multiplier_q31 * 2^(shift - 31), 2^29 <= multiplier_q31, -31 < shift <= 0.
 *
 * `digest`, here and below: FNV-1a, 32 bits, of the bytes before it, which are the same on every
 * core, no padding lying among them; pointers are there twice. So ecgqa_nn_init sees a changed bit
 * in either; what the pointers lead to is ecgqa_selftest's. */
typedef struct {
    uint8_t kind; /* ecgqa_nn_kind_t */
    int8_t in_zero_point, out_zero_point;
    int8_t act_min, act_max;  /* of the fused activation */
    uint8_t from_index;       /* 1: input rows are indices, coloured at the gather */
    uint8_t gather;           /* 1: taps are gathered (indices, padding, short runs) */
    ecgqa_nn_window_t kernel; /* FULLY_CONNECTED, MEAN: 1 x 1, a row at a time */
    ecgqa_nn_window_t pool;
    uint8_t reserved[3];
    ecgqa_nn_shape_t in;
    ecgqa_nn_shape_t out;    /* before the merged pooling; rows and columns that nothing
                                         needs are left out */
    ecgqa_nn_shape_t pooled; /* after it; the same as out where there is none */
    uint16_t runs, run_len;
    /* The plan: positions in the workspace, bytes. */
    uint16_t chunk_len; /* of CONV_2D: inputs of one pixel that a kernel call takes at most */
    uint16_t patch_bytes;
    uint16_t chunks;        /* of CONV_2D: chunks of all its runs */
    uint16_t chunks_a_step; /* of CONV_2D: fewer where a block is more than a step */
    uint16_t channel_block; /* output channels of a block, even */
    uint16_t blocks_a_step; /* blocks of two pixels (CONV_2D) or one that a step does */
    uint16_t window_rows, carry_rows;
    uint32_t window_at;       /* input rows, window_rows of them */
    uint32_t carry_at;        /* carry_rows more that pooling starts before the oldest go */
    uint32_t accumulators_at; /* int32 [2][channel_block]; FULLY_CONNECTED, MEAN: [channels
                                         rounded up to even], kept from row to row */
    uint32_t gather_at;       /* int8 [2][chunk_len], where gather is 1 */
    uint32_t patch_at;        /* patch_bytes, for the kernels, apart from these two */
    uint32_t digest;          /* of the numbers above */
    const void *weights;
    const int32_t *bias;
    const int32_t *multiplier_q31;
    const int8_t *shift;
    const void *again[4]; /* the pointers above, once more */
} ecgqa_nn_layer_t;

/* Longest chunk. */
#define ECGQA_NN_MAX_CHUNK 512u

/* Least patch: one block of inputs of any kernel. */
#define ECGQA_NN_MIN_PATCH 64u

/* Bytes after packed weights that may be read and are not used. */
#define ECGQA_NN_WEIGHTS_TAIL 32u

/* The engine's own state, bytes a layer. */
#define ECGQA_NN_PROGRESS_BYTES 12u

/* Softmax over the last layer's channels, as TensorFlow Lite's reference: 5 integer bits. */
typedef struct {
    int32_t multiplier_q31; /* of beta * quant_scale * 2^26, in [2^30, 2^31) */
    uint32_t left_shift;
    int32_t diff_min; /* below this difference from the maximum a score is least */
    uint32_t digest;  /* of the numbers above */
} ecgqa_nn_softmax_t;

typedef struct {
    uint16_t format; /* ECGQA_NN_FORMAT */
    uint16_t n_layers;
    uint16_t rows, cols;          /* of the index map */
    uint64_t spec_hash;           /* first 8 bytes of the spec's SHA-256 */
    uint64_t model_id;            /* first 8 bytes of the network's digest */
    uint32_t progress_at;         /* ECGQA_NN_PROGRESS_BYTES a layer and one more */
    uint32_t logits_at;           /* int8 [classes] */
    uint32_t scores_at;           /* int8 [classes] */
    uint32_t idle_at, idle_bytes; /* a region that holds nothing between rows: while
                                     ecgqa_nn_next_row's slot is open and being written */
    uint32_t workspace_bytes;
    uint16_t channels; /* of the image */
    uint16_t classes;
    uint32_t digest;      /* of the numbers above */
    const int8_t *lut_s8; /* [256][channels]: colour of an index, minus 128 */
    const ecgqa_nn_layer_t *layers;
    const ecgqa_nn_softmax_t *softmax; /* NULL: the scores are the logits */
    const void *again[3];              /* the pointers above, once more */
} ecgqa_nn_model_t;

/* Context; the caller owns it and touches no field. */
typedef struct {
    const ecgqa_nn_model_t *model;
    uint8_t *workspace;
} ecgqa_nn_t;

typedef enum {
    ECGQA_NN_IDLE = 0, /* nothing to do until the next index row, or done */
    ECGQA_NN_WORKED,   /* part of a row was computed */
    ECGQA_NN_ROW,      /* `layer` finished `row` of its (pooled) output: `data`, `len` bytes; NULL
                          and 0 for a row that the next layer's stride skips */
    ECGQA_NN_SCORES    /* the scores are there: `data`, `len` bytes; `layer` is n_layers */
} ecgqa_nn_event_kind_t;

/* What a step did; `data` is valid until the next step. */
typedef struct {
    ecgqa_nn_event_kind_t kind;
    uint16_t layer;
    uint16_t row;
    const int8_t *data;
    size_t len;
} ecgqa_nn_event_t;

/* Bytes of workspace; 0 for a null model or one of another format. */
size_t ecgqa_nn_workspace_bytes(const ecgqa_nn_model_t *model);

/* Checks the model's structure, takes the workspace (ECGQA_NN_ALIGN aligned) and resets.
 * ERR_ARGUMENT: null or misaligned; ERR_FORMAT: a model of another format or one that makes no
 * sense; ERR_DAMAGED: not as it was made; ERR_WORKSPACE: too few bytes. Nothing is written in these
 * cases. */
ecgqa_status_t ecgqa_nn_init(ecgqa_nn_t *net, const ecgqa_nn_model_t *model, void *workspace,
                             size_t bytes);

/* Forget the rows so far; the next index row is row 0. */
ecgqa_status_t ecgqa_nn_reset(ecgqa_nn_t *net);

/* Where to write the next index row, uint8 [cols]; NULL while steps are due, when all rows are in,
 * or when the network has no use for that row: then ecgqa_nn_row_ready alone goes past it. */
uint8_t *ecgqa_nn_row_slot(ecgqa_nn_t *net);

/* The next index row; rows when all are in. */
uint16_t ecgqa_nn_next_row(const ecgqa_nn_t *net);

/* The row is in its slot. ERR_NOT_READY: steps are due or all rows are in. */
ecgqa_status_t ecgqa_nn_row_ready(ecgqa_nn_t *net);

/* One bounded piece of work: at most blocks_a_step blocks of one row of one layer, or chunks_a_step
 * chunks of one block; of a FULLY_CONNECTED or MEAN layer, one input row. ERR_DAMAGED: something
 * else wrote to the workspace, and ecgqa_nn_reset starts again. */
ecgqa_status_t ecgqa_nn_step(ecgqa_nn_t *net, ecgqa_nn_event_t *event);

/* The above for one index row, uint8 [cols], until there is nothing left to do. */
ecgqa_status_t ecgqa_nn_push_row(ecgqa_nn_t *net, const uint8_t *index_row);

/* Scores, int8 [classes]; ERR_NOT_READY before the last row's steps are done. */
ecgqa_status_t ecgqa_nn_scores(const ecgqa_nn_t *net, const int8_t **scores);

#ifdef __cplusplus
}
#endif
#endif
