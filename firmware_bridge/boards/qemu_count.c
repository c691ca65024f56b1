/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* TCG plugin: exact instruction counts between marks, and where they were spent.
 *
 *   -plugin qemu_count.so,symbols=FILE,out=FILE
 *   -plugin qemu_count.so,out=FILE
 *
 * Without `symbols` it writes one line when the program ends, `mark end TOTAL`. Otherwise:
 *
 * Each line of `symbols` is `m ADDRESS NAME` (a mark: an instruction's address) or
 * `f ADDRESS END NAME` (a function: a range of addresses), hexadecimal, sorted by address within
 * its kind. Whenever a mark is about to be executed the plugin writes
 * `mark NAME TOTAL`, the number of instructions executed before it, and then, for each function
 * executed since the mark before, `in NAME COUNT`. What no range holds is counted as `?`.
 *
 * Counting is by translation block on entry; a mark inside a block takes off what is yet to come.
 * An instruction that is skipped by its condition counts as executed, as it does in a core's
 * pipeline. One virtual CPU.
 *
 * The declarations below are the part of QEMU's plugin interface that is used here; Debian's QEMU
 * packages ship no header for it. Interface version 1 is QEMU 6.0 to 8.1; later ones have the same
 * functions (build with -DECGQA_QEMU_PLUGIN_API=N).
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ECGQA_QEMU_PLUGIN_API
#define ECGQA_QEMU_PLUGIN_API 1
#endif

/* ---- QEMU's side ----------------------------------------------------------------------------- */

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGISTERS = 0 };

typedef void (*vcpu_callback_t)(unsigned int vcpu, void *user);

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
                                                  void (*callback)(uint64_t id,
                                                                   struct qemu_plugin_tb *block));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block,
                                                 vcpu_callback_t callback, int flags, void *user);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                                   vcpu_callback_t callback, int flags, void *user);
extern void qemu_plugin_register_atexit_cb(uint64_t id, void (*callback)(uint64_t id, void *user),
                                           void *user);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block,
                                                        size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = ECGQA_QEMU_PLUGIN_API;

/* ---- symbols --------------------------------------------------------------------------------- */

enum { NAME_BYTES = 128 };

typedef struct {
    uint64_t start, end;
    uint64_t count;
    char name[NAME_BYTES];
} symbol_t;

typedef struct {
    symbol_t *items;
    size_t n;
} symbols_t;

static symbols_t marks, functions;
static symbol_t elsewhere = {0, 0, 0, "?"};
static uint64_t total;
static FILE *out;

static symbol_t *append(symbols_t *list)
{
    list->items = realloc(list->items, (list->n + 1) * sizeof *list->items);
    if (list->items == NULL) {
        abort();
    }
    memset(&list->items[list->n], 0, sizeof *list->items);
    return &list->items[list->n++];
}

static int load(const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        return -1;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        const int is_mark = line[0] == 'm';
        symbol_t *symbol = append(is_mark ? &marks : &functions);
        const int ok = is_mark
                           ? sscanf(line, "m %" SCNx64 " %127s", &symbol->start, symbol->name) == 2
                           : sscanf(line, "f %" SCNx64 " %" SCNx64 " %127s", &symbol->start,
                                    &symbol->end, symbol->name) == 3;
        if (!ok) {
            fclose(file);
            return -1;
        }
    }
    fclose(file);
    return 0;
}

static symbol_t *function_at(uint64_t address)
{
    size_t low = 0, high = functions.n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (address < functions.items[middle].start) {
            high = middle;
        } else if (address >= functions.items[middle].end) {
            low = middle + 1;
        } else {
            return &functions.items[middle];
        }
    }
    return &elsewhere;
}

/* ---- counting -------------------------------------------------------------------------------- */

/* A run of instructions of one block in one function; a block is its runs, one callback each. */
typedef struct {
    symbol_t *function;
    uint64_t n;
} run_t;

/* A mark in a block: how many instructions, counted on entry, are executed at or after it. */
typedef struct {
    const symbol_t *mark;
    uint64_t to_come;
    run_t *runs_to_come; /* one a function, `n_runs` of them */
    size_t n_runs;
} arrival_t;

static void *claim(size_t bytes)
{
    void *memory = calloc(1, bytes); /* lives as long as the block may be executed: for ever */
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void on_run(unsigned int vcpu, void *user)
{
    const run_t *run = user;
    (void)vcpu;
    total += run->n;
    run->function->count += run->n;
}

static void flush(symbol_t *function)
{
    if (function->count != 0) {
        fprintf(out, "in %s %" PRIu64 "\n", function->name, function->count);
        function->count = 0;
    }
}

static void on_mark(unsigned int vcpu, void *user)
{
    const arrival_t *arrival = user;
    size_t i;
    (void)vcpu;
    fprintf(out, "mark %s %" PRIu64 "\n", arrival->mark->name, total - arrival->to_come);
    for (i = 0; i < arrival->n_runs; ++i) {
        arrival->runs_to_come[i].function->count -= arrival->runs_to_come[i].n;
    }
    for (i = 0; i < functions.n; ++i) {
        flush(&functions.items[i]);
    }
    flush(&elsewhere);
    for (i = 0; i < arrival->n_runs; ++i) {
        arrival->runs_to_come[i].function->count += arrival->runs_to_come[i].n;
    }
    fflush(out);
}

/* Runs of the block's instructions from `first` on; `runs` has room for one an instruction. */
static size_t split(const struct qemu_plugin_tb *block, size_t first, run_t *runs)
{
    const size_t n = qemu_plugin_tb_n_insns(block);
    size_t n_runs = 0;
    for (size_t i = first; i < n; ++i) {
        symbol_t *function = function_at(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, i)));
        if (n_runs == 0 || runs[n_runs - 1].function != function) {
            runs[n_runs].function = function;
            runs[n_runs++].n = 0;
        }
        runs[n_runs - 1].n++;
    }
    return n_runs;
}

static void on_block(uint64_t id, struct qemu_plugin_tb *block)
{
    const size_t n = qemu_plugin_tb_n_insns(block);
    run_t *runs = claim(n * sizeof *runs);
    const size_t n_runs = split(block, 0, runs);
    (void)id;
    for (size_t i = 0u; i < n_runs; ++i) {
        qemu_plugin_register_vcpu_tb_exec_cb(block, on_run, CB_NO_REGISTERS, &runs[i]);
    }
    for (size_t i = 0u; i < n; ++i) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);

        for (size_t m = 0u; m < marks.n; ++m) {
            if (marks.items[m].start == qemu_plugin_insn_vaddr(insn)) {
                arrival_t *arrival = claim(sizeof *arrival);
                arrival->mark = &marks.items[m];
                arrival->to_come = n - i;
                arrival->runs_to_come = claim(n * sizeof *arrival->runs_to_come);
                arrival->n_runs = split(block, i, arrival->runs_to_come);
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, CB_NO_REGISTERS, arrival);
            }
        }
    }
}

static void on_end(uint64_t id, void *user)
{
    (void)id;
    (void)user;
    fprintf(out, "mark end %" PRIu64 "\n", total);
    fclose(out);
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; ++i) {
        if (strncmp(argv[i], "symbols=", 8) == 0) {
            if (load(argv[i] + 8) != 0) {
                fprintf(stderr, "qemu_count: cannot read %s\n", argv[i] + 8);
                return -1;
            }
        } else if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "w");
        }
    }
    if (out == NULL) {
        fprintf(stderr, "qemu_count: out=FILE is missing or cannot be written\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    if (marks.n == 0) {
        qemu_plugin_register_atexit_cb(id, on_end, NULL);
    }
    return 0;
}
