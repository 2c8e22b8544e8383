// SPDX-License-Identifier: GPL-2.0
/*
 * client PORT CONNECTIONS REQUEST [demo.h's options]: sends the bytes of the file REQUEST to
 * 127.0.0.1:PORT again and again and reads the replies: one request on each connection, then
 * all replies. How long a reply is it learns from the first, which ends where nothing
 * follows for a while. Each other must be the same but for the line "Date:".
 *
 * It is linked statically and lies low: what it executes is told from the server's by the
 * address. For the measured requests it calls bench_mark() before and behind, where an
 * emulator may count (bench/apps/count.c).
 *
 * Output as demo.h says, a request a call; checksum is that of one reply. With --stat,
 * first= is when the first call was chained and learned= when the last translation was made, ns from
 * the first request on, 0: none was.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "../demo/demo.h"
#include "mark.h"

#define MOST_CONNECTIONS 64
#define REPLY_BYTES	 (64 << 10)
#define QUIET_MS	 300	/* nothing more belongs to the first reply */

static int connections;
static int sockets[MOST_CONNECTIONS];
static char request[REPLY_BYTES], reply[REPLY_BYTES], got[REPLY_BYTES];
static size_t request_bytes, reply_bytes;
static size_t date_at, date_end;	/* in the reply: not compared */

static void die(const char *what)
{
	fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
	exit(3);
}

static void send_request(int fd)
{
	if (send(fd, request, request_bytes, 0) != (ssize_t)request_bytes)
		die("send");
}

static void first_reply(int fd)
{
	struct pollfd quiet = { .fd = fd, .events = POLLIN };
	char *date;

	send_request(fd);
	while (poll(&quiet, 1, reply_bytes ? QUIET_MS : 20000) == 1) {
		ssize_t n = recv(fd, reply + reply_bytes, sizeof(reply) - 1 - reply_bytes, 0);

		if (n <= 0)
			die("the first reply");
		reply_bytes += n;
	}
	if (!reply_bytes)
		die("no reply");
	date = strstr(reply, "\r\nDate: ");
	if (date) {
		date_at = date + 2 - reply;
		date_end = strstr(date + 2, "\r\n") - reply;
	}
}

/* Return: whether it is as the first. */
static int read_reply(int fd)
{
	for (size_t have = 0; have < reply_bytes;) {
		ssize_t n = recv(fd, got + have, reply_bytes - have, 0);

		if (n <= 0)
			die("recv");
		have += n;
	}
	return !memcmp(got, reply, date_at) && !memcmp(got + date_end, reply + date_end, reply_bytes - date_end);
}

static void make_requests(long count)
{
	while (count > 0) {
		int now = count < connections ? count : connections;

		for (int i = 0; i < now; i++)
			send_request(sockets[i]);
		for (int i = 0; i < now; i++)
			if (!read_reply(sockets[i])) {
				fprintf(stderr, "client: a reply differs from the first: %.200s\n", got);
				exit(4);
			}
		count -= now;
	}
}

static uint64_t checksum(void)
{
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = 0; i < reply_bytes; i++)
		if (i < date_at || i >= date_end)
			sum = (sum ^ (unsigned char)reply[i]) * 0x100000001b3;
	return sum;
}

static void open_connections(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	for (int i = 0; i < connections; i++) {
		sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&address, sizeof(address)) ||
		    setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
			die("connect");
	}
}

static void read_request(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, request, sizeof(request));

	if (n <= 0)
		die(path);
	request_bytes = n;
}

/* For so long; what ub.stat tells meanwhile. */
static void warm_up(const struct demo *demo, uint64_t start, uint64_t *first, uint64_t *learned)
{
	static char now[DEMO_STAT_BYTES];
	long chained = -1, translated = -1;
	uint64_t at;

	while ((at = demo_now()) - start < (uint64_t)demo->warm_ms * 1000000u) {
		if (demo->stat) {
			long was_chained = chained, was_translated = translated;

			demo_stat(demo->stat, now);
			chained = demo_stat_value(now, "chained", 7);
			translated = demo_stat_value(now, "translated", 10);
			if (!*first && was_chained >= 0 && chained > was_chained)
				*first = at - start;
			if (was_translated >= 0 && translated > was_translated)
				*learned = at - start;
		}
		make_requests(connections);
	}
}

int main(int argc, char **argv)
{
	static char before[DEMO_STAT_BYTES], after[DEMO_STAT_BYTES];
	uint64_t start, begin, end, first = 0, learned = 0;
	struct demo demo;

	if (argc < 4)
		return 2;
	connections = atoi(argv[2]);
	if (connections < 1 || connections > MOST_CONNECTIONS)
		return 2;
	read_request(argv[3]);
	demo = demo_options(argc - 3, argv + 3);
	open_connections(atoi(argv[1]));
	first_reply(sockets[0]);

	start = demo_now();
	warm_up(&demo, start, &first, &learned);
	if (demo.stat)
		demo_stat(demo.stat, before);
	bench_mark();
	begin = demo_now();
	make_requests(demo.calls);
	end = demo_now();
	bench_mark();
	if (demo.stat)
		demo_stat(demo.stat, after);
	printf("calls=%ld ns=%lu checksum=%lu start=%lu first=%lu learned=%lu", demo.calls, end - begin,
	       checksum(), start, first, learned);
	if (demo.stat)
		demo_stat_print(before, after);
	printf("\n");
	return 0;
}
