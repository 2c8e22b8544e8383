// SPDX-License-Identifier: GPL-2.0
/*
 * unload: the module goes while eight hot tasks loop and four that were hot
 * sleep in read, epoll_wait, futex and nanosleep. It goes in less than ten
 * seconds, the loops go on rightly, and the sleepers sleep on and wake with the
 * results they would have had. Then it is loaded again and the tasks chain anew.
 *
 * UB_MODULE in the environment names the module's file.
 */
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>

#include "ub_test.h"

#define LOOPERS 8
#define SLEEPERS 4
#define NAP_MS 4000

struct looper {
	volatile long rounds, wrong;
};

struct sleeper {
	volatile int ready, done;
	long result, error;
	uint64_t slept_ns;
	unsigned int word;
};

static struct looper *looper;
static struct sleeper *sleeper;
static int event_fd, pipe_fd[2];
static int index_of;

static void warm(void *argument)
{
	for (int i = 0; i < 300; i++)
		syscall(SYS_getppid);
}

static void looping(void *argument)
{
	struct looper *own = &looper[index_of];
	int fd[2], status;
	char c;

	if (pipe(fd))
		_exit(2);
	for (;;) {
		for (int i = 0; i < 200; i++) {
			c = i;
			own->wrong += syscall(SYS_getppid) != getppid();
			if (index_of % 4 == 1)
				own->wrong += write(fd[1], &c, 1) != 1 || read(fd[0], &c, 1) != 1 || c != (char)i;
			if (index_of % 4 == 2)
				own->wrong += syscall(SYS_close, -1) != -1 || errno != EBADF;
		}
		if (index_of % 4 == 3) {
			pid_t pid = fork();

			if (!pid) {
				warm(NULL);
				_exit(7);
			}
			own->wrong += waitpid(pid, &status, 0) != pid || status != 7 << 8;
		}
		own->rounds++;
	}
}

static void sleeping(void *argument)
{
	struct sleeper *own = &sleeper[index_of];
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 7 };
	struct timespec nap = { NAP_MS / 1000, 0 };
	int epoll_fd = epoll_create1(0);
	uint64_t at;
	char c = 0;

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event))
		_exit(2);
	for (int i = 0; i < 50; i++)
		warm(NULL);
	own->ready = 1;
	warm(NULL);
	errno = 0;
	at = now_ns();
	switch (index_of) {
	case 0:
		own->result = read(pipe_fd[0], &c, 1);
		if (own->result == 1 && c != 'w')
			own->result = 1000;
		break;
	case 1:
		event.data.u32 = 0;
		own->result = epoll_wait(epoll_fd, &event, 1, -1);
		if (own->result == 1 && event.data.u32 != 7)
			own->result = 1000;
		break;
	case 2:
		own->result = syscall(SYS_futex, &own->word, FUTEX_WAIT, 0, NULL, NULL, 0);
		break;
	case 3:
		own->result = nanosleep(&nap, NULL);
		break;
	}
	own->error = own->result < 0 ? errno : 0;
	own->slept_ns = now_ns() - at;
	own->done = 1;
	for (;;)
		warm(NULL);
}

/* Loads UB_MODULE. Return: 0 or a negative errno. */
static int module_load(void)
{
	const char *path = getenv("UB_MODULE");
	int fd = open(path ? path : "", O_RDONLY), result;

	if (fd < 0)
		return -errno;
	result = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return result;
}

static long chained_of_all(void)
{
	long before = side_stat(HOT, "chained");

	sleep_ms(200);
	return side_stat(HOT, "chained") - before;
}

static void wait_chaining(const char *when)
{
	long chained = 0;

	for (int i = 0; i < 50 && chained < 1000; i++)
		chained = chained_of_all();
	ok(chained >= 1000, "%s: the loops chain (%ld in 200 ms)", when, chained);
}

static void all_advance(const char *when)
{
	long before[LOOPERS], wrong = 0, stuck = 0;

	for (int i = 0; i < LOOPERS; i++)
		before[i] = looper[i].rounds;
	for (int i = 0; i < LOOPERS; i++) {
		for (int wait = 0; wait < 5000 && looper[i].rounds == before[i]; wait++)
			sleep_ms(1);
		stuck += looper[i].rounds == before[i];
		wrong += looper[i].wrong;
	}
	ok(!wrong && !stuck, "%s: eight loops go on (%ld wrong, %ld stuck)", when, wrong, stuck);
}

static void cycle(int loaded, int nth)
{
	pid_t pid[LOOPERS + SLEEPERS];
	uint64_t one = 1, at;
	int asleep = 0;

	memset(looper, 0, LOOPERS * sizeof(*looper));
	memset(sleeper, 0, SLEEPERS * sizeof(*sleeper));
	event_fd = eventfd(0, 0);
	if (event_fd < 0 || pipe(pipe_fd))
		broken("pipe");
	for (index_of = 0; index_of < SLEEPERS; index_of++)
		pid[LOOPERS + index_of] = side_start(HOT, sleeping, NULL);
	for (index_of = 0; index_of < LOOPERS; index_of++)
		pid[index_of] = side_start(HOT, looping, NULL);
	for (int i = 0; i < SLEEPERS; i++)
		while (!sleeper[i].ready)
			sleep_ms(5);
	sleep_ms(300);
	if (loaded)
		wait_chaining("loaded");
	for (int i = 0; i < SLEEPERS; i++)
		asleep += !sleeper[i].done;
	ok(asleep == SLEEPERS, "four sleep");

	if (loaded) {
		int result;

		at = now_ns();
		result = syscall(SYS_delete_module, "ub", O_NONBLOCK) ? -errno : 0;
		at = (now_ns() - at) / 1000000;
		ok(!result && at < 10000, "cycle %d: rmmod under load (%d, %lu ms)", nth, result, at);
		ok(!ub_present(), "it is gone");
	}
	all_advance("without it");
	for (int i = 0; i < 3; i++)
		ok(!sleeper[i].done, "sleeper %d sleeps on (%ld, errno %ld)", i, sleeper[i].result,
		   sleeper[i].error);

	if (write(pipe_fd[1], "w", 1) != 1 || write(event_fd, &one, 8) != 8)
		broken("waking");
	sleeper[2].word = 1;
	syscall(SYS_futex, &sleeper[2].word, FUTEX_WAKE, 1, NULL, NULL, 0);
	for (int i = 0; i < SLEEPERS; i++)
		for (int wait = 0; wait < NAP_MS + 4000 && !sleeper[i].done; wait++)
			sleep_ms(1);
	ok(sleeper[0].done && sleeper[0].result == 1, "read gives its byte (%ld, errno %ld)",
	   sleeper[0].result, sleeper[0].error);
	ok(sleeper[1].done && sleeper[1].result == 1, "epoll_wait gives its event (%ld, errno %ld)",
	   sleeper[1].result, sleeper[1].error);
	ok(sleeper[2].done && sleeper[2].result == 0, "futex wakes (%ld, errno %ld)", sleeper[2].result,
	   sleeper[2].error);
	ok(sleeper[3].done && sleeper[3].result == 0 && sleeper[3].slept_ns >= NAP_MS * 1000000ul,
	   "nanosleep sleeps its time (%ld, errno %ld, %lu ms)", sleeper[3].result, sleeper[3].error,
	   sleeper[3].slept_ns / 1000000);

	if (loaded) {
		int result = module_load();

		ok(!result && ub_present(), "loaded again (%d)", result);
		ok(!cgroup_write(&side_cgroup[HOT], "ub.enable", "1"), "enabled again");
		wait_chaining("loaded again");
		all_advance("loaded again");
	}
	for (int i = 0; i < LOOPERS + SLEEPERS; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	close(event_fd);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

int main(void)
{
	looper = shared(LOOPERS * sizeof(*looper));
	sleeper = shared(SLEEPERS * sizeof(*sleeper));
	test_begin();
	sides_begin();
	if (!ub_present())
		cycle(0, 0);
	else if (!getenv("UB_MODULE"))
		skip("UB_MODULE does not name the module", "unloading");
	else
		for (int nth = 1; nth <= (getenv("UB_QUICK") ? 1 : 3); nth++)
			cycle(1, nth);
	sides_end();
	return test_end();
}
