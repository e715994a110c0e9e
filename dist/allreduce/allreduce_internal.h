/* SPDX-License-Identifier: Apache-2.0
 * Between the files of the tree sum.  Not public.
 *
 *     dist/allreduce/allreduce.c        the sums within a host, and what is begun and not over
 *     dist/allreduce/allreduce_internode.c  the sums between hosts, while the step goes on
 *     dist/allreduce/allreduce_schedule.c   who adds what, in which order
 */
#ifndef LS_DIST_ALLREDUCE_ALLREDUCE_INTERNAL_H
#define LS_DIST_ALLREDUCE_ALLREDUCE_INTERNAL_H

#include <pthread.h>

#include "core/base/arena.h"
#include "dist/allreduce/allreduce.h"

enum {
    GRANULE    = LS_ALLREDUCE_GRANULE,
    PASS       = 1 << 15, /* floats of a slice summed in one pass, at least,                         */
    PART       = 1 << 12, /* so many for each rank,                                                  */
    MOST_PASS  = 1 << 18, /* and at most: bounds the receive buffer                                  */
    TILE       = 2048,    /* floats: what a chain of additions goes over stays in the first cache      */
    MIN_SPREAD = 1 << 15, /* floats from which threads are worth waking                                */
    MAX_SHARDS = 1 << 20,
    BEGUN      = 64, /* slices that wait for other ranks, or for a lane                         */
    LANES      = 16, /* passes that are on their way between hosts at once                      */
    WHOLE      = 4   /* and passes of the largest size, or smaller ones of as many floats       */
};

/* y = x + z, all three numbers of vectors. */
typedef struct add {
    int y, x, z;
} add;

/* A node of the tree, and where it is. */
typedef struct piece {
    int first, span, slot;
} piece;

/* Ranks that read and write each other's blocks, and what they hold together: nodes of the tree, of which they can add
 * some to each other; the others' teams get what is left, the pieces. */
typedef struct team {
    int    members;
    int   *rank; /* of each member, increasing                       */
    int    nodes;
    int   *member, *slot; /* of each node: in which block, and where */
    int    adds;
    add   *adding; /* over the nodes; vector `nodes` is the result   */
    int    pieces;
    piece *piece; /* its slot is the node that it is in              */
} team;

/* A slice that is complete on this rank, and when it is so on the others. */
typedef struct waiting {
    ls_allreduce_slice slice;
    bool               head; /* the header comes with it                             */
    uint32_t           ticket;
    float             *base; /* what its owners have goes to all hosts from here; NULL: it is to be summed */
    int64_t            pass; /* the next to be sent                                   */
} waiting;

/* A pass of a slice between hosts: its parts go to their owners, who add them up, and then come back. */
typedef enum stage { STAGE_SCATTER, STAGE_ADDED, STAGE_GATHER, STAGE_DONE } stage;
typedef struct lane {
    ls_allreduce_slice slice;
    int64_t            pass;
    bool               head;
    float             *base;   /* as above */
    uint64_t           number; /* of the slice: so many were begun before it */
    int64_t            floats; /* of the largest part                        */
    stage              stage;
    ls_flow           *flow;
    int64_t            began_ns; /* the messages of this stage */
} lane;

struct ls_allreduce {
    ls_arena              *arena;
    ls_comm               *comm;
    ls_shared_memory      *window; /* NULL: every rank is a team of its own */
    int                    shards, micro_steps, slots;
    ls_allreduce_schedule *schedule;
    int64_t                max_count;
    ls_allreduce_keep      keep;

    /* the sum across ranks */
    size_t       stride;
    int          teams, mine; /* this rank's team                                                 */
    team        *team;
    int         *team_of; /* each rank's                                                      */
    int          me;      /* which member of its team                                         */
    int          pieces;  /* of all teams, in the order of the tree                           */
    int         *piece_team;
    int          adds;
    add         *adding; /* over the pieces; vector `pieces` is the result                   */
    float      **block;  /* of each member of this rank's team                               */
    float       *totals; /* NULL: in a block 0                                               */
    float      **node;   /* vectors of the own team, of one part                             */
    float      **vector; /* of the pieces of all teams                                       */
    float      **copy;   /* where a result goes besides this rank's own block                */
    int64_t      room;   /* floats of a part that are summed at once                         */
    ls_block     buffer;
    ls_transfer *send, *receive;

    /* the header */
    int    head;        /* floats; 0: there is none                      */
    float *head_node;   /* of the own team's nodes, and the result        */
    float *head_vector; /* of the pieces of all teams, and the result     */
    float *head_total;

    waiting  begun[BEGUN]; /* a ring: [first_begun, end_begun) wait for other ranks */
    uint64_t first_begun, end_begun;
    bool     bf16;        /* messages between hosts are of bfloat16         */
    size_t   packed_room; /* floats that a lane sends then                  */
    ls_block packed;
    lane     lane[LANES]; /* a ring */
    uint64_t first_lane, end_lane;

    /* a thread that lets sums go on while the rank computes */
    bool            threaded, quits, idles;
    pthread_t       thread;
    pthread_mutex_t lock; /* of all that is begun, and of the communicator's messages */
    pthread_cond_t  wake;
    ls_status       status; /* the first error of whoever let sums go on               */
    char            message[1024];
};

/* Part `part` of `parts` of a slice of `count` floats begins here; part `parts` is its end. */
int64_t ls__allreduce_part(int64_t count, int part, int parts);

/* y = x + z for each of `adding`, tile by tile over vectors of `count` floats; then what is done with the result:
 * `plus` (or NULL) is added to it, and it is copied. */
typedef struct finish {
    float        *result;
    const float  *plus;
    int           copies;
    float *const *copy;
} finish;
void ls__allreduce_add(int64_t count, int adds, const add *adding, float *const *vector, const finish *f);
void ls__allreduce_add_heads(int head, float *vector, int adds, const add *adding);
void ls__allreduce_add_own_heads(ls_allreduce *t);

/* Where the total of a slice goes, from `at` floats on in it. */
float *ls__allreduce_total(const ls_allreduce *t, const ls_allreduce_slice *s, int64_t at);
/* The total that is added to it, or NULL. */
const float *ls__allreduce_plus(const ls_allreduce *t, const ls_allreduce_slice *s, int64_t at);
/* The vectors of the own team's nodes, from `at` floats on in a slice of every block; the last is where a result
 * belongs. */
void ls__allreduce_place(ls_allreduce *t, const ls_allreduce_slice *s, int64_t at);
/* What is still to be written when `result` is there, to t->copy; how many. */
int ls__allreduce_copies(ls_allreduce *t, const ls_allreduce_slice *s, const float *result, int64_t at);

/* Ends the thread, and gives up what is still on its way. */
void ls__allreduce_rest(ls_allreduce *t);

/* How many slices have been read by this rank, of those begun, in order. */
uint64_t ls__allreduce_taken(const ls_allreduce *t);

/* Between hosts: whatever can go on without waiting does; *moved (only set to true): something did. */
ls_status ls__allreduce_advance(ls_allreduce *t, bool *moved);

/* Who of a team deals with the owner of a part. */
int ls__allreduce_agent(const ls_allreduce *t, int its, int part);

#endif
