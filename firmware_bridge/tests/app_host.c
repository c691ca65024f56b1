/* Stands in for a board under the examples: a file of int16 comes in, decisions are printed.
 *
 * For the super-loop, app_sleep is the interrupt: a few samples arrive whenever the loop has nothing
 * to do; and while it works, a sample a slice. */
#include <stdio.h>

#include "app.h"

static FILE *file;

void app_decision(const ecgqa_decision_t *decision)
{
    printf("decision %u %d %d %d\n", (unsigned)decision->segment, decision->score_s8,
           decision->quality, decision->reason);
}

#if defined(SUPER_LOOP)

static int16_t waiting;
static int has_waiting;
static int idle;
static int at_end;

static void interrupt(void)
{
    if (!has_waiting) {
        has_waiting = fread(&waiting, sizeof waiting, 1, file) == 1;
        at_end = !has_waiting;
    }
    if (has_waiting && app_on_sample(waiting)) {
        has_waiting = 0;
    }
}

void app_start(void)
{
}

void app_sleep(void)
{
    idle += at_end;
    interrupt();
}

int app_running(void)
{
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
    return file != NULL ? -app_main() : 64;
}
