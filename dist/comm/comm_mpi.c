/* SPDX-License-Identifier: Apache-2.0
 *
 * The communicator over MPI.  It works on a duplicate of MPI_COMM_WORLD, so that its messages never match those of a
 * program that uses MPI as well.  MPI reports errors as codes (MPI_ERRORS_RETURN), which become messages.  MPI counts
 * are ints, so longer messages are cut into pieces.
 *
 * After an error the communicator is broken and no collective is called any more, MPI_Finalize included: it waits for
 * all ranks, and they may be waiting for this one.  When a process ends without MPI_Finalize, mpirun and srun end the
 * other ranks.
 */
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dist/comm/comm.h"
#include "dist/comm/launcher.h"

enum { TAG = 77 }; /* tag of the first channel; the others follow */

/* Over TCP, Open MPI sends a message above its eager limit (64 KiB) only after the receiver has acknowledged a request.
 * The acknowledgement queues behind the traffic in the other direction, so two ranks that send to each other alternate,
 * each at half the rate of the link.  Between hosts messages are therefore cut into pieces below a raised eager limit.
 * Receives are posted first, so that no piece needs a buffer inside MPI. */
#define TCP_PIECE ((size_t)1 << 20)
#define TCP_LIMIT "1052672" /* bytes: one piece and 4 KiB for headers */

typedef struct flow {
    ls_flow      base;
    MPI_Request *request;
    int          posted, room;
} flow;

typedef struct mpi_comm {
    ls_comm  base;
    MPI_Comm world;
    bool     started; /* this communicator started MPI and finalizes it                 */
    size_t   piece;   /* largest piece of a message, bytes                              */
    int      idles;   /* calls of idle since the last completed flow                    */
} mpi_comm;

#define MPI_OF(comm) ((mpi_comm *)(comm))

#define LS_TRY_MPI(comm, call)                                                                                         \
    do {                                                                                                               \
        int mpi_code = (call);                                                                                         \
        if (mpi_code != MPI_SUCCESS) return ls__mpi_fail(mpi_code, (comm), #call, __FILE__, __LINE__, __func__);       \
    } while (0)

static ls_status ls__mpi_fail(int code, const ls_comm *comm, const char *call, const char *file, int line,
                              const char *func)
{
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int  length;
    MPI_Error_string(code, text, &length);
    int name = (int)strcspn(call, "(");
    return ls__fail(LS_ERR_ENV, file, line, func, "%.*s failed on rank %d of %d: %s", name, call, comm->rank,
                    comm->size, text);
}

static ls_status barrier(ls_comm *comm)
{
    LS_TRY_MPI(comm, MPI_Barrier(MPI_OF(comm)->world));
    return LS_OK;
}

static ls_status bcast(ls_comm *comm, void *data, size_t bytes, int root)
{
    mpi_comm *c = MPI_OF(comm);
    for (size_t at = 0; at < bytes; at += c->piece) {
        size_t n = bytes - at < c->piece ? bytes - at : c->piece;
        LS_TRY_MPI(comm, MPI_Bcast((char *)data + at, (int)n, MPI_BYTE, root, c->world));
    }
    return LS_OK;
}

static ls_status allgather(ls_comm *comm, const void *send, void *receive, size_t bytes)
{
    mpi_comm *c = MPI_OF(comm);
    if (bytes <= c->piece) {
        LS_TRY_MPI(comm, MPI_Allgather(send, (int)bytes, MPI_BYTE, receive, (int)bytes, MPI_BYTE, c->world));
        return LS_OK;
    }
    for (int root = 0; root < comm->size; root++) {
        char *slot = (char *)receive + bytes * (size_t)root;
        if (root == comm->rank) memmove(slot, send, bytes);
        LS_TRY(bcast(comm, slot, bytes, root));
    }
    return LS_OK;
}

static size_t count_pieces(const mpi_comm *c, int n, const ls_transfer *t)
{
    size_t pieces = 0;
    for (int i = 0; i < n; i++) pieces += (t[i].count * sizeof(float) + c->piece - 1) / c->piece;
    return pieces;
}

/* Returns a free flow with room for `need` requests. */
static ls_status take_flow(mpi_comm *c, size_t need, flow **out)
{
    enum { ROOM = 64 };
    LS_CHECK(need <= 1 << 24, LS_ERR_FAILED, "exchange: expected at most 2^24 messages at once, found %zu", need);
    flow *f = (flow *)ls__flow_take(&c->base, sizeof *f);
    LS_CHECK(f, LS_ERR_ENV, "exchange: no memory for messages");
    if (need > (size_t)f->room || !f->room) {
        size_t       room    = need > ROOM ? need : ROOM;
        MPI_Request *request = realloc(f->request, room * sizeof *request);
        LS_CHECK(request, LS_ERR_ENV, "exchange: no memory for %zu messages", need);
        f->request = request;
        f->room    = (int)room;
    }
    f->posted = 0;
    *out      = f;
    return LS_OK;
}

/* Posts the sends or receives of one message, piece by piece. */
static ls_status post(ls_comm *comm, flow *f, const ls_transfer *t, int tag, bool receives)
{
    mpi_comm    *c      = MPI_OF(comm);
    const size_t floats = c->piece / sizeof(float);
    for (size_t at = 0; at < t->count; at += floats) {
        int n = (int)(t->count - at < floats ? t->count - at : floats);
        if (receives)
            LS_TRY_MPI(comm, MPI_Irecv(t->data + at, n, MPI_FLOAT, t->rank, tag, c->world, &f->request[f->posted]));
        else
            LS_TRY_MPI(comm, MPI_Isend(t->data + at, n, MPI_FLOAT, t->rank, tag, c->world, &f->request[f->posted]));
        f->posted++;
    }
    return LS_OK;
}

static ls_status start(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                       const ls_transfer *receive, ls_flow **out)
{
    mpi_comm *c = MPI_OF(comm);
    flow     *f = NULL;
    *out        = NULL;
    LS_TRY(take_flow(c, count_pieces(c, sends, send) + count_pieces(c, receives, receive), &f));
    f->base.active = true;
    *out           = &f->base;
    /* Posted receives let MPI write arriving data to its final place, without a buffer. */
    for (int i = 0; i < receives; i++) LS_TRY(post(comm, f, &receive[i], TAG + channel, true));
    for (int i = 0; i < sends; i++) LS_TRY(post(comm, f, &send[i], TAG + channel, false));
    return LS_OK;
}

static ls_status test(ls_comm *comm, ls_flow **out)
{
    flow *f        = (flow *)*out;
    int   complete = 0;
    LS_TRY_MPI(comm, MPI_Testall(f->posted, f->request, &complete, MPI_STATUSES_IGNORE));
    if (!complete) return LS_OK;
    f->base.active      = false;
    *out                = NULL;
    MPI_OF(comm)->idles = 0;
    return LS_OK;
}

/* Gives the core to other ranks while this one only waits: yields first, then sleeps 20 us at a time. */
static void idle(ls_comm *comm)
{
    enum { YIELDS = 500, NAP_NS = 20000 };
    if (MPI_OF(comm)->idles++ < YIELDS)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

/* Cancels the messages that have not completed. */
static void drop(ls_comm *comm)
{
    for (ls_flow *each = comm->flows; each; each = each->next) {
        flow *f = (flow *)each;
        for (int i = 0; each->active && i < f->posted; i++)
            if (f->request[i] != MPI_REQUEST_NULL && MPI_Cancel(&f->request[i]) == MPI_SUCCESS)
                MPI_Request_free(&f->request[i]);
        each->active = false;
    }
}

/* A probe makes MPI progress on all messages. */
static void poll(ls_comm *comm)
{
    int arrived;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_OF(comm)->world, &arrived, MPI_STATUS_IGNORE);
}

/* Finds the lowest rank on the host of each rank. */
static ls_status find_hosts(mpi_comm *c)
{
    ls_comm *b      = &c->base;
    int      lowest = b->rank; /* on this host */
    MPI_Comm host;
    b->host = malloc(sizeof *b->host * (size_t)b->size);
    LS_CHECK(b->host, LS_ERR_ENV, "MPI communicator: no memory for the hosts of %d ranks", b->size);
    LS_TRY_MPI(b, MPI_Comm_split_type(c->world, MPI_COMM_TYPE_SHARED, b->rank, MPI_INFO_NULL, &host));
    LS_TRY_MPI(b, MPI_Comm_size(host, &b->local_size));
    LS_TRY_MPI(b, MPI_Bcast(&lowest, 1, MPI_INT, 0, host));
    LS_TRY_MPI(b, MPI_Comm_free(&host));
    LS_TRY_MPI(b, MPI_Allgather(&lowest, 1, MPI_INT, b->host, 1, MPI_INT, c->world));
    return LS_OK;
}

static void free_requests(ls_flow *f) { free(((flow *)f)->request); }

static void release(ls_comm *comm)
{
    mpi_comm *c = MPI_OF(comm);
    if (!comm->broken) {
        MPI_Comm_free(&c->world);
        if (c->started) MPI_Finalize();
    }
    ls__flows_free(comm, free_requests);
    free(c->base.host);
    free(c);
}

static const ls_comm_table table = {.name      = "mpi",
                                    .barrier   = barrier,
                                    .bcast     = bcast,
                                    .allgather = allgather,
                                    .start     = start,
                                    .test      = test,
                                    .idle      = idle,
                                    .drop      = drop,
                                    .poll      = poll,
                                    .free      = release};

void ls__comm_mpi_set_piece(ls_comm *comm, size_t bytes) { MPI_OF(comm)->piece = bytes; }

ls_status ls__comm_mpi_allreduce(ls_comm *comm, float *data, int64_t count)
{
    LS_CHECK(count <= INT32_MAX, LS_ERR_FAILED, "MPI_Allreduce: expected at most 2147483647 floats, found %lld",
             (long long)count);
    LS_TRY_MPI(comm, MPI_Allreduce(MPI_IN_PLACE, data, (int)count, MPI_FLOAT, MPI_SUM, MPI_OF(comm)->world));
    return LS_OK;
}

static ls_status fill_in(mpi_comm *c, bool started)
{
    int rank = 0, size = 1;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    LS_TRY_MPI(&c->base, MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    LS_TRY_MPI(&c->base, MPI_Comm_size(MPI_COMM_WORLD, &size));
    LS_TRY(ls__launcher_check(size));
    LS_TRY_MPI(&c->base, MPI_Comm_dup(MPI_COMM_WORLD, &c->world));
    LS_TRY_MPI(&c->base, MPI_Comm_set_errhandler(c->world, MPI_ERRORS_RETURN));
    c->started = started;
    c->piece   = (size_t)1 << 30;
    ls__comm_init(&c->base, &table, rank, size);
    LS_TRY(find_hosts(c));
    if (c->base.local_size < size) c->piece = TCP_PIECE;
    return LS_OK;
}

bool ls__mpi_is_started(void)
{
    int started = 0;
    MPI_Initialized(&started);
    return started;
}

ls_status ls__comm_mpi_open(ls_comm **comm, int *argc, char ***argv)
{
    int        finalized = 0, level = MPI_THREAD_SINGLE;
    const bool started = ls__mpi_is_started();
    MPI_Finalized(&finalized);
    LS_CHECK(!finalized, LS_ERR_ENV, "MPI: already finalized in this process, cannot be started again");
    mpi_comm *c = calloc(1, sizeof *c);
    LS_CHECK(c, LS_ERR_ENV, "MPI communicator: no memory");
    setenv("OMPI_MCA_btl_tcp_eager_limit", TCP_LIMIT, 0);
    int       code = started ? MPI_Query_thread(&level) : MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &level);
    ls_status status;
    if (code != MPI_SUCCESS)
        status = LS_FAIL(LS_ERR_ENV, "MPI: start failed (code %d)" LS_HINT "does `mpirun -np 2 hostname` work?", code);
    else if (level < MPI_THREAD_FUNNELED)
        status = LS_FAIL(LS_ERR_ENV,
                         "MPI: expected thread level MPI_THREAD_FUNNELED, found level %d" LS_HINT
                         "a program that starts MPI itself calls MPI_Init_thread with MPI_THREAD_FUNNELED",
                         level);
    else
        status = fill_in(c, !started);
    c->base.threads = level >= MPI_THREAD_SERIALIZED;
    if (status != LS_OK) {
        free(c->base.host);
        free(c);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *comm = &c->base;
    return LS_OK;
}

const char *ls__mpi_library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int         length = 0;
    if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) return "unknown";
    text[strcspn(text, ",\n")] = 0; /* cuts off the packager and date that Open MPI appends */
    return text;
}
