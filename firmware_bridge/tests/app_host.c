/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Stands in for a board under the examples: a file of int16 comes in, decisions are printed.
 *
 * For the super-loop a sample arrives whenever it has nothing to do, and while it works one every
 * SLICES_A_SAMPLE slices, as from a converter: what is not taken at once is lost. Losing one is
 * exit code 65. */
#include <stdio.h>

#include "app.h"

static FILE *file;

void app_decision(const ecgqa_decision_t *decision)
{
    printf("decision %u %d %d %d\n", (unsigned)decision->segment, decision->score_s8,
           decision->quality, decision->reason);
}

#if defined(SUPER_LOOP)

static unsigned slices, n_samples, lost;
static int slept;
static int idle;
static int at_end;

static void interrupt(void)
{
    int16_t sample;
    if (fread(&sample, sizeof sample, 1, file) != 1) {
        at_end = 1;
        return;
    }
    ++n_samples;
    lost += app_on_sample(sample) == 0;
}

void app_start(void)
{
}

void app_sleep(void)
{
    idle += at_end;
    slept = 1;
    interrupt();
}

/* Called once a turn of the loop: after a sleep, or after a slice. */
int app_running(void)
{
    slices += !slept;
    if (!slept && slices % SLICES_A_SAMPLE == 0) {
        interrupt();
    }
    slept = 0;
    return idle < 2;
}

#else

size_t app_read_samples(int16_t *samples, size_t max)
{
    return fread(samples, sizeof *samples, max, file);
}

#endif

int main(int argc, char **argv)
{
    file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        return 64;
    }
    const int status = -app_main();
#if defined(SUPER_LOOP)
    fprintf(stderr, "%u of %u samples lost, %u slices\n", lost, n_samples, slices);
    return status == 0 && lost != 0 ? 65 : status;
#else
    return status;
#endif
}
