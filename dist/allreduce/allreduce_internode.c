/* SPDX-License-Identifier: Apache-2.0
 *
 * The inter-host part of an all-reduce: see dist/allreduce/allreduce_internode.h.
 */
#include "dist/allreduce/allreduce_internode.h"

#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "dist/comm/bfloat16.h"

enum {
    MIN_CHUNK          = 1 << 15, /* floats of a bucket that one chunk covers over all partitions: lower limit, */
    MIN_CHUNK_PER_RANK = 1 << 12, /* lower limit per rank, */
    MAX_CHUNK          = 1 << 18, /* and upper limit, which bounds the receive buffer */
    MAX_FULL_CHUNKS    = 4        /* limit for the floats in flight, in chunks of full size */
};

/* ---- chunks of a bucket ------------------------------------------------------------------------------------------ */

/* True when this rank is the delegate of its host for the partition of `owner`, a rank of another host. */
static bool is_delegate(const ls_internode *n, int owner)
{
    const ls_allreduce_schedule *s = n->schedule;
    return s->host_of[owner] != s->own_host && ls__allreduce_delegate(s, s->own_host, owner) == s->rank;
}

/* The part of rank `owner`'s partition that chunk `index` carries, relative to the start of the bucket. */
static ls_range chunk_range(const ls_internode *n, int64_t count, int owner, int64_t index)
{
    ls_range partition = ls__allreduce_partition_of(count, owner, n->schedule->ranks);
    int64_t  begin = partition.offset + index * n->chunk_floats, end = ls__range_end(partition);
    if (begin >= end) return (ls_range){end, 0};
    return (ls_range){begin, end - begin < n->chunk_floats ? end - begin : n->chunk_floats};
}

static int64_t largest_partition(const ls_internode *n, int64_t count)
{
    int64_t largest = 0;
    for (int r = 0; r < n->schedule->ranks; r++) {
        int64_t floats = ls__allreduce_partition_of(count, r, n->schedule->ranks).count;
        if (floats > largest) largest = floats;
    }
    return largest;
}

static int64_t chunks_of(const ls_internode *n, const ls_internode_entry *e)
{
    int64_t largest = largest_partition(n, e->request.range.count);
    return largest || !e->with_header ? (largest + n->chunk_floats - 1) / n->chunk_floats : 1;
}

static int slot_of(const ls_internode *n, const ls_chunk *c) { return (int)(c - n->chunk); }

/* ---- the header -------------------------------------------------------------------------------------------------- */

/* Adds the messages of the headers.  Each rank of another host receives this host's header sums from the delegate for
 * that rank's partition. */
static void exchange_headers(ls_internode *n, int *sends, int *receives)
{
    const ls_allreduce_schedule *s       = n->schedule;
    const ls_allreduce_host     *own     = ls__allreduce_own_host(s);
    const ls_intrahost          *h       = n->intrahost;
    const size_t                 floats  = (size_t)h->header_floats;
    int                          partial = 0;
    ls__intrahost_sum_headers(n->intrahost);
    for (int r = 0; r < s->ranks; r++) {
        if (!is_delegate(n, r)) continue;
        for (int i = 0; i < own->partials; i++)
            n->send[(*sends)++] = (ls_transfer){r, h->header_vector + (size_t)own->partial[i].vector * floats, floats};
    }
    for (int i = 0; i < s->partials; i++) {
        float *to = n->header_vector + (size_t)i * floats;
        if (s->partial_host[i] == s->own_host)
            memcpy(to, h->header_vector + (size_t)own->partial[partial++].vector * floats, floats * sizeof(float));
        else
            n->receive[(*receives)++] =
                (ls_transfer){ls__allreduce_delegate(s, s->partial_host[i], s->rank), to, floats};
    }
}

static void reduce_headers(ls_internode *n)
{
    const ls_allreduce_schedule *s      = n->schedule;
    const size_t                 floats = (size_t)n->intrahost->header_floats;
    ls__add_headers((int)floats, n->header_vector, s->additions, s->addition);
    memcpy(n->intrahost->header_sum, n->header_vector + (size_t)(s->additions ? s->partials : 0) * floats,
           floats * sizeof(float));
}

/* ---- stages of a chunk ------------------------------------------------------------------------------------------- */

/* Whether the messages of a chunk are bfloat16. */
static bool is_bf16(const ls_internode *n, const ls_chunk *c)
{
    return n->bf16 && !c->gather_base && !c->request.everywhere;
}

/* The message that sends `count` floats at `x`: the floats themselves, or their bfloat16 values packed into the chunk's
 * buffer, of which *used floats are taken. */
static ls_transfer outgoing(ls_internode *n, const ls_chunk *c, int rank, float *x, int64_t count, int64_t *used)
{
    if (!is_bf16(n, c)) return (ls_transfer){rank, x, (size_t)count};
    float *packed = (float *)n->packed.data + (size_t)slot_of(n, c) * n->packed_floats + *used;
    ls__bf16_pack(count, x, packed);
    *used += ls__bf16_room(count);
    return (ls_transfer){rank, packed, (size_t)ls__bf16_room(count)};
}

static ls_transfer incoming(const ls_internode *n, const ls_chunk *c, int rank, float *x, int64_t count)
{
    if (!is_bf16(n, c)) return (ls_transfer){rank, x, (size_t)count};
    return (ls_transfer){rank, ls__bf16_rear(count, x), (size_t)ls__bf16_room(count)};
}

/* Points n->vector at the partial sums of all hosts for this rank's partition, and fills n->receive with the messages
 * that bring those of other hosts; returns the number of messages. */
static int place_partials(ls_internode *n, const ls_chunk *c, ls_range range)
{
    const ls_allreduce_schedule *s       = n->schedule;
    const ls_allreduce_host     *own     = ls__allreduce_own_host(s);
    const size_t                 foreign = (size_t)(s->partials - own->partials);
    float *buffer   = (float *)n->receive_buffer.data + (size_t)slot_of(n, c) * foreign * (size_t)n->chunk_floats;
    int    receives = 0, partial = 0;
    ls__intrahost_place(n->intrahost, &c->request, range.offset);
    for (int i = 0; i < s->partials; i++) {
        if (s->partial_host[i] == s->own_host) {
            n->vector[i] = n->intrahost->vector[own->partial[partial++].vector];
            continue;
        }
        int from               = ls__allreduce_delegate(s, s->partial_host[i], s->rank);
        n->vector[i]           = buffer;
        n->receive[receives++] = incoming(n, c, from, buffer, range.count);
        buffer += n->chunk_floats;
    }
    n->vector[s->partials] = n->intrahost->vector[own->vectors];
    return receives;
}

/* Adds the blocks of this host for each partition that it is the delegate for, then starts the messages of the partial
 * sums. */
static ls_status start_scatter(ls_internode *n, ls_chunk *c)
{
    const ls_allreduce_schedule *s     = n->schedule;
    const ls_allreduce_host     *own   = ls__allreduce_own_host(s);
    int                          sends = 0;
    int64_t                      used  = 0;
    for (int d = 1; d <= s->ranks; d++) { /* each rank starts with its neighbour: spreads the load over receivers */
        int      owner = (s->rank + d) % s->ranks;
        ls_range range = chunk_range(n, c->request.range.count, owner, c->index);
        if (owner != s->rank && !is_delegate(n, owner)) continue;
        ls__intrahost_place(n->intrahost, &c->request, range.offset);
        ls__add_vectors(range.count, own->additions, own->addition, n->intrahost->vector, &(ls_output_step){0});
        for (int i = 0; i < own->partials && owner != s->rank; i++) {
            float *partial   = n->intrahost->vector[own->partial[i].vector];
            n->send[sends++] = outgoing(n, c, owner, partial, range.count, &used);
        }
    }
    int receives = place_partials(n, c, chunk_range(n, c->request.range.count, s->rank, c->index));
    if (c->with_header) exchange_headers(n, &sends, &receives);
    LS_TRY(ls__comm_start(n->comm, LS_CHANNEL_SCATTER, sends, n->send, receives, n->receive, &c->flow));
    return LS_OK;
}

/* Adds the partial sums of all hosts for this rank's partition. */
static void reduce_chunk(ls_internode *n, ls_chunk *c)
{
    const ls_allreduce_schedule *s     = n->schedule;
    ls_range                     range = chunk_range(n, c->request.range.count, s->rank, c->index);
    if (c->with_header) reduce_headers(n);
    place_partials(n, c, range);
    for (int i = 0; i < s->partials && is_bf16(n, c); i++)
        if (s->partial_host[i] != s->own_host)
            ls__bf16_unpack(range.count, n->vector[i]);
        else /* rounds the own partial sums like those of other hosts, so that the bits do not depend on the owner */
            ls__bf16_round_all(range.count, n->vector[i]);
    ls_output_step last = {.output = n->vector[s->partials],
                           .addend = ls__intrahost_addend_at(n->intrahost, &c->request, range.offset)};
    if (s->additions == 0 && n->vector[0] != last.output)
        memcpy(last.output, n->vector[0], (size_t)range.count * sizeof(float));
    ls__add_vectors(range.count, s->additions, s->addition, n->vector, &last);
    if (is_bf16(n, c) && !c->request.is_addend) /* the other hosts receive the rounded sum */
        ls__bf16_round_all(range.count, last.output);
}

/* Starts the messages of the reduced partitions: each goes to one rank of every other host. */
static ls_status start_gather(ls_internode *n, ls_chunk *c)
{
    const ls_allreduce_schedule *s     = n->schedule;
    int                          sends = 0, receives = 0;
    int64_t                      used = 0;
    float      *base  = c->gather_base ? c->gather_base : ls__intrahost_output_at(n->intrahost, &c->request, 0);
    ls_range    range = chunk_range(n, c->request.range.count, s->rank, c->index);
    ls_transfer out   = outgoing(n, c, s->rank, base + range.offset, range.count, &used);
    for (int d = 1; d < s->hosts; d++) {
        out.rank         = ls__allreduce_delegate(s, (s->own_host + d) % s->hosts, s->rank);
        n->send[sends++] = out;
    }
    for (int d = 1; d < s->ranks; d++) {
        int      owner = (s->rank - d + s->ranks) % s->ranks;
        ls_range r     = chunk_range(n, c->request.range.count, owner, c->index);
        if (is_delegate(n, owner)) n->receive[receives++] = incoming(n, c, owner, base + r.offset, r.count);
    }
    LS_TRY(ls__comm_start(n->comm, LS_CHANNEL_GATHER, sends, n->send, receives, n->receive, &c->flow));
    return LS_OK;
}

/* Copies the reduced partitions that this rank owns or received to the other blocks of the host that need them. */
static void copy_gathered(ls_internode *n, const ls_chunk *c)
{
    const ls_allreduce_schedule *s    = n->schedule;
    float                       *base = ls__intrahost_output_at(n->intrahost, &c->request, 0);
    for (int owner = 0; owner < s->ranks; owner++) {
        ls_range r = chunk_range(n, c->request.range.count, owner, c->index);
        if (owner != s->rank && !is_delegate(n, owner)) continue;
        if (is_bf16(n, c) && owner != s->rank) ls__bf16_unpack(r.count, base + r.offset);
        ls_output_step last = {.output = base + r.offset, .copy = n->intrahost->copy};
        last.copies         = ls__intrahost_copies(n->intrahost, &c->request, last.output, r.offset);
        ls__add_vectors(r.count, 0, NULL, NULL, &last);
    }
}

static void record_messages(const ls_internode *n, const ls_chunk *c)
{
    const ls_allreduce_request *r = &c->request;
    ls__flight_travelled(n->comm->flight, &(ls_flight_travel){.begin_ns = c->began_ns,
                                                              .end_ns   = ls__clock_ns(),
                                                              .offset   = (uint64_t)(r->range.offset + r->trace_shift),
                                                              .count    = (uint64_t)r->range.count,
                                                              .lane     = (int32_t)slot_of(n, c),
                                                              .back     = c->stage == LS_CHUNK_GATHER});
}

/* Moves a chunk to the next stages that it can enter without waiting.  `limit` is the lowest stage of the chunks that
 * started earlier. */
static ls_status advance_chunk(ls_internode *n, ls_chunk *c, ls_chunk_stage limit, bool *moved)
{
    const ls_chunk_stage was = c->stage;
    if (c->stage == LS_CHUNK_SCATTER && limit >= LS_CHUNK_REDUCED) {
        LS_TRY(ls__comm_test(n->comm, &c->flow));
        if (!c->flow) {
            bool last_stage =
                (n->intrahost->output == LS_ALLREDUCE_PARTITIONED && !c->request.everywhere) || c->request.is_addend;
            record_messages(n, c);
            reduce_chunk(n, c);
            c->stage = last_stage ? LS_CHUNK_DONE : LS_CHUNK_REDUCED;
        }
    }
    if (c->stage == LS_CHUNK_REDUCED && limit >= LS_CHUNK_GATHER) {
        c->began_ns = ls__clock_ns();
        LS_TRY(start_gather(n, c));
        c->stage = LS_CHUNK_GATHER;
    }
    if (c->stage == LS_CHUNK_GATHER && limit == LS_CHUNK_DONE) {
        LS_TRY(ls__comm_test(n->comm, &c->flow));
        if (!c->flow) {
            record_messages(n, c);
            if (!c->gather_base) copy_gathered(n, c);
            c->stage = LS_CHUNK_DONE;
        }
    }
    *moved |= c->stage != was;
    return LS_OK;
}

/* ---- the pipeline ------------------------------------------------------------------------------------------------ */

/* True when another chunk may start.  The limit on floats in flight bounds how far one rank gets ahead of the slowest,
 * and keeps reduced partitions from queueing behind partial sums that are not urgent. */
static bool has_capacity(const ls_internode *n)
{
    int64_t floats = 0;
    for (uint64_t i = n->chunk_begin; i < n->chunk_end; i++) floats += n->chunk[i % LS_ALLREDUCE_MAX_IN_FLIGHT].floats;
    return n->chunk_end - n->chunk_begin < LS_ALLREDUCE_MAX_IN_FLIGHT && floats < MAX_FULL_CHUNKS * n->chunk_floats;
}

/* Starts the next chunk of the oldest queued bucket, if all members of the host have begun that bucket. */
static ls_status start_next_chunk(ls_internode *n, bool *moved)
{
    ls_internode_entry *e       = &n->queue[n->queue_begin % LS_ALLREDUCE_MAX_QUEUED];
    ls_shared_memory   *shared  = n->intrahost->shared;
    const bool          reduces = !e->gather_base;
    if (e->next_chunk == 0 && shared && reduces && !ls__shared_memory_complete(shared, e->ticket)) return LS_OK;
    if (e->next_chunk < chunks_of(n, e)) {
        ls_chunk *c    = &n->chunk[n->chunk_end % LS_ALLREDUCE_MAX_IN_FLIGHT];
        int64_t   left = largest_partition(n, e->request.range.count) - e->next_chunk * n->chunk_floats;
        *c             = (ls_chunk){.request     = e->request,
                                    .index       = e->next_chunk,
                                    .with_header = e->with_header && e->next_chunk == 0,
                                    .gather_base = e->gather_base,
                                    .bucket      = n->queue_begin,
                                    .floats      = left < n->chunk_floats ? left : n->chunk_floats,
                                    .stage       = reduces ? LS_CHUNK_SCATTER : LS_CHUNK_REDUCED,
                                    .began_ns    = ls__clock_ns()};
        e->next_chunk++;
        n->chunk_end++;
        if (reduces) LS_TRY(start_scatter(n, c));
    }
    if (e->next_chunk >= chunks_of(n, e)) n->queue_begin++;
    *moved = true;
    return LS_OK;
}

/* Number of buckets, in the order in which they were begun, whose blocks this rank has read. */
static uint64_t buckets_read(const ls_internode *n)
{
    for (uint64_t i = n->chunk_begin; i < n->chunk_end; i++) {
        const ls_chunk *c = &n->chunk[i % LS_ALLREDUCE_MAX_IN_FLIGHT];
        if (c->stage == LS_CHUNK_SCATTER) return c->bucket;
    }
    return n->queue_begin;
}

static ls_status advance_all(ls_internode *n, bool *moved)
{
    bool more = true;
    while (more) {
        ls_chunk_stage limit = LS_CHUNK_DONE;
        more                 = false;
        for (uint64_t i = n->chunk_begin; i < n->chunk_end; i++) {
            ls_chunk *c = &n->chunk[i % LS_ALLREDUCE_MAX_IN_FLIGHT];
            LS_TRY(advance_chunk(n, c, limit, &more));
            if (c->stage < limit) limit = c->stage;
        }
        while (n->chunk_begin < n->chunk_end &&
               n->chunk[n->chunk_begin % LS_ALLREDUCE_MAX_IN_FLIGHT].stage == LS_CHUNK_DONE)
            n->chunk_begin++;
        if (n->queue_begin < n->queue_end && has_capacity(n)) LS_TRY(start_next_chunk(n, &more));
        *moved |= more;
    }
    if (n->intrahost->separate && n->intrahost->shared)
        ls__shared_memory_done(n->intrahost->shared, (uint32_t)buckets_read(n));
    return LS_OK;
}

/* Stores the first error for the thread that waits for the sums. */
static void advance_unlocked(ls_internode *n, bool *moved)
{
    if (n->status != LS_OK) return;
    n->status = advance_all(n, moved);
    if (n->status != LS_OK) snprintf(n->message, sizeof n->message, "%s", ls_error_message());
}

ls_status ls__internode_advance(ls_internode *n, bool *moved)
{
    pthread_mutex_lock(&n->lock);
    advance_unlocked(n, moved);
    ls_status status = n->status;
    pthread_mutex_unlock(&n->lock);
    return status == LS_OK ? LS_OK : LS_FAIL(status, "%s", n->message);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* Advances the pipeline until `condition` holds. */
static ls_status advance_until(ls_internode *n, bool (*condition)(ls_internode *n, uint64_t number), uint64_t number)
{
    bool      idle   = false;
    ls_status status = LS_OK;
    while (status == LS_OK && !condition(n, number)) {
        bool moved = false;
        status     = ls__internode_advance(n, &moved);
        if (moved || status != LS_OK) continue;
        if (!idle)
            ls__flight_begin(
                n->comm->flight,
                &(ls_flight_note){.phase = LS_PHASE_WAIT, .what = "messages between hosts", .apart = true});
        idle = true;
        ls__comm_idle(n->comm);
    }
    if (idle) ls__flight_end(n->comm->flight);
    return status;
}

static bool queue_at_most(ls_internode *n, uint64_t entries)
{
    pthread_mutex_lock(&n->lock);
    bool done = n->queue_end - n->queue_begin <= entries;
    pthread_mutex_unlock(&n->lock);
    return done;
}

static bool all_done(ls_internode *n, uint64_t unused)
{
    (void)unused;
    pthread_mutex_lock(&n->lock);
    bool done = n->queue_begin == n->queue_end && n->chunk_begin == n->chunk_end;
    pthread_mutex_unlock(&n->lock);
    return done;
}

static bool host_has_read(ls_internode *n, uint64_t number)
{
    ls_shared_memory *shared = n->intrahost->shared;
    pthread_mutex_lock(&n->lock);
    bool done = buckets_read(n) >= number;
    pthread_mutex_unlock(&n->lock);
    return done && (!shared || ls__shared_memory_all_done(shared, (uint32_t)number));
}

ls_status ls__internode_begin(ls_internode *n, const ls_internode_entry *entry)
{
    bool moved = false;
    LS_TRY(advance_until(n, queue_at_most, LS_ALLREDUCE_MAX_QUEUED - 1));
    pthread_mutex_lock(&n->lock);
    n->queue[n->queue_end++ % LS_ALLREDUCE_MAX_QUEUED] = *entry;
    if (n->sleeping) pthread_cond_signal(&n->wake);
    pthread_mutex_unlock(&n->lock);
    return n->threaded ? LS_OK : ls__internode_advance(n, &moved);
}

ls_status ls__internode_finish(ls_internode *n) { return advance_until(n, all_done, 0); }

ls_status ls__internode_wait_read(ls_internode *n, uint64_t number) { return advance_until(n, host_has_read, number); }

/* ---- the progress thread ----------------------------------------------------------------------------------------- */

static void *run_thread(void *internode)
{
    enum { SLEEP_NS = 20000 };
    ls_internode *n = internode;
    omp_set_num_threads(1); /* the other cores compute */
    pthread_mutex_lock(&n->lock);
    while (!n->stop) {
        bool moved = false;
        if (n->queue_begin == n->queue_end && n->chunk_begin == n->chunk_end) {
            n->sleeping = true;
            pthread_cond_wait(&n->wake, &n->lock);
            n->sleeping = false;
            continue;
        }
        advance_unlocked(n, &moved);
        pthread_mutex_unlock(&n->lock);
        if (!moved) nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL); /* the core may be needed to compute */
        pthread_mutex_lock(&n->lock);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

ls_status ls__internode_start_thread(ls_internode *n)
{
    if (n->schedule->hosts == 1 || n->threaded) return LS_OK;
    LS_CHECK(n->comm->threads, LS_ERR_ENV,
             "train.overlap=thread: the communicator '%s' supports calls from one thread only" LS_HINT
             "use train.overlap=poll; a program that initialises MPI itself must call MPI_Init_thread with "
             "MPI_THREAD_SERIALIZED",
             n->comm->table->name);
    int error = pthread_create(&n->thread, NULL, run_thread, n);
    LS_CHECK(!error, LS_ERR_ENV,
             "train.overlap=thread: cannot create the progress thread: %s" LS_HINT "use train.overlap=poll",
             strerror(error));
    n->threaded = true;
    return LS_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

ls_status ls__internode_init(ls_internode *n, ls_arena *arena, ls_comm *comm, ls_intrahost *intrahost,
                             int64_t max_count)
{
    const ls_allreduce_schedule *s        = intrahost->schedule;
    const ls_allreduce_host     *own      = ls__allreduce_own_host(s);
    const int                    ranks    = s->ranks;
    int                          sends    = ranks * own->partials > s->hosts ? ranks * own->partials : s->hosts;
    int                          receives = s->partials > ranks ? s->partials : ranks;
    int64_t                      limit    = (int64_t)ranks * MIN_CHUNK_PER_RANK;
    limit                                 = limit < MIN_CHUNK ? MIN_CHUNK : limit < MAX_CHUNK ? limit : MAX_CHUNK;
    if (limit > max_count) limit = max_count;
    if (limit < LS_PARTITION_ALIGN) limit = LS_PARTITION_ALIGN;
    int64_t units_per_rank = ((limit + LS_PARTITION_ALIGN - 1) / LS_PARTITION_ALIGN + ranks - 1) / ranks;
    *n                     = (ls_internode){.schedule     = s,
                                            .intrahost    = intrahost,
                                            .comm         = comm,
                                            .chunk_floats = units_per_rank * LS_PARTITION_ALIGN,
                                            .lock         = PTHREAD_MUTEX_INITIALIZER,
                                            .wake         = PTHREAD_COND_INITIALIZER};
    n->send                = ls_arena_alloc(arena, sizeof *n->send * 2 * (size_t)(sends + 1));
    n->receive             = ls_arena_alloc(arena, sizeof *n->receive * 2 * (size_t)(receives + 1));
    n->vector              = ls_arena_alloc(arena, sizeof *n->vector * (size_t)(s->partials + 1));
    size_t foreign         = (size_t)(s->partials - own->partials);
    LS_TRY(ls_block_new(&n->receive_buffer,
                        LS_ALLREDUCE_MAX_IN_FLIGHT * foreign * (size_t)n->chunk_floats * sizeof(float), "all-reduce"));
    return LS_OK;
}

void ls__internode_free(ls_internode *n)
{
    if (n->threaded) {
        pthread_mutex_lock(&n->lock);
        n->stop = true;
        pthread_cond_signal(&n->wake);
        pthread_mutex_unlock(&n->lock);
        pthread_join(n->thread, NULL);
    }
    if (n->chunk_begin < n->chunk_end) ls__comm_drop(n->comm);
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->wake);
    ls_block_free(&n->receive_buffer);
    ls_block_free(&n->packed);
}

void ls__internode_set_header(ls_internode *n, ls_arena *arena, int header_floats)
{
    n->header_vector =
        ls_arena_alloc(arena, (size_t)header_floats * sizeof(float) * (size_t)(n->schedule->partials + 1));
}

ls_status ls__internode_send_bf16(ls_internode *n)
{
    size_t messages  = (size_t)(ls__allreduce_own_host(n->schedule)->partials + 1) * (size_t)n->schedule->ranks;
    n->bf16          = true;
    n->packed_floats = messages * (size_t)(n->chunk_floats / 2 + 1);
    LS_TRY(ls_block_new(&n->packed, LS_ALLREDUCE_MAX_IN_FLIGHT * n->packed_floats * sizeof(float), "all-reduce"));
    return LS_OK;
}

void ls__internode_set_blocks(ls_internode *n, float *block0, size_t stride)
{
    pthread_mutex_lock(&n->lock);
    ls__intrahost_set_blocks(n->intrahost, block0, stride);
    pthread_mutex_unlock(&n->lock);
}
