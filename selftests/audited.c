// SPDX-License-Identifier: GPL-2.0
/*
 * audited: threads that audit looks at are chained, and audit is told of each call as
 * natively: its number, result, and that it was one. A rule chooses the calls by their first
 * argument, among others of the same sites. Once audit was on, the kernel looks at
 * every thread made from then on, so this is the last test of its guest.
 */
#include <linux/audit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include "ub_test.h"

#define MARK 0x1234
#define MARKED 20			/* calls of each kind */
#define EVERY 200

/* What audit said of a call. */
struct said {
	long syscall, success, exit, pid;
};

static struct said said[2][4 * MARKED];
static int records[2];

/* Return: 0 or a negative error. */
static int ask_audit(int type, const void *data, size_t bytes)
{
	struct {
		struct nlmsghdr header;
		char data[sizeof(struct audit_rule_data)];
	} message = { .header = { .nlmsg_len = NLMSG_LENGTH(bytes), .nlmsg_type = type,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[2000];
	} answer = { .error.error = -EIO };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);

	if (fd < 0)
		return -errno;
	memcpy(message.data, data, bytes);
	if (send(fd, &message, message.header.nlmsg_len, 0) == message.header.nlmsg_len)
		recv(fd, &answer, sizeof(answer), 0);
	close(fd);
	return answer.error.error;
}

static int audit_enable(unsigned int on)
{
	const struct audit_status status = { .mask = AUDIT_STATUS_ENABLED, .enabled = on };

	return ask_audit(AUDIT_SET, &status, sizeof(status));
}

/* For getppid and close with the mark. */
static int audit_rule(int type)
{
	struct audit_rule_data rule = { .flags = AUDIT_FILTER_EXIT, .action = AUDIT_ALWAYS, .field_count = 1,
					.fields = { AUDIT_ARG0 }, .values = { MARK }, .fieldflags = { AUDIT_EQUAL } };

	rule.mask[AUDIT_WORD(SYS_getppid)] |= AUDIT_BIT(SYS_getppid);
	rule.mask[AUDIT_WORD(SYS_close)] |= AUDIT_BIT(SYS_close);
	return ask_audit(type, &rule, sizeof(rule));
}

/* Where records are read; negative without. */
static int open_records(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 << (AUDIT_NLGRP_READLOG - 1) };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);

	return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

static long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

/* All that come within a second after the last one. */
static void read_records(int fd, enum side side)
{
	struct {
		struct nlmsghdr header;
		char text[8000];
	} message;
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	while (poll(&ready, 1, 1000) == 1) {
		ssize_t bytes = recv(fd, &message, sizeof(message) - 1, 0);
		struct said *next = &said[side][records[side]];

		if (bytes <= (ssize_t)sizeof(message.header) || message.header.nlmsg_type != AUDIT_SYSCALL)
			continue;
		((char *)&message)[bytes] = 0;
		if (records[side] == ARRAY_SIZE(said[0]))
			return;
		*next = (struct said){ field(message.text, " syscall="), !!strstr(message.text, " success=yes"),
				       field(message.text, " exit="), field(message.text, " pid=") };
		records[side]++;
	}
}

static void rounds(void *argument)
{
	const long mark = *(long *)argument;

	for (int i = 0; i < MARKED * EVERY; i++) {
		long first = i % EVERY == EVERY / 2 ? mark : -1;

		syscall(SYS_getppid, first);
		syscall(SYS_close, first);
	}
}

static void hot_rounds(void *argument)
{
	long none = -1, mark = MARK, chained;

	if (!heat(rounds, &none))
		_exit(1);
	chained = side_stat(HOT, "chained");
	rounds(&mark);
	if (this_side == HOT && side_stat(HOT, "chained") - chained < MARKED * EVERY)
		_exit(2);
}

static int one_by_one(enum side side, pid_t pid)
{
	if (records[side] != 2 * MARKED)
		return 0;
	for (int i = 0; i < records[side]; i++) {
		const struct said *one = &said[side][i];

		if (one->pid != pid || one->syscall != (i % 2 ? SYS_close : SYS_getppid) || one->success != !(i % 2) ||
		    one->exit != (i % 2 ? -EBADF : getpid()))
			return 0;
	}
	return 1;
}

int main(void)
{
	int fd;

	test_begin();
	sides_begin();
	fd = open_records();
	if (fd < 0 || audit_enable(1) || audit_rule(AUDIT_ADD_RULE)) {
		skip("audit cannot be switched on", "audited threads");
		sides_end();
		return test_end();
	}
	for_each_side(side) {
		pid_t pid = side_start(side, hot_rounds, NULL);

		ok(child_ok(child_wait(pid, 60000)), "%s: the calls are made%s", side_name(side), side == HOT ? ", chained" : "");
		read_records(fd, side);
		note("%s: %d records", side_name(side), records[side]);
		ok(one_by_one(side, pid), "%s: audit says of each marked call what it was, and of no other", side_name(side));
	}
	ok(!audit_rule(AUDIT_DEL_RULE) && !audit_enable(0), "audit is switched off");
	sides_end();
	return test_end();
}
