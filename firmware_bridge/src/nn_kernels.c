/* The kernels' definition, in portable C. */
#include "nn_kernels.h"

typedef int ecgqa_nn_kernels_c_is_not_empty;

#if defined(ECGQA_NN_KERNELS_PORTABLE)

#include "nn_requant.h"

/* Sum of a pixel's inputs: what the even channels' bias has to be taken off by. */
static int32_t sum_of(const int8_t *x, uint32_t len)
{
    int32_t sum = 0;
    for (uint32_t k = 0u; k < len; ++k) {
        sum += x[k];
    }
    return sum;
}

static void dot_1(int32_t *acc, const int8_t *x, const uint8_t *w, uint32_t len)
{
    int32_t even = 0, odd = 0;
    for (uint32_t k = 0u; k < len; ++k) {
        even += x[k] * (int32_t)w[2 * k];
        odd += x[k] * (int32_t)(int8_t)w[2 * k + 1];
    }
    acc[0] += even;
    acc[1] += odd;
}

typedef struct {
    int32_t even0, odd0, even1, odd1;
} sums_t;

static inline void add_products(sums_t *sums, int32_t x0, int32_t x1, const uint8_t *w)
{
    const int32_t even = w[0];
    const int32_t odd = (int8_t)w[1];
    sums->even0 += x0 * even;
    sums->even1 += x1 * even;
    sums->odd0 += x0 * odd;
    sums->odd1 += x1 * odd;
}

/* Two pixels at once, so that a weight is loaded once for both; four inputs a turn, because a turn
 * costs about as much as one of them. */
static void dot_2(int32_t *acc0, int32_t *acc1, const int8_t *x0, const int8_t *x1,
                  const uint8_t *w, uint32_t len)
{
    const int8_t *const end = x0 + len;
    const int8_t *const turns = x0 + (len & ~UINT32_C(3));
    sums_t sums = {0, 0, 0, 0};
    for (; x0 != turns; x0 += 4, x1 += 4, w += 8) {
        add_products(&sums, x0[0], x1[0], w);
        add_products(&sums, x0[1], x1[1], w + 2);
        add_products(&sums, x0[2], x1[2], w + 4);
        add_products(&sums, x0[3], x1[3], w + 6);
    }
    for (; x0 != end; ++x0, ++x1, w += 2) {
        add_products(&sums, *x0, *x1, w);
    }
    acc0[0] += sums.even0;
    acc0[1] += sums.odd0;
    acc1[0] += sums.even1;
    acc1[1] += sums.odd1;
}

void ecgqa_nn_dot(const ecgqa_nn_dot_t *job)
{
    const uint32_t channels = 2u * (uint32_t)job->pairs;
    const uint32_t len = job->len;
    const uint8_t *weights = job->weights;
    int32_t *acc = job->acc;
    for (uint32_t p = 0u; p < job->pixels; ++p) {
        const int32_t bias = ECGQA_NN_EVEN_BIAS * sum_of(job->x[p], len);
        for (uint32_t c = 0u; c < channels; c += 2u) {
            acc[p * channels + c] -= bias;
        }
    }
    for (uint32_t pair = 0u; pair < job->pairs; ++pair) {
        if (job->pixels == 2u) {
            dot_2(acc, acc + channels, job->x[0], job->x[1], weights, len);
        } else {
            dot_1(acc, job->x[0], weights, len);
        }
        acc += 2;
        weights += job->pair_bytes;
    }
}

void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant)
{
    for (uint32_t c = 0u; c < len; ++c) {
        out[c] = ecgqa_nn_requantise_one(acc[c], c, requant);
    }
}

void ecgqa_nn_max(int8_t *to, const int8_t *x, uint32_t len)
{
    for (uint32_t i = 0u; i < len; ++i) {
        to[i] = x[i] > to[i] ? x[i] : to[i];
    }
}

void ecgqa_nn_multiply_add(int32_t *acc, const int8_t *x, const int8_t *weights, uint32_t len)
{
    for (uint32_t c = 0u; c < len; ++c) {
        acc[c] += (int32_t)x[c] * weights[c];
    }
}

#endif
