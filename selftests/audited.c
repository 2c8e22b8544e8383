// SPDX-License-Identifier: GPL-2.0
/*
 * audited: a thread that audit looks at is left alone. Once audit was on, the kernel looks at
 * every thread made from then on, so this is the last test of its guest.
 */
#include <linux/audit.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "ub_test.h"

static int audit_enable(unsigned int on)
{
	struct {
		struct nlmsghdr header;
		struct audit_status status;
	} message = { .header = { .nlmsg_len = sizeof(message), .nlmsg_type = AUDIT_SET,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		      .status = { .mask = AUDIT_STATUS_ENABLED, .enabled = on } };
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[300];
	} answer = { .error.error = -1 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);

	if (fd < 0)
		return -1;
	if (send(fd, &message, sizeof(message), 0) == sizeof(message))
		recv(fd, &answer, sizeof(answer), 0);
	close(fd);
	return answer.error.error;
}

static void rounds(void *argument)
{
	for (int i = 0; i < 10000; i++)
		getppid();
}

static void hot_before(void *argument)
{
	_exit(!heat(rounds, NULL));
}

int main(void)
{
	long before;

	test_begin();
	sides_begin();
	ok(child_ok(side_run(HOT, hot_before, NULL)), "without audit the loop is chained");

	if (audit_enable(1)) {
		skip("audit cannot be switched on", "an audited thread is left alone");
		sides_end();
		return test_end();
	}
	before = side_stat(HOT, "chained");
	ok(child_ok(side_run(HOT, rounds, NULL)) && side_stat(HOT, "chained") == before, "an audited thread is left alone");
	audit_enable(0);
	sides_end();
	return test_end();
}
