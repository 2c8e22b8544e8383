// SPDX-License-Identifier: GPL-2.0
/*
 * blocking: calls that sleep chain like others. Each wake-up raises the rseq
 * notification of glibc's threads, which must not end chains: of a ping-pong
 * over pipes, over a futex, of naps, of poll and epoll_wait, nine of ten system
 * calls are chained; and rseq's cpu_id stays right.
 */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "ub_test.h"

struct result {
	int hot;
	long rounds, wrong;
};

static struct result *now;
static int to[2], from[2];

static void ping(void *argument)
{
	for (int i = 0; i < 200; i++) {
		char c = i;

		now->rounds++;
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1 || c != (char)(i + 1))
			now->wrong++;
	}
}

static void pong(void)
{
	char c;

	close(to[1]);
	while (read(to[0], &c, 1) == 1) {
		c++;
		if (write(from[1], &c, 1) != 1)
			now->wrong++;
	}
	_exit(0);
}

static void pipes_side(void *argument)
{
	if (pipe(to) || pipe(from))
		_exit(2);
	if (!fork())
		pong();
	now->hot = heat(ping, NULL);
	close(to[1]);
	while (wait(NULL) > 0)
		;
}

static void naps(void *argument)
{
	struct timespec t = { 0, 100000 };

	for (int i = 0; i < 200; i++) {
		now->rounds++;
		now->wrong += nanosleep(&t, NULL) != 0;
	}
}

static void naps_side(void *argument)
{
	now->hot = heat(naps, NULL);
}

static volatile unsigned int turn, last;

static void futex(volatile unsigned int *word, int operation, unsigned int value)
{
	syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void hand_over(unsigned int own)
{
	__atomic_store_n(&turn, !own, __ATOMIC_SEQ_CST);
	futex(&turn, FUTEX_WAKE, 1);
	while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) != own && !last)
		futex(&turn, FUTEX_WAIT, !own);
}

static void *partner(void *argument)
{
	while (!last)
		hand_over(1);
	return NULL;
}

static void hand_overs(void *argument)
{
	for (int i = 0; i < 200; i++) {
		now->rounds++;
		hand_over(0);
	}
}

static void futex_side(void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, partner, NULL))
		_exit(2);
	now->hot = heat(hand_overs, NULL);
	last = 1;
	__atomic_store_n(&turn, 1, __ATOMIC_SEQ_CST);
	futex(&turn, FUTEX_WAKE, 8);
	pthread_join(thread, NULL);
}

static int epoll_fd, event_fd;

static void polls(void *argument)
{
	struct pollfd fd = { event_fd, POLLIN, 0 };
	struct epoll_event event;
	uint64_t value = 1;

	for (int i = 0; i < 100; i++) {
		now->rounds++;
		now->wrong += poll(&fd, 1, 1) != 0;
		now->wrong += epoll_wait(epoll_fd, &event, 1, 1) != 0;
		now->wrong += write(event_fd, &value, 8) != 8;
		now->wrong += poll(&fd, 1, -1) != 1;
		now->wrong += epoll_wait(epoll_fd, &event, 1, -1) != 1 || event.data.u32 != 7;
		now->wrong += read(event_fd, &value, 8) != 8 || value != 1;
	}
}

static void polls_side(void *argument)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 7 };

	epoll_fd = epoll_create1(0);
	event_fd = eventfd(0, 0);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event))
		_exit(2);
	now->hot = heat(polls, NULL);
}

/* sched_getcpu() reads what rseq says; pinned, it must be that CPU, also after moves. */
static void pinned(void *argument)
{
	for (int i = 0; i < 10; i++) {
		pin_to_cpu(i % 2 && sysconf(_SC_NPROCESSORS_ONLN) > 1);
		for (int j = 0; j < 50; j++) {
			unsigned int cpu = 99;

			now->rounds++;
			syscall(SYS_getcpu, &cpu, NULL, NULL);
			now->wrong += sched_getcpu() != (int)cpu;
		}
	}
}

static void pinned_side(void *argument)
{
	now->hot = heat_to(pinned, NULL, 80);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*side)(void *argument);
	} tests[] = {
		{ "ping-pong over pipes", pipes_side },
		{ "naps", naps_side },
		{ "hand-overs by futex", futex_side },
		{ "poll and epoll_wait", polls_side },
		{ "moves between CPUs", pinned_side },
	};

	char rate[32], window[32];

	now = shared(sizeof(*now));
	test_begin();
	sides_begin();
	/* Tasks that sleep a millisecond at a time make few calls; here they are to be chained. */
	if (ub_present() && (parameter_read("coarse_rate", rate, sizeof(rate)) ||
			     parameter_read("coarse_window_us", window, sizeof(window)) ||
			     parameter_write("coarse_window_us", "100000") ||
			     parameter_write("coarse_rate", "50")))
		broken("setting coarse_rate");
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++)
		for_each_side(side) {
			long chained = side_stat(side, "chained"), syscalls = side_stat(side, "syscalls");
			int status;

			memset(now, 0, sizeof(*now));
			status = side_run(side, tests[i].side, NULL);
			ok(child_ok(status) && now->rounds && !now->wrong, "%s: %s (%ld rounds, %ld wrong)",
			   side_name(side), tests[i].name, now->rounds, now->wrong);
			if (side != HOT || !ub_present())
				continue;
			chained = side_stat(side, "chained") - chained;
			syscalls = side_stat(side, "syscalls") - syscalls;
			ok(now->hot, "%s: nine of ten become chained (%ld of %ld from its start)", tests[i].name,
			   chained, syscalls);
		}
	if (ub_present()) {
		parameter_write("coarse_rate", rate);
		parameter_write("coarse_window_us", window);
	}
	sides_end();
	return test_end();
}
