/* SPDX-License-Identifier: Apache-2.0
 * Datagrams of the heartbeat: closed ports are reported and stop no other message; messages of other runs are
 * ignored. */
#include "dist/comm/heartbeat.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit.h"

enum { RANKS = 4, ROUNDS = 20 };

/* A UDP socket on the loopback interface, and its address. */
static int open_socket(struct sockaddr_in *at)
{
    socklen_t length = sizeof *at;
    int       file   = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *at              = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(file >= 0);
    assert_int_equal(bind(file, (struct sockaddr *)at, sizeof *at), 0);
    assert_int_equal(getsockname(file, (struct sockaddr *)at, &length), 0);
    assert_int_equal(setsockopt(file, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int)), 0);
    return file;
}

/* The ICMP error of a datagram to a dead rank must not swallow the next datagram, which goes to another rank. */
static void test_closed_port(void **state)
{
    struct sockaddr_in   own, other, closed, at;
    ls_heartbeat         hb       = {.rank = 1, .ranks = RANKS, .token = 7, .socket = open_socket(&own)};
    ls_heartbeat         receiver = {.rank = 0, .ranks = RANKS, .token = 7, .socket = open_socket(&other)};
    ls_heartbeat_message message  = {.kind = LS_HEARTBEAT_LEAVE, .code = 4};
    close(open_socket(&closed));
    for (int i = 0; i < ROUNDS; i++) {
        ls__heartbeat_probe(&hb, &closed);
        ls__heartbeat_send(&hb, &message, &other);
    }
    assert_true(ls__heartbeat_refused(&hb, &at));
    assert_int_equal(at.sin_port, closed.sin_port);
    int received = 0;
    while (ls__heartbeat_receive(&receiver, &message, &at)) {
        assert_int_equal(message.from, 1);
        assert_int_equal(at.sin_port, own.sin_port);
        received++;
    }
    assert_int_equal(received, ROUNDS);
    close(hb.socket);
    close(receiver.socket);
}

static void test_foreign_messages(void **state)
{
    struct sockaddr_in   own, other, at;
    ls_heartbeat         hb       = {.rank = 1, .ranks = RANKS, .token = 7, .socket = open_socket(&own)};
    ls_heartbeat         receiver = {.rank = 0, .ranks = RANKS, .token = 7, .socket = open_socket(&other)};
    ls_heartbeat_message message  = {.kind = LS_HEARTBEAT_ALIVE};
    hb.token                      = 8; /* another run */
    ls__heartbeat_send(&hb, &message, &other);
    hb.token = 7;
    hb.rank  = RANKS; /* not a rank of this run */
    ls__heartbeat_send(&hb, &message, &other);
    ls__heartbeat_probe(&hb, &other);
    assert_false(ls__heartbeat_receive(&receiver, &message, &at));
    hb.rank = 2;
    ls__heartbeat_send(&hb, &message, &other);
    assert_true(ls__heartbeat_receive(&receiver, &message, &at));
    assert_int_equal(message.from, 2);
    close(hb.socket);
    close(receiver.socket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_closed_port), cmocka_unit_test(test_foreign_messages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
