/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The network alone on a board: each index map of a file to rows and scores.
 *
 * Prints the stack's bytes, then a line a map: a digest (FNV-1a) of each layer's rows, and the
 * scores. The region that is idle between rows is filled with other bytes each time, as the front
 * end would. Argument: the file, rows x cols bytes a map. */
#include "ecgqa/nn.h"
#include "marks.h"
#include "network.h"
#include "platform.h"

enum { MAX_LAYERS = 32 };

#define FNV_START UINT32_C(2166136261)

MARK(mark_network)
MARK(mark_end)

static uint64_t workspace[(NETWORK_WORKSPACE_BYTES + 7u) / 8u];
static uint8_t index_row[NETWORK_COLS];
static uint32_t digests[MAX_LAYERS];

static uint32_t digest_more(uint32_t digest, const int8_t *data, size_t len)
{
    for (size_t i = 0u; i < len; ++i) {
        digest = (digest ^ (uint8_t)data[i]) * UINT32_C(16777619);
    }
    return digest;
}

static ecgqa_status_t push(ecgqa_nn_t *net, uint16_t row)
{
    ecgqa_nn_event_t event = {ECGQA_NN_WORKED, 0, 0, NULL, 0};
    uint8_t *idle = (uint8_t *)workspace + network.idle_at;
    uint8_t *slot = ecgqa_nn_row_slot(net);
    ecgqa_status_t status;
    for (uint32_t i = 0u; i < network.idle_bytes; ++i) {
        idle[i] = (uint8_t)(0xA5u ^ i ^ row);
    }
    for (uint32_t i = 0u; slot != NULL && i < NETWORK_COLS; ++i) {
        slot[i] = index_row[i];
    }
    status = ecgqa_nn_row_ready(net);
    while (status == ECGQA_OK && event.kind != ECGQA_NN_IDLE) {
        status = ecgqa_nn_step(net, &event);
        if (event.kind == ECGQA_NN_ROW) {
            digests[event.layer] = digest_more(digests[event.layer], event.data, event.len);
        }
    }
    return status;
}

static void say(ecgqa_nn_t *net)
{
    const int8_t *scores = NULL;
    platform_puts("map");
    for (uint32_t i = 0u; i < network.n_layers; ++i) {
        platform_puts(" ");
        platform_put_hex32(digests[i]);
    }
    if (ecgqa_nn_scores(net, &scores) == ECGQA_OK) {
        for (uint32_t i = 0u; i < network.classes; ++i) {
            platform_puts(" ");
            platform_put_i32(scores[i]);
        }
    }
    platform_puts("\n");
}

int board_main(void)
{
    char path[256];
    ecgqa_nn_t net;
    ecgqa_status_t status = ecgqa_nn_init(&net, &network, workspace, sizeof workspace);
    int file;
    if (status != ECGQA_OK || !platform_argument(1, path, sizeof path)) {
        return -(int)status + 100;
    }
    file = platform_open(path);
    platform_stack_paint();
    for (;;) {
        for (uint32_t i = 0u; i < MAX_LAYERS; ++i) {
            digests[i] = FNV_START;
        }
        for (uint16_t row = 0; row < NETWORK_ROWS; ++row) {
            if (platform_read(file, index_row, sizeof index_row) != sizeof index_row) {
                platform_close(file);
                platform_puts("stack ");
                platform_put_i32((int32_t)platform_stack_used_bytes());
                platform_puts("\n");
                return 0;
            }
            mark_network();
            status = push(&net, row);
            mark_end();
            if (status != ECGQA_OK) {
                return -(int)status;
            }
        }
        say(&net);
        if (ecgqa_nn_reset(&net) != ECGQA_OK) {
            return 99;
        }
    }
}
