/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What a host with memory to spare calls: whole index maps, each row transformed once, the same
 * bytes as ecgqa_cwt_scan and ecgqa_cwt_index_row, and their scores. The Python package binds
 * these. */
#ifndef ECGQA_HOST_H
#define ECGQA_HOST_H

#include "ecgqa/ecgqa.h"

/* sizeof of what a binding lays out itself, to hold its own against. */
size_t ecgqa_host_sizeof_tables(void); /* ecgqa_cwt_tables_t */
size_t ecgqa_host_sizeof_row(void);    /* ecgqa_cwt_row_t */
size_t ecgqa_host_sizeof_layer(void);  /* ecgqa_nn_layer_t */
size_t ecgqa_host_sizeof_model(void);  /* ecgqa_nn_model_t */

/* Digest and second pointers, which the checks ask for, of tables that were filled in. */
void ecgqa_host_seal_tables(ecgqa_cwt_tables_t *tables);

/* ecgqa_workspace_bytes of a bundle whose network, not yet written as C, takes network_bytes of
 * which idle_bytes at idle_at hold nothing between rows. 0: tables or network are refused. */
size_t ecgqa_host_workspace_bytes(const ecgqa_cwt_tables_t *tables, uint32_t network_bytes,
                                  uint32_t idle_at, uint32_t idle_bytes,
                                  uint8_t collect_while_classifying);

/* Rows that go side by side in SIMD lanes where `most` may: 1 where no kernels of this build suit
 * this core, or have so few lanes. */
unsigned ecgqa_host_lanes(unsigned most);

/* For tables that ecgqa_cwt_init takes: how many int16 ecgqa_host_weights writes, which a caller
 * makes once and hands to ecgqa_host_index_maps. 0: rows can't go side by side. */
size_t ecgqa_host_weights_len(const ecgqa_cwt_tables_t *tables);
void ecgqa_host_weights(const ecgqa_cwt_tables_t *tables, int16_t *weights);

/* Segments, int16 [count][segment_len], to index maps, uint8 [count][rows][cols], with
 * ecgqa_host_lanes(lanes) rows or segments side by side, or one after the other where weights are
 * NULL. Thread-safe. ERR_WORKSPACE: out of memory; others as ecgqa_cwt_init. */
ecgqa_status_t ecgqa_host_index_maps(const ecgqa_cwt_tables_t *tables, const int16_t *weights,
                                     unsigned lanes, const int16_t *samples, size_t count,
                                     uint8_t *maps);

/* The same through the device's two passes. */
ecgqa_status_t ecgqa_host_index_maps_two_pass(const ecgqa_cwt_tables_t *tables,
                                              const int16_t *samples, size_t count, uint8_t *maps);

/* Segments as the transform takes them, int16 [count][segment_len]: as they are where the tables
 * ask for no conditioning. */
ecgqa_status_t ecgqa_host_condition(const ecgqa_cwt_tables_t *tables, const int16_t *samples,
                                    size_t count, int16_t *conditioned);

/* ecgqa_reason_t of each segment, int16 [count][segment_len], as a device finds it. */
ecgqa_status_t ecgqa_host_reasons(const ecgqa_cwt_tables_t *tables, const int16_t *samples,
                                  size_t count, uint8_t *reasons);

/* Index maps, uint8 [count][rows][cols], to the network's scores, int8 [count][classes], as on a
 * device. Thread-safe. ERR_WORKSPACE: out of memory; others as ecgqa_nn_init. */
ecgqa_status_t ecgqa_host_scores(const ecgqa_nn_model_t *model, const uint8_t *maps, size_t count,
                                 int8_t *scores);
/* Blocks of block * block pixels laid into one each: the layout that takes a convolution's stride
 * of `block` (ecgqa_tflite/tflite/space_to_depth.py). */
typedef struct {
    uint32_t rows, cols, channels; /* of an image */
    uint32_t block;
    uint32_t out_rows, out_cols; /* blocks beyond them are cut off ... */
    int32_t fill;                /* ... and pixels that are missing are this */
} ecgqa_host_fold_t;

/* Images, int8 [count][rows][cols][channels], to [count][out_rows][out_cols][block][block]
 * [channels]; none of the numbers is 0. */
void ecgqa_host_fold(const ecgqa_host_fold_t *fold, const int8_t *images, size_t count,
                     int8_t *folded);

#endif
