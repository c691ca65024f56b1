/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "ecgqa_bench.h"

#include "../src/work.h"

enum { STAGE_CWT, STAGE_NETWORK, STAGE_DECISION, STAGES };
enum { MAX_LAYERS = 32, DIGITS = 20 };

typedef struct {
    uint64_t stage[STAGES];
    uint64_t layer[MAX_LAYERS + 1]; /* the last: scores */
    int8_t score;
} cost_t;

static void put_number(const ecgqa_bench_t *bench, uint64_t value)
{
    char text[DIGITS + 1];
    char *p = &text[DIGITS];
    *p = '\0';
    do {
        *--p = (char)('0' + (char)(value % 10u));
        value /= 10u;
    } while (value != 0u);
    bench->put(p);
}

static void put_signed(const ecgqa_bench_t *bench, int32_t value)
{
    if (value < 0) {
        bench->put("-");
    }
    put_number(bench, (uint64_t)(value < 0 ? -(int64_t)value : (int64_t)value));
}

static void put_pair(const ecgqa_bench_t *bench, const char *name, uint64_t value)
{
    bench->put(name);
    bench->put(" ");
    put_number(bench, value);
    bench->put("\n");
}

static void put_hash(const ecgqa_bench_t *bench, const char *name, uint64_t value)
{
    char text[17];
    for (int i = 15; i >= 0; --i) {
        text[i] = "0123456789abcdef"[value & 15u];
        value >>= 4;
    }
    text[16] = '\0';
    bench->put(name);
    bench->put(" ");
    bench->put(text);
    bench->put("\n");
}

/* In the report's unit, since *last, which becomes now. */
static uint64_t lap(const ecgqa_bench_t *bench, uint32_t *last)
{
    const uint32_t mask = UINT32_MAX >> (32u - bench->counter_bits);
    const uint32_t at = bench->now();
    const uint32_t ticks = (at - *last) & mask;
    *last = at;
    return ((uint64_t)ticks * bench->scale_q8) >> 8;
}

static ecgqa_status_t one_segment(const ecgqa_bench_t *bench, ecgqa_t *ctx, const int16_t *samples,
                                  cost_t *cost)
{
    const size_t segment_len = ctx->bundle->cwt->segment_len;
    const size_t n_layers = ctx->bundle->model->n_layers;
    uint64_t pending = 0;
    uint32_t last;
    size_t taken;
    ecgqa_event_t event;
    ecgqa_work_t did;
    ecgqa_status_t status = ecgqa_push(ctx, samples, segment_len, &taken, &event);
    for (size_t i = 0u; i < STAGES; ++i) {
        cost->stage[i] = 0;
    }
    for (size_t i = 0u; i <= MAX_LAYERS; ++i) {
        cost->layer[i] = 0;
    }
    cost->score = INT8_MIN;
    if (status != ECGQA_OK || taken != segment_len || n_layers > MAX_LAYERS) {
        return status != ECGQA_OK ? status : ECGQA_ERR_ARGUMENT;
    }
    last = bench->now();
    do {
        uint64_t spent;
        status = ecgqa_work(ctx, &did);
        if (status != ECGQA_OK) {
            return status;
        }
        spent = lap(bench, &last);
        if (did.kind == ECGQA_WORK_FRONT_END || did.kind == ECGQA_WORK_INDEX_ROW) {
            cost->stage[STAGE_CWT] += spent;
            continue;
        }
        cost->stage[STAGE_NETWORK] += spent;
        pending += spent;
        if (did.kind == ECGQA_WORK_LAYER_ROW) { /* the parts before it were of the same row */
            cost->layer[did.layer] += pending;
            pending = 0;
        }
    } while (did.kind < ECGQA_WORK_SCORES);
    cost->layer[MAX_LAYERS] = pending;
    if (did.kind == ECGQA_WORK_SCORES) {
        cost->score = (int8_t)did.data[ECGQA_QUALITY_HIGH];
    }
    cost->stage[STAGE_DECISION] = lap(bench, &last);
    return ECGQA_OK;
}

static uint64_t put_segment(const ecgqa_bench_t *bench, const char *what, uint32_t index,
                            const cost_t *cost)
{
    uint64_t total = 0;
    bench->put(what);
    bench->put(" ");
    put_number(bench, index);
    for (size_t i = 0u; i < STAGES; ++i) {
        bench->put(" ");
        put_number(bench, cost->stage[i]);
        total += cost->stage[i];
    }
    bench->put(" ");
    put_signed(bench, cost->score);
    bench->put("\n");
    return total;
}

static void put_layers(const ecgqa_bench_t *bench, const ecgqa_t *ctx, const cost_t *cost)
{
    for (size_t i = 0u; i < ctx->bundle->model->n_layers; ++i) {
        bench->put("layer ");
        put_number(bench, i);
        bench->put(" ");
        put_number(bench, cost->layer[i]);
        bench->put("\n");
    }
    put_pair(bench, "softmax", cost->layer[MAX_LAYERS]);
}

ecgqa_status_t ecgqa_bench_run(const ecgqa_bench_t *bench, ecgqa_t *ctx)
{
    const size_t segment_len = ctx->bundle->cwt->segment_len;
    const uint64_t least = (uint64_t)bench->min_s * bench->unit_per_s;
    uint64_t spent = 0;
    cost_t cost;
    ecgqa_status_t status;
    put_pair(bench, "ecgqa-bench", ECGQA_BENCH_FORMAT);
    bench->put("unit ");
    bench->put(bench->unit);
    bench->put("\n");
    put_pair(bench, "unit_per_s", bench->unit_per_s);
    put_hash(bench, "spec", ctx->bundle->cwt->spec_hash);
    put_hash(bench, "model", ctx->bundle->model->model_id);
    put_pair(bench, "workspace", ctx->bundle->workspace_bytes);
    put_pair(bench, "context", sizeof *ctx);
    status = one_segment(bench, ctx, bench->segments, &cost);
    if (status == ECGQA_OK) {
        (void)put_segment(bench, "first", 0, &cost);
    }
    for (uint32_t loop = 0u; status == ECGQA_OK && (loop < bench->loops || spent < least); ++loop) {
        put_pair(bench, "loop", loop);
        for (uint32_t i = 0u; status == ECGQA_OK && i < bench->n_segments; ++i) {
            status = one_segment(bench, ctx, bench->segments + i * segment_len, &cost);
            if (status == ECGQA_OK) {
                spent += put_segment(bench, "segment", i, &cost);
            }
        }
    }
    if (status == ECGQA_OK) {
        put_layers(bench, ctx, &cost);
    }
    bench->put("end ");
    bench->put(ecgqa_status_str(status));
    bench->put("\n");
    return status;
}
