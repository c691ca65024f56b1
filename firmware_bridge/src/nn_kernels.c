/* The kernels' definition, in portable C. */
#include "nn_kernels.h"

typedef int ecgqa_nn_kernels_c_is_not_empty;

#if defined(ECGQA_NN_KERNELS_PORTABLE)

#include "nn_requant.h"

static void dot_pair(int32_t *acc, const int8_t *x, const uint8_t *weights, uint32_t len)
{
    int32_t even = 0;
    int32_t odd = 0;
    int32_t sum = 0;

    for (uint32_t k = 0; k < len; k++) {
        even += x[k] * (int32_t)weights[2 * k];
        odd += x[k] * (int32_t)(int8_t)weights[2 * k + 1];
        sum += x[k];
    }
    acc[0] += even - ECGQA_NN_EVEN_BIAS * sum;
    acc[1] += odd;
}

/* Two pixels at once, so that a weight is loaded once for both. */
static void dot_pair_2(int32_t *acc0, int32_t *acc1, const int8_t *x0, const int8_t *x1,
                       const uint8_t *weights, uint32_t len)
{
    int32_t even0 = 0, even1 = 0;
    int32_t odd0 = 0, odd1 = 0;

    for (uint32_t k = 0; k < len; k++) {
        const int32_t even = (int32_t)weights[2 * k] - ECGQA_NN_EVEN_BIAS;
        const int32_t odd = (int8_t)weights[2 * k + 1];

        even0 += x0[k] * even;
        even1 += x1[k] * even;
        odd0 += x0[k] * odd;
        odd1 += x1[k] * odd;
    }
    acc0[0] += even0;
    acc0[1] += odd0;
    acc1[0] += even1;
    acc1[1] += odd1;
}

void ecgqa_nn_dot(const ecgqa_nn_dot_t *job)
{
    const uint8_t *weights = job->weights;
    int32_t *acc = job->acc;

    for (uint32_t pair = 0; pair < job->pairs; pair++) {
        if (job->pixels == 2) {
            dot_pair_2(acc, acc + 2 * (uint32_t)job->pairs, job->x[0], job->x[1], weights, job->len);
        } else {
            dot_pair(acc, job->x[0], weights, job->len);
        }
        acc += 2;
        weights += job->pair_bytes;
    }
}

void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant)
{
    for (uint32_t c = 0; c < len; c++) {
        out[c] = ecgqa_nn_requantise_one(acc[c], c, requant);
    }
}

void ecgqa_nn_max(int8_t *to, const int8_t *x, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        to[i] = x[i] > to[i] ? x[i] : to[i];
    }
}

void ecgqa_nn_multiply_add(int32_t *acc, const int8_t *x, const int8_t *weights, uint32_t len)
{
    for (uint32_t c = 0; c < len; c++) {
        acc[c] += (int32_t)x[c] * weights[c];
    }
}

#endif
