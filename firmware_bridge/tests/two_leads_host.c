/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Stands in for a board under examples/two_leads: a file of int16 of both leads in turn comes in,
 * decisions are printed. A pair arrives whenever the loop has nothing to do, and while it works one
 * every SLICES_A_PAIR slices; losing one is exit code 65. */
#include <stdio.h>

#include "app.h"

enum { SLICES_A_PAIR = 8 };

static FILE *file;
static unsigned slices, n_pairs, lost;
static int slept, idle, at_end;

static void interrupt(void)
{
    int16_t samples[APP_LEADS];
    if (fread(samples, sizeof samples, 1, file) != 1) {
        at_end = 1;
        return;
    }
    ++n_pairs;
    lost += app_on_samples(samples) == 0;
}

void app_decision(int lead, const ecgqa_decision_t *decision)
{
    printf("lead %d %u %d %d %d\n", lead, (unsigned)decision->segment, decision->score_s8,
           decision->quality, decision->reason);
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
    if (!slept && slices % SLICES_A_PAIR == 0) {
        interrupt();
    }
    slept = 0;
    return idle < 2;
}

int main(int argc, char **argv)
{
    file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        return 64;
    }
    const int status = -app_main();
    fprintf(stderr, "%u of %u pairs lost, %u slices\n", lost, n_pairs, slices);
    return status == 0 && lost != 0 ? 65 : status;
}
