/* SPDX-License-Identifier: Apache-2.0
 *
 * The heartbeat channel: shared memory within a host, UDP datagrams between hosts.
 *
 * Shared memory is a nameless file (memfd_create) that the other ranks of the host open through /proc/PID/fd, as in
 * dist/allreduce/shared_memory.c.  Where that fails (ranks in containers that do not see each other's processes), a
 * rank forms a group of its own and uses datagrams.
 *
 * Datagrams instead of connections: every message is repeated, so none of them has to arrive; a stopped rank blocks no
 * sender; and there is no connection state to repair. */
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
#include <unistd.h>

#include "core/base/clock.h"
#include "dist/comm/process_state.h"

#define MAGIC 0x4c6f636b73746570u

enum { ADDRESSES = sizeof((ls_rank_identity *)0)->address / sizeof *((ls_rank_identity *)0)->address };

static size_t block_bytes(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (sizeof(ls_rank_block) + page - 1) / page * page;
}

/* ---- shared memory ----------------------------------------------------------------------------------------------- */

/* Maps a block from a file; without a file (-1), maps private memory. */
static ls_rank_block *map_block(int file)
{
    int   flags = MAP_SHARED | (file < 0 ? MAP_ANONYMOUS : 0);
    void *block = mmap(NULL, block_bytes(), PROT_READ | PROT_WRITE, flags, file, 0);
    return block == MAP_FAILED ? NULL : block;
}

/* Creates the block of this rank.  Where no file can be made (limit on files), the block is private memory. */
static ls_status make_block(ls_heartbeat *hb, ls_rank_identity *own)
{
    own->file = memfd_create("lockstep flight", MFD_CLOEXEC);
    if (own->file >= 0 && ftruncate(own->file, (off_t)block_bytes()) != 0) {
        close(own->file);
        own->file = -1;
    }
    hb->own = map_block(own->file);
    LS_CHECK(hb->own, LS_ERR_ENV, "flight recorder: no memory for %zu bytes: %s", block_bytes(), strerror(errno));
    if (getrandom(&own->token, sizeof own->token, 0) != (ssize_t)sizeof own->token)
        own->token = (uint64_t)ls__clock_ns();
    hb->own->token = own->token;
    atomic_store(&hb->own->log.idle_ns, ls__clock_ns());
    return LS_OK;
}

/* Maps the block of another rank of this host; NULL when its memory is not accessible. */
static ls_rank_block *open_block(const ls_rank_identity *other)
{
    char        path[64];
    struct stat s;
    if (other->file < 0) return NULL;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", other->process, other->file);
    int file = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) return NULL;
    bool           fits  = fstat(file, &s) == 0 && S_ISREG(s.st_mode) && (size_t)s.st_size == block_bytes();
    ls_rank_block *block = fits ? map_block(file) : NULL;
    close(file);
    if (block && block->token != other->token) {
        munmap(block, block_bytes());
        return NULL;
    }
    return block;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

/* Lists the IPv4 addresses of this host; loopback last, for ranks of one host that cannot share memory. */
static void find_addresses(ls_rank_identity *own)
{
    struct ifaddrs *all = NULL;
    int             n   = 0;
    if (getifaddrs(&all) != 0) return;
    for (const struct ifaddrs *i = all; i && n < ADDRESSES; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) ||
            (i->ifa_flags & IFF_LOOPBACK))
            continue;
        own->address[n++] = ((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
    }
    if (n < ADDRESSES) own->address[n].s_addr = htonl(INADDR_LOOPBACK);
    freeifaddrs(all);
}

static ls_status open_socket(ls_heartbeat *hb, ls_rank_identity *own)
{
    struct sockaddr_in any    = {.sin_family = AF_INET};
    socklen_t          length = sizeof any;
    hb->socket                = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    LS_CHECK(hb->socket >= 0 && bind(hb->socket, (struct sockaddr *)&any, sizeof any) == 0 &&
                 getsockname(hb->socket, (struct sockaddr *)&any, &length) == 0,
             LS_ERR_ENV, "watchdog: cannot open a UDP socket: %s", strerror(errno));
    /* IP_RECVERR reports ICMP port unreachable: the peer process has exited. */
    (void)setsockopt(hb->socket, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int));
    own->port = any.sin_port;
    find_addresses(own);
    return LS_OK;
}

/* ---- setup ------------------------------------------------------------------------------------------------------- */

/* LOCKSTEP_CONTROL=udp disables the shared memory, as if every rank had a host of its own. */
static bool may_share(void)
{
    const char *control = getenv("LOCKSTEP_CONTROL");
    return !(control && !strcmp(control, "udp"));
}

/* Maps the blocks of all ranks of this host.  Returns false when any of them is not accessible. */
static bool open_blocks(ls_heartbeat *hb, const ls_comm *comm)
{
    bool complete = true;
    for (int r = 0; r < hb->ranks; r++) {
        if (r != hb->rank && (!comm->host || comm->host[r] != comm->host[hb->rank])) continue;
        ls_rank_block *block = hb->own;
        if (r == hb->rank)
            hb->me = hb->members;
        else
            block = may_share() ? open_block(&hb->identity[r]) : NULL;
        hb->member[hb->members] = r;
        hb->block[hb->members]  = block;
        hb->members++;
        complete &= block != NULL;
    }
    return complete;
}

/* Reduces the group of this rank to the rank itself. */
static void leave_group(ls_heartbeat *hb)
{
    for (int m = 0; m < hb->members; m++)
        if (m != hb->me && hb->block[m]) munmap(hb->block[m], block_bytes());
    hb->members   = 1;
    hb->me        = 0;
    hb->member[0] = hb->rank;
    hb->block[0]  = hb->own;
}

/* True when every rank on the host of `rank` has mapped the blocks of all others there. */
static bool host_is_complete(const ls_comm *comm, const int32_t *complete, int rank)
{
    for (int r = 0; r < comm->size; r++)
        if (comm->host[r] == comm->host[rank] && !complete[r]) return false;
    return true;
}

/* Removes addresses of other hosts that this host has as well (bridges of containers): a datagram sent to one of them
 * would arrive here. */
static void remove_own_addresses(ls_heartbeat *hb, const ls_comm *comm, const ls_rank_identity *own)
{
    for (int r = 0; r < hb->ranks; r++)
        for (int a = 0; a < ADDRESSES && comm->host && comm->host[r] != comm->host[hb->rank]; a++)
            for (int k = 0; k < ADDRESSES; k++)
                if (hb->identity[r].address[a].s_addr == own->address[k].s_addr) hb->identity[r].address[a].s_addr = 0;
}

/* Exchanges identities, maps the blocks of this host, and forms the groups of ranks that share memory.  Collective. */
static ls_status form_groups(ls_heartbeat *hb, ls_comm *comm, ls_rank_identity *own)
{
    LS_TRY(ls_comm_allgather(comm, own, hb->identity, sizeof *own));
    remove_own_addresses(hb, comm, own);
    int32_t  complete = open_blocks(hb, comm);
    int32_t *all      = ls_arena_alloc(hb->memory, sizeof *all * (size_t)hb->ranks);
    LS_TRY(ls_comm_allgather(comm, &complete, all, sizeof complete));
    int groups = 0;
    for (int r = 0; r < hb->ranks; r++) {
        hb->group[r] = comm->host && host_is_complete(comm, all, r) ? comm->host[r] : r;
        groups += hb->group[r] == r;
    }
    if (comm->host && !host_is_complete(comm, all, hb->rank)) leave_group(hb);
    hb->token = hb->identity[0].token;
    if (groups == 1 && hb->socket >= 0) {
        close(hb->socket);
        hb->socket = -1;
    }
    return LS_OK;
}

ls_status ls__heartbeat_new(ls_heartbeat **out, ls_comm *comm)
{
    ls_arena *memory = NULL;
    LS_TRY(ls_comm_agree(comm, ls_arena_new(&memory, "heartbeat")));
    ls_heartbeat    *hb  = ls_arena_alloc(memory, sizeof *hb);
    size_t           n   = (size_t)comm->size;
    ls_rank_identity own = {.rank = comm->rank, .process = (int32_t)getpid(), .file = -1};
    char             state;
    *hb          = (ls_heartbeat){.memory = memory, .rank = comm->rank, .ranks = comm->size, .socket = -1};
    hb->identity = ls_arena_alloc(memory, sizeof *hb->identity * n);
    hb->group    = ls_arena_alloc(memory, sizeof *hb->group * n);
    hb->member   = ls_arena_alloc(memory, sizeof *hb->member * n);
    hb->block    = ls_arena_alloc(memory, sizeof *hb->block * n);
    gethostname(own.host, sizeof own.host - 1);
    ls__process_state(own.process, &state, &own.started);
    ls_status status = make_block(hb, &own);
    if (status == LS_OK && comm->size > 1) status = open_socket(hb, &own);
    status = ls_comm_agree(comm, status);
    if (status == LS_OK) status = form_groups(hb, comm, &own);
    if (own.file >= 0) close(own.file); /* after the second all-gather, all ranks of the host have mapped it */
    if (status != LS_OK) {
        ls__heartbeat_free(hb);
        return status;
    }
    *out = hb;
    return LS_OK;
}

void ls__heartbeat_free(ls_heartbeat *hb)
{
    if (!hb) return;
    for (int m = 0; m < hb->members; m++)
        if (hb->block[m] && hb->block[m] != hb->own) munmap(hb->block[m], block_bytes());
    if (hb->own) munmap(hb->own, block_bytes());
    if (hb->socket >= 0) close(hb->socket);
    ls_arena_free(hb->memory);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

static void send_bytes(ls_heartbeat *hb, const void *data, size_t bytes, const struct sockaddr_in *to)
{
    /* A pending ICMP error of an earlier datagram fails this call with ECONNREFUSED and sends nothing: send again. */
    for (int tries = 0; tries < 3 && hb->socket >= 0; tries++) {
        ssize_t n = sendto(hb->socket, data, bytes, MSG_NOSIGNAL, (const struct sockaddr *)to, sizeof *to);
        if (n >= 0 || errno != ECONNREFUSED) return;
    }
}

void ls__heartbeat_send(ls_heartbeat *hb, ls_heartbeat_message *message, const struct sockaddr_in *to)
{
    message->magic = MAGIC;
    message->token = hb->token;
    message->from  = hb->rank;
    send_bytes(hb, message, sizeof *message, to);
}

void ls__heartbeat_probe(ls_heartbeat *hb, const struct sockaddr_in *to) { send_bytes(hb, "", 1, to); }

void ls__heartbeat_send_rank(ls_heartbeat *hb, ls_heartbeat_message *message, int rank)
{
    const ls_rank_identity *to        = &hb->identity[rank];
    const bool              same_host = !strcmp(to->host, hb->identity[hb->rank].host);
    for (size_t a = 0; a < ADDRESSES; a++) {
        if (!to->address[a].s_addr || (!same_host && to->address[a].s_addr == htonl(INADDR_LOOPBACK))) continue;
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = to->port, .sin_addr = to->address[a]};
        ls__heartbeat_send(hb, message, &at);
    }
}

bool ls__heartbeat_refused(ls_heartbeat *hb, struct sockaddr_in *at)
{
    while (hb->socket >= 0) {
        char          control[512];
        struct msghdr message = {
            .msg_name = at, .msg_namelen = sizeof *at, .msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(hb->socket, &message, MSG_ERRQUEUE) < 0) {
            /* Clears an error that did not fit into the queue: it would keep poll() from waiting. */
            int       pending;
            socklen_t length = sizeof pending;
            (void)getsockopt(hb->socket, SOL_SOCKET, SO_ERROR, &pending, &length);
            return false;
        }
        for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
            struct sock_extended_err error;
            if (part->cmsg_level != IPPROTO_IP || part->cmsg_type != IP_RECVERR) continue;
            memcpy(&error, CMSG_DATA(part), sizeof error);
            if (error.ee_errno == ECONNREFUSED) return true;
        }
    }
    return false;
}

bool ls__heartbeat_receive(ls_heartbeat *hb, ls_heartbeat_message *message, struct sockaddr_in *from)
{
    while (hb->socket >= 0) {
        socklen_t length = sizeof *from;
        ssize_t   n      = recvfrom(hb->socket, message, sizeof *message, 0, (struct sockaddr *)from, &length);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
        if (n < 0 && errno != EINTR && errno != ECONNREFUSED) return false;
        if (n == (ssize_t)sizeof *message && message->magic == MAGIC && message->token == hb->token &&
            message->from >= 0 && message->from < hb->ranks)
            return true;
    }
    return false;
}

/* IP fragments a longer message, and losing one fragment loses all of it. */
_Static_assert(sizeof(ls_heartbeat_message) <= 1472, "a heartbeat message fits into one packet of 1,500 bytes");
