/* SPDX-License-Identifier: Apache-2.0
 * Prints a program: its instructions in order, and its memory plan. */
#include "core/base/format_text.h"
#include "core/graph/graph.h"
#include "core/graph/loop.h"
#include "core/graph/program.h"

/* Prints the names of `n` buffers, each after `*separator`, which then is a comma. */
static void print_list(const ls_program *p, FILE *to, const int *buffers, const bool *add, int n,
                       const char **separator)
{
    for (int k = 0; k < n; k++) {
        if (buffers[k] < 0) continue;
        fprintf(to, "%s%s%s", *separator, add && add[k] ? "+= " : "", p->buffer[buffers[k]].name);
        *separator = ", ";
    }
}

const char *const ls__instr_kind[] = LS_ENUM_TEXTS(LS_INSTR_LIST);

/* in_loop: the instruction is part of the body of a loop. */
static void print_instr(const ls_program *p, FILE *to, int i, bool in_loop)
{
    const ls_instr *instr     = &p->instr[i];
    const char     *separator = "";
    fprintf(to, "%4d  %*s%-9s  %-14s  ", i, in_loop ? 2 : 0, "", ls__instr_kind[instr->kind], instr->name);
    if (instr->kind == LS_INSTR_LOOP)
        fprintf(to, "%s", instr->reverse ? "from the last to the first" : "from the first to the last");
    if (instr->deferred) fprintf(to, "%lld steps of ", (long long)ls__loop_steps(instr->deferred->loop));
    if (instr->count)
        fprintf(to, "gradients [%zu, %zu), %s", instr->offset, instr->offset + instr->count,
                ls__bytes_text((double)(instr->count * sizeof(float))));
    print_list(p, to, instr->in, NULL, LS_MAX_IN, &separator);
    const bool forward = instr->kind == LS_INSTR_FORWARD || instr->kind == LS_INSTR_RECOMPUTE;
    const bool writes  = forward || (instr->kind == LS_INSTR_BACKWARD && ls__op(instr->node)->loss_in_backward);
    if (!writes) print_list(p, to, instr->out, NULL, LS_MAX_OUT, &separator);
    print_list(p, to, instr->dout, NULL, LS_MAX_OUT, &separator);
    separator = " -> ";
    if (writes) print_list(p, to, instr->out, NULL, LS_MAX_OUT, &separator);
    if (forward) fprintf(to, "  [%s]", ls__shape_and_type(instr->node->out[0]));
    for (int k = 0; k < LS_MAX_IN && forward; k++)
        if (instr->in[k] >= 0 && ls__op(instr->node)->updates & 1u << k)
            fprintf(to, "  updates %s", p->buffer[instr->in[k]].name);
    if (instr->kind == LS_INSTR_PACK) fprintf(to, " -> %s", p->buffer[instr->packed].name);
    print_list(p, to, instr->din, instr->add, LS_MAX_IN, &separator);
    if (instr->stage == LS_STAGE_SUMS)
        fprintf(to, " -> %lld sums over %s", (long long)ls__batch_sums(instr->node, instr->kind == LS_INSTR_BACKWARD),
                ls__group_rows(instr->node) ? "the groups of the batch" : "the batch");
    if (instr->kind == LS_INSTR_FOLD) fprintf(to, " -> gradient of %s", instr->name);
    if (instr->flops > 0) fprintf(to, "  %.3g Mflop/sample", instr->flops * 1e-6);
    if (instr->scratch) fprintf(to, "  workspace %s", ls__bytes_text((double)instr->scratch));
    if (instr->gradient_scratch)
        fprintf(to, ", and %s in gradients not yet written", ls__bytes_text((double)instr->gradient_scratch));
    fprintf(to, "\n");
}

void ls__program_print(const ls_program *p, FILE *to)
{
    bool in_loop = false;
    for (int i = 0; i < p->instrs; i++) {
        in_loop &= p->instr[i].kind != LS_INSTR_END;
        print_instr(p, to, i, in_loop);
        in_loop |= p->instr[i].kind == LS_INSTR_LOOP;
    }
}

void ls__plan_print(const ls_program *p, FILE *to)
{
    fprintf(to, "%12s  %10s  %-11s  %s\n", "offset", "bytes", "lives", "buffer");
    for (int b = 0; b < p->buffers; b++) {
        const ls_buffer *buffer = &p->buffer[b];
        if (buffer->place != LS_PLACE_STEP || buffer->born < 0) continue;
        fprintf(to, "%12zu  %10s  %4d .. %-4d  %s", buffer->offset, ls__bytes_text((double)buffer->bytes), buffer->born,
                buffer->last, buffer->name);
        if (buffer->tensor->type != LS_F32) fprintf(to, ", %s", ls__dtype_name(buffer->tensor->type));
        if (buffer->copies) fprintf(to, ", %lld copies", (long long)buffer->copies);
        if (buffer->home != b) fprintf(to, "  (in place of %s)", p->buffer[buffer->home].name);
        fprintf(to, "\n");
    }
    for (int b = 0; b < p->buffers; b++)
        if (p->buffer[b].place == LS_PLACE_STATE)
            fprintf(to, "%12zu  %10s  %-11s  %s\n", p->buffer[b].offset, ls__bytes_text((double)p->buffer[b].bytes),
                    "all runs", p->buffer[b].name);
    fprintf(to, "step arena %zu bytes (%s), of which workspace is at most %zu bytes (%s)\n", p->arena_bytes,
            ls__bytes_text((double)p->arena_bytes), p->scratch_bytes, ls__bytes_text((double)p->scratch_bytes));
    if (p->state_bytes)
        fprintf(to, "states, kept from run to run, %zu bytes (%s)\n", p->state_bytes,
                ls__bytes_text((double)p->state_bytes));
}
