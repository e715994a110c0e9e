/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory is shown as a file without a name that the others open through /proc/PID/fd, as windows do.  Where that does
 * not work (ranks in containers that do not see each other's processes) a rank is a host of its own, and talks by
 * datagrams.
 *
 * Datagrams and not connections: words are said again and again, so none has to arrive; a stopped rank holds nobody up;
 * and there is no state that could break. */
#include "dist/comm/heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x4c6f636b73746570u

static size_t seat_bytes(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (sizeof(ls_seat) + page - 1) / page * page;
}

bool ls__process_look(int process, char *state, int64_t *started)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t n = read(file, text, sizeof text - 1);
    close(file);
    if (n <= 0) return false;
    text[n] = 0;
    /* The name stands in parentheses, and may hold anything. */
    const char *p = strrchr(text, ')');
    long long   ticks;
    if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld", state,
                     &ticks) != 2)
        return false;
    *started = ticks;
    return true;
}

/* ---- showing memory ---------------------------------------------------------------------------------------------- */

static ls_seat *map_seat(int file)
{
    void *seat = mmap(NULL, seat_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
    return seat == MAP_FAILED ? NULL : seat;
}

static ls_status make_seat(ls_heartbeat *c, ls_peer *mine)
{
    mine->file = memfd_create("lockstep flight", MFD_CLOEXEC);
    if (mine->file >= 0 && ftruncate(mine->file, (off_t)seat_bytes()) != 0) { /* there is a limit on files, say */
        close(mine->file);
        mine->file = -1;
    }
    LS_CHECK((c->own = map_seat(mine->file)), LS_ERR_ENV, "no memory for the flight recorder: %zu bytes: %s",
             seat_bytes(), strerror(errno));
    if (getrandom(&mine->token, sizeof mine->token, 0) != (ssize_t)sizeof mine->token)
        mine->token = (uint64_t)ls__flight_now();
    c->own->token = mine->token;
    atomic_store(&c->own->log.idle_ns, ls__flight_now());
    return LS_OK;
}

static ls_seat *open_seat(const ls_peer *its)
{
    char        path[64];
    struct stat s;
    if (its->file < 0) return NULL; /* it has nothing to show */
    snprintf(path, sizeof path, "/proc/%d/fd/%d", its->process, its->file);
    int file = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) return NULL;
    ls_seat *seat =
        fstat(file, &s) == 0 && S_ISREG(s.st_mode) && (size_t)s.st_size == seat_bytes() ? map_seat(file) : NULL;
    close(file);
    if (seat && seat->token != its->token) {
        munmap(seat, seat_bytes());
        return NULL;
    }
    return seat;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void find_addresses(ls_peer *mine)
{
    enum { MOST = sizeof mine->address / sizeof *mine->address };
    struct ifaddrs *all = NULL;
    int             n   = 0;
    if (getifaddrs(&all) != 0) return;
    for (const struct ifaddrs *i = all; i && n < MOST; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) ||
            (i->ifa_flags & IFF_LOOPBACK))
            continue;
        mine->address[n++] = ((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
    }
    /* Last, for ranks of one host that cannot share memory. */
    if (n < MOST) mine->address[n].s_addr = htonl(INADDR_LOOPBACK);
    freeifaddrs(all);
}

static ls_status open_socket(ls_heartbeat *c, ls_peer *mine)
{
    struct sockaddr_in any    = {.sin_family = AF_INET};
    socklen_t          length = sizeof any;
    c->socket                 = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    LS_CHECK(c->socket >= 0 && bind(c->socket, (struct sockaddr *)&any, sizeof any) == 0 &&
                 getsockname(c->socket, (struct sockaddr *)&any, &length) == 0,
             LS_ERR_ENV, "no socket for the watchdog: %s", strerror(errno));
    /* Of a port where nobody listens any more the other host says so. */
    (void)setsockopt(c->socket, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int));
    mine->port = any.sin_port;
    find_addresses(mine);
    return LS_OK;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* LOCKSTEP_CONTROL=udp: no memory is shown, as if every rank had a host of its own. */
static bool may_share(void)
{
    const char *asked = getenv("LOCKSTEP_CONTROL");
    return !(asked && !strcmp(asked, "udp"));
}

/* Opens what the others of this host show; all of a host or none, as far as this rank can tell. */
static bool open_seats(ls_heartbeat *c, const ls_comm *comm)
{
    bool whole = true;
    for (int r = 0; r < c->ranks; r++) {
        if (r != c->rank && (!comm->host || comm->host[r] != comm->host[c->rank])) continue;
        if (r == c->rank) c->me = c->members;
        c->member[c->members] = r;
        c->seat[c->members]   = r == c->rank ? c->own : may_share() ? open_seat(&c->peer[r]) : NULL;
        whole &= c->seat[c->members++] != NULL;
    }
    return whole;
}

/* This rank alone. */
static void stand_alone(ls_heartbeat *c)
{
    for (int m = 0; m < c->members; m++)
        if (m != c->me && c->seat[m]) munmap(c->seat[m], seat_bytes());
    c->members = 1;
    c->me = c->member[0] = 0;
    c->member[0]         = c->rank;
    c->seat[0]           = c->own;
}

/* All ranks of this rank's host see each other's memory. */
static bool host_is_whole(const ls_comm *comm, const int32_t *sees, int rank)
{
    for (int r = 0; r < comm->size; r++)
        if (comm->host[r] == comm->host[rank] && !sees[r]) return false;
    return true;
}

/* Addresses of other hosts that this one has, too (loopback, bridges of containers), lead here and not there. */
static void forget_own_addresses(ls_heartbeat *c, const ls_comm *comm, const ls_peer *mine)
{
    enum { MOST = sizeof mine->address / sizeof *mine->address };
    for (int r = 0; r < c->ranks; r++)
        for (int a = 0; a < MOST && comm->host && comm->host[r] != comm->host[c->rank]; a++)
            for (int k = 0; k < MOST; k++)
                if (c->peer[r].address[a].s_addr == mine->address[k].s_addr) c->peer[r].address[a].s_addr = 0;
}

static ls_status meet(ls_heartbeat *c, ls_comm *comm, ls_peer *mine)
{
    LS_TRY(ls_comm_allgather(comm, mine, c->peer, sizeof *mine));
    forget_own_addresses(c, comm, mine);
    int32_t sees = open_seats(c, comm), *all = ls_arena_alloc(c->memory, sizeof *all * (size_t)c->ranks);
    LS_TRY(ls_comm_allgather(comm, &sees, all, sizeof sees));
    int groups = 0;
    for (int r = 0; r < c->ranks; r++) {
        c->group[r] = comm->host && host_is_whole(comm, all, r) ? comm->host[r] : r;
        groups += c->group[r] == r;
    }
    if (comm->host && !host_is_whole(comm, all, c->rank)) stand_alone(c);
    c->token = c->peer[0].token;
    if (groups == 1 && c->socket >= 0) {
        close(c->socket);
        c->socket = -1;
    }
    return LS_OK;
}

ls_status ls__heartbeat_new(ls_heartbeat **out, ls_comm *comm)
{
    ls_arena *memory = NULL;
    LS_TRY(ls_comm_agree(comm, ls_arena_new(&memory, "control")));
    ls_heartbeat *c    = ls_arena_alloc(memory, sizeof *c);
    size_t        many = (size_t)comm->size;
    *c                 = (ls_heartbeat){.memory = memory, .rank = comm->rank, .ranks = comm->size, .socket = -1};
    c->peer            = ls_arena_alloc(memory, sizeof *c->peer * many);
    c->group           = ls_arena_alloc(memory, sizeof *c->group * many);
    c->member          = ls_arena_alloc(memory, sizeof *c->member * many);
    c->seat            = ls_arena_alloc(memory, sizeof *c->seat * many);
    ls_peer mine       = {.rank = comm->rank, .process = (int32_t)getpid(), .file = -1};
    char    state;
    gethostname(mine.host, sizeof mine.host - 1);
    ls__process_look(mine.process, &state, &mine.started);
    ls_status status = make_seat(c, &mine);
    if (status == LS_OK && comm->size > 1) status = open_socket(c, &mine);
    status = ls_comm_agree(comm, status);
    if (status == LS_OK) status = meet(c, comm, &mine);
    if (mine.file >= 0) close(mine.file); /* after the second all-gather everybody has opened it */
    if (status != LS_OK) {
        ls__heartbeat_free(c);
        return status;
    }
    *out = c;
    return LS_OK;
}

void ls__heartbeat_free(ls_heartbeat *c)
{
    if (!c) return;
    for (int m = 0; m < c->members; m++)
        if (c->seat[m] && c->seat[m] != c->own) munmap(c->seat[m], seat_bytes());
    if (c->own) munmap(c->own, seat_bytes());
    if (c->socket >= 0) close(c->socket);
    ls_arena_free(c->memory);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

void ls__heartbeat_send(ls_heartbeat *c, ls_heartbeat_message *word, const struct sockaddr_in *to)
{
    word->magic = MAGIC;
    word->token = c->token;
    word->from  = c->rank;
    if (c->socket >= 0)
        (void)sendto(c->socket, word, sizeof *word, MSG_NOSIGNAL, (const struct sockaddr *)to, sizeof *to);
}

void ls__heartbeat_send_rank(ls_heartbeat *c, ls_heartbeat_message *word, int rank)
{
    const ls_peer *p    = &c->peer[rank];
    const bool     here = !strcmp(p->host, c->peer[c->rank].host);
    for (size_t a = 0; a < sizeof p->address / sizeof *p->address; a++)
        if (p->address[a].s_addr && (here || p->address[a].s_addr != htonl(INADDR_LOOPBACK)))
            ls__heartbeat_send(
                c, word, &(struct sockaddr_in){.sin_family = AF_INET, .sin_port = p->port, .sin_addr = p->address[a]});
}

bool ls__heartbeat_refused(ls_heartbeat *c, struct sockaddr_in *at)
{
    while (c->socket >= 0) {
        char          control[512];
        struct msghdr message = {
            .msg_name = at, .msg_namelen = sizeof *at, .msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(c->socket, &message, MSG_ERRQUEUE) < 0) return false;
        for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
            struct sock_extended_err error;
            if (part->cmsg_level != IPPROTO_IP || part->cmsg_type != IP_RECVERR) continue;
            memcpy(&error, CMSG_DATA(part), sizeof error);
            if (error.ee_errno == ECONNREFUSED) return true;
        }
    }
    return false;
}

bool ls__heartbeat_receive(ls_heartbeat *c, ls_heartbeat_message *word, struct sockaddr_in *from)
{
    while (c->socket >= 0) {
        socklen_t length = sizeof *from;
        ssize_t   n      = recvfrom(c->socket, word, sizeof *word, 0, (struct sockaddr *)from, &length);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
        if (n < 0 && errno != EINTR && errno != ECONNREFUSED) return false;
        if (n == (ssize_t)sizeof *word && word->magic == MAGIC && word->token == c->token && word->from >= 0 &&
            word->from < c->ranks)
            return true;
    }
    return false;
}

/* What does not fit into one packet is lost when either half is. */
_Static_assert(sizeof(ls_heartbeat_message) <= 1472, "a word fits into one packet of 1,500 bytes");
