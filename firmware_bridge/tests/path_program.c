/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The whole path on a board: the self-test, then each segment of a file of int16 to a decision.
 *
 * Prints a compact report: workspace and stack in bytes, digests (FNV-1a) of what each segment's
 * stages gave, and its decision. Arguments: the file and how: `whole` (ecgqa_classify), `slices`
 * (ecgqa_classify_step) or `inside` (digests of all rows and the scores instead of a decision).
 * Exit status: 0, or the negated ecgqa_status_t. */
#include "ecgqa_bundle.h"

#include "../src/work.h"
#include "marks.h"
#include "platform.h"

enum { CHUNK_LEN = 32, MAX_LAYERS = 32 };

#define FNV_START UINT32_C(2166136261)

MARK(mark_start)
MARK(mark_end)
MARK(mark_classify)
MARK(mark_classified)

static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

typedef char workspace_is_known_at_compile_time[sizeof workspace >= ECGQA_WORKSPACE_BYTES ? 1 : -1];

static void say(const char *what, int32_t value)
{
    platform_puts(what);
    platform_put_i32(value);
    platform_puts("\n");
}

static uint32_t digest_more(uint32_t digest, const uint8_t *data, size_t len)
{
    for (size_t i = 0u; i < len; ++i) {
        digest = (digest ^ data[i]) * UINT32_C(16777619);
    }
    return digest;
}

/* Fill the context with the next segment (or the next hop) of the file; 0 at the end. */
static int next_segment(int file)
{
    int16_t samples[CHUNK_LEN];
    ecgqa_event_t event = ECGQA_EVENT_NONE;
    size_t wanted = (size_t)ecgqa_bundle.cwt->segment_len - context.n_samples;
    size_t taken;
    while (wanted > 0u) {
        const size_t n = wanted < CHUNK_LEN ? wanted : (size_t)CHUNK_LEN;
        if (platform_read(file, samples, n * sizeof samples[0]) != n * sizeof samples[0]) {
            return 0;
        }
        if (ecgqa_push(&context, samples, n, &taken, &event) != ECGQA_OK || taken != n) {
            return 0;
        }
        wanted -= n;
    }
    return event == ECGQA_EVENT_SEGMENT;
}

static void say_digest(uint32_t digest)
{
    platform_puts(" ");
    platform_put_hex32(digest);
}

/* One segment, slice by slice: digests of the index map and of each layer's rows, the scores. */
static ecgqa_status_t look_inside(void)
{
    uint32_t index_map = FNV_START;
    uint32_t layers[MAX_LAYERS];
    const uint8_t *scores = NULL;
    ecgqa_status_t status;
    ecgqa_work_t did;
    for (size_t i = 0u; i < MAX_LAYERS; ++i) {
        layers[i] = FNV_START;
    }
    do {
        status = ecgqa_work(&context, &did);
        if (status != ECGQA_OK) {
            return status;
        }
        if (did.kind == ECGQA_WORK_INDEX_ROW) {
            index_map = digest_more(index_map, did.data, did.len);
        } else if (did.kind == ECGQA_WORK_LAYER_ROW) {
            layers[did.layer] = digest_more(layers[did.layer], did.data, did.len);
        } else if (did.kind == ECGQA_WORK_SCORES) {
            scores = did.data;
        }
    } while (did.kind < ECGQA_WORK_SCORES);
    platform_puts("inside");
    say_digest(index_map);
    for (size_t i = 0u; i < ecgqa_bundle.model->n_layers; ++i) {
        say_digest(layers[i]);
    }
    for (size_t i = 0u; scores != NULL && i < ecgqa_bundle.model->classes; ++i) {
        platform_puts(" ");
        platform_put_i32((int8_t)scores[i]);
    }
    platform_puts("\n");
    return ECGQA_OK;
}

static void say_decision(const ecgqa_decision_t *decision)
{
    platform_puts("decision ");
    platform_put_i32((int32_t)decision->segment);
    platform_puts(" ");
    platform_put_i32(decision->score_s8);
    platform_puts(" ");
    platform_put_i32(decision->quality);
    platform_puts(" ");
    platform_put_i32(decision->reason);
    platform_puts("\n");
}

static ecgqa_status_t in_slices(ecgqa_decision_t *decision)
{
    uint8_t done = 0;
    ecgqa_status_t status = ECGQA_OK;
    while (status == ECGQA_OK && done == 0u) {
        mark_start();
        status = ecgqa_classify_step(&context, decision, &done);
        mark_end();
    }
    return status;
}

static ecgqa_status_t self_test(void)
{
    ecgqa_divergence_t first;
    const ecgqa_status_t status = ecgqa_selftest(&context, &first);
    platform_puts("selftest ");
    platform_put_i32(status);
    if (status == ECGQA_ERR_SELFTEST) {
        platform_puts(" ");
        platform_put_i32(first.stage);
        platform_puts(" ");
        platform_put_i32(first.layer);
        platform_puts(" ");
        platform_put_i32(first.row);
        platform_puts(" ");
        platform_put_i32((int32_t)first.index);
    }
    platform_puts("\n");
    return status;
}

static ecgqa_status_t run(int file, const char *how)
{
    ecgqa_decision_t decision;
    ecgqa_status_t status = self_test();
    while (status == ECGQA_OK && next_segment(file)) {
        if (how[0] == 'i') {
            status = look_inside();
        } else if (how[0] == 's') {
            status = in_slices(&decision);
        } else {
            platform_stack_paint();
            mark_classify();
            status = ecgqa_classify(&context, &decision);
            mark_classified();
            say("stack ", (int32_t)platform_stack_used_bytes());
        }
        if (status == ECGQA_OK && how[0] != 'i') {
            say_decision(&decision);
        }
    }
    return status;
}

int board_main(void)
{
    ecgqa_status_t status;
    char path[256];
    char how[16];
    int file;
    if (!platform_argument(1, path, sizeof path) || !platform_argument(2, how, sizeof how)) {
        return 64;
    }
    say("workspace ", (int32_t)ecgqa_workspace_bytes(&ecgqa_bundle));
    say("context ", (int32_t)sizeof context);
    status = ecgqa_init(&context, &ecgqa_bundle, workspace, ECGQA_WORKSPACE_BYTES);
    say("init ", status);
    if (status == ECGQA_OK) {
        if (ecgqa_init(&context, &ecgqa_bundle, workspace, ECGQA_WORKSPACE_BYTES - 1u) !=
            ECGQA_ERR_WORKSPACE) {
            return 65;
        }
        file = platform_open(path);
        if (file < 0) {
            return 66;
        }
        status = run(file, how);
        platform_close(file);
    }
    say("status ", status);
    return -(int)status;
}
