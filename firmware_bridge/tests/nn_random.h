/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Random small networks, run by the engine and by the plain definition of each layer. */
#ifndef ECGQA_TESTS_NN_RANDOM_H
#define ECGQA_TESTS_NN_RANDOM_H

#include "ecgqa/nn.h"

/* The model that `seed` stands for; valid until the next call. */
const ecgqa_nn_model_t *nn_random_model(uint32_t seed);

/* Workspace for any of them, ECGQA_NN_ALIGN aligned. */
void *nn_random_workspace(void);

/* Run the model of `seed` on a random index map: 0 when every row, the logits and the scores are
 * what the definition gives, else the number of the layer that differs first, from 1. */
uint32_t nn_random_compare(uint32_t seed);

#endif
