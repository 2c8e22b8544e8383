// SPDX-License-Identifier: GPL-2.0
/*
 * observers: who looks at a hot program from outside sees what there is to see natively: probes
 * in its text, on the kernel's side of its calls and on system calls as such, the function
 * tracer, /proc, a core dump, and the CPU time it is charged.
 */
#include <elf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/procfs.h>
#include <sys/resource.h>

#include "ub_regs.h"

#define ROUNDS 500
#define TRACEFS "/sys/kernel/tracing/"

/* A worker makes ROUNDS calls of watched_call() each time it is told to. */

void watched_call(void);
extern const char watched_spot[];
asm(".pushsection .text\n.globl watched_call, watched_spot\n"
    "watched_call:\n mov $110, %eax\n syscall\n"
    "watched_spot:\n nop\n mov %rax, %rdx\n ret\n"
    ".popsection");

struct worker {
	pid_t pid;
	int command, reply;
};

static int *worker_is_hot;
static int to[2], from[2];

static void rounds(void *argument)
{
	for (int i = 0; i < ROUNDS; i++)
		watched_call();
}

static void work(void *argument)
{
	char c;

	close(to[1]);
	close(from[0]);
	*worker_is_hot = heat(rounds, NULL);
	while (write(from[1], "r", 1) == 1 && read(to[0], &c, 1) == 1)
		rounds(NULL);
}

static struct worker worker_start(enum side side)
{
	struct worker worker;
	char c;

	if (pipe(to) || pipe(from))
		broken("pipe");
	worker.pid = side_start(side, work, NULL);
	close(to[0]);
	close(from[1]);
	worker.command = to[1];
	worker.reply = from[0];
	if (read(worker.reply, &c, 1) != 1)
		broken("the worker");
	return worker;
}

static int worker_rounds(const struct worker *worker)
{
	char c;

	return write(worker->command, "g", 1) == 1 && read(worker->reply, &c, 1) == 1;
}

static void worker_end(const struct worker *worker)
{
	close(worker->command);
	close(worker->reply);
	child_wait(worker->pid, 5000);
}

/* perf's events: one counter for one worker */

static int perf_open(struct perf_event_attr *attr, pid_t pid)
{
	attr->size = sizeof(*attr);
	attr->disabled = 1;
	return syscall(SYS_perf_event_open, attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* The type of perf's "uprobe" and "kprobe", 0 without them. */
static unsigned int perf_type(const char *name)
{
	char path[100], text[20];

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/type", name);
	return file_read(path, text, sizeof(text)) ? 0 : atoi(text);
}

static int open_uprobe(pid_t pid)
{
	static char program[PATH_MAX];
	struct perf_event_attr attr = { .type = perf_type("uprobe") };
	unsigned long start, end, offset, spot = (unsigned long)watched_spot;
	char line[400];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 && spot >= start && spot < end)
			attr.config2 = spot - start + offset;
	if (maps)
		fclose(maps);
	if (!attr.type || readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return -1;
	attr.config1 = (unsigned long)program;
	return perf_open(&attr, pid);
}

static int open_kprobe(pid_t pid)
{
	struct perf_event_attr attr = { .type = perf_type("kprobe"),
					.config1 = (unsigned long)"__x64_sys_getppid" };

	return attr.type ? perf_open(&attr, pid) : -1;
}

static int open_tracepoint(pid_t pid)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT };
	char text[20];

	if (file_read(TRACEFS "events/raw_syscalls/sys_enter/id", text, sizeof(text)))
		return -1;
	attr.config = atoi(text);
	return perf_open(&attr, pid);
}

/* Counts of @open's event over two times ROUNDS of a worker, the second switched on while
 * it is hot; and whether the worker goes on chaining behind it. */
static void perf_counts(enum side side, int (*open)(pid_t), long counts[2])
{
	struct worker worker = worker_start(side);
	uint64_t count;

	counts[0] = counts[1] = -1;
	for (int i = 0; i < 2; i++) {
		int fd = open(worker.pid);

		if (fd < 0)
			break;
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
		worker_rounds(&worker);
		ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
		if (read(fd, &count, sizeof(count)) == sizeof(count))
			counts[i] = count;
		close(fd);
		worker_rounds(&worker);
	}
	worker_end(&worker);
}

static void test_perf(const char *name, int (*open)(pid_t), long least)
{
	long counts[2][2];

	for_each_side(side)
		perf_counts(side, open, counts[side]);
	if (counts[NATIVE][0] < 0) {
		skip("perf offers none here", "%s counts each hot call", name);
		return;
	}
	note("%s: native %ld %ld, hot %ld %ld", name, counts[NATIVE][0], counts[NATIVE][1], counts[HOT][0], counts[HOT][1]);
	ok(*worker_is_hot && counts[HOT][0] >= least && counts[HOT][0] <= least + 2 && counts[HOT][1] >= least &&
	   counts[HOT][1] <= least + 2 && counts[NATIVE][0] >= least && counts[NATIVE][0] <= least + 2,
	   "%s counts each hot call", name);
}

/* The function tracer */

static long traced_calls(pid_t pid)
{
	char line[400], text[24];
	long count = 0;
	FILE *trace = fopen(TRACEFS "trace", "r");

	snprintf(text, sizeof(text), "-%d ", pid);
	while (trace && fgets(line, sizeof(line), trace))
		count += strstr(line, text) && strstr(line, "sys_getppid");
	if (trace)
		fclose(trace);
	return count;
}

static int trace_write(const char *file, const char *text)
{
	char path[100];

	snprintf(path, sizeof(path), TRACEFS "%s", file);
	return file_write(path, text, strlen(text));
}

static void test_function_tracer(void)
{
	struct worker worker = worker_start(HOT);
	long count = -1;
	int on = !trace_write("set_ftrace_filter", "*sys_getppid\n") && !trace_write("current_tracer", "function");

	if (on) {
		worker_rounds(&worker);
		count = traced_calls(worker.pid);
	}
	trace_write("current_tracer", "nop");
	close(open(TRACEFS "set_ftrace_filter", O_WRONLY | O_TRUNC | O_CLOEXEC));
	worker_rounds(&worker);
	worker_end(&worker);
	note("function tracer: %ld", count);
	if (on)
		ok(*worker_is_hot && count == ROUNDS, "the function tracer sees each hot call");
	else
		skip("there is no function tracer", "the function tracer sees each hot call");
}

/* /proc/PID of a thread that sleeps in a call */

static void sleeper(void *argument)
{
	char c = 0;

	close(to[1]);
	close(from[0]);
	/* Of all pipes' two thousand calls, most are chained. */
	while (read(to[0], &c, 1) == 1 && write(from[1], &c, 1) == 1)
		;
}

struct proc {
	char syscall[200], wchan[100], state;
	int hot, readable_stack;
};

static void look_at_sleeper(enum side side, struct proc *proc)
{
	long chained = side_stat(side, "chained");
	char path[64], text[4000], c;
	pid_t pid;

	if (pipe(to) || pipe(from))
		broken("pipe");
	pid = side_start(side, sleeper, NULL);
	close(to[0]);
	close(from[1]);
	for (int i = 0; i < 3000; i++)
		if (write(to[1], "x", 1) != 1 || read(from[0], &c, 1) != 1)
			broken("the sleeper");
	proc->hot = side == NATIVE || !ub_present() || side_stat(side, "chained") - chained > 3000;
	sleep_ms(50);
	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	file_read(path, proc->syscall, sizeof(proc->syscall));
	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	file_read(path, proc->wchan, sizeof(proc->wchan));
	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	proc->readable_stack = !file_read(path, text, sizeof(text)) && strstr(text, "pipe_read");
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file_read(path, text, sizeof(text));
	proc->state = strrchr(text, ')') ? strrchr(text, ')')[2] : '?';
	close(to[1]);
	child_wait(pid, 5000);
	close(from[0]);
}

static void test_proc(void)
{
	struct proc proc[2];

	memset(proc, 0, sizeof(proc));
	for_each_side(side)
		look_at_sleeper(side, &proc[side]);
	note("syscall: native %s, hot %s", proc[NATIVE].syscall, proc[HOT].syscall);
	note("wchan: native %s, hot %s", proc[NATIVE].wchan, proc[HOT].wchan);
	ok(proc[HOT].hot && proc[NATIVE].syscall[0] && !strcmp(proc[NATIVE].syscall, proc[HOT].syscall),
	   "/proc/PID/syscall of a sleeper names the call, its arguments, sp and pc");
	ok(!strcmp(proc[NATIVE].wchan, proc[HOT].wchan), "/proc/PID/wchan is the native one");
	ok(proc[NATIVE].state == 'S' && proc[HOT].state == 'S', "/proc/PID/stat says that it sleeps");
	ok(proc[HOT].readable_stack == proc[NATIVE].readable_stack, "/proc/PID/stack shows where it sleeps");
}

/* A core dump */

UB_RIG(dying_store, "mov %rcx, (%rdx)");

static void dying(void *argument)
{
	for (int i = 0; i < ROUNDS; i++)
		dying_store();
}

static int *dying_is_hot;

static void die(void *argument)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	static uint64_t target;

	setrlimit(RLIMIT_CORE, &limit);
	rig_patterns();
	rig_in[RDX] = (uint64_t)&target;
	*dying_is_hot = heat(dying, NULL);
	rig_in[RDX] = 8;
	dying_store();
}

/* The first thread's registers in a core file. Return: 0, or -1. */
static int core_registers(const char *path, struct user_regs_struct *registers)
{
	struct elf_prstatus status;
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	Elf64_Nhdr note;
	FILE *core = fopen(path, "r");
	int result = -1;

	if (!core)
		return -1;
	if (fread(&header, sizeof(header), 1, core) == 1 && !fseek(core, header.e_phoff, SEEK_SET) &&
	    fread(&segment, sizeof(segment), 1, core) == 1 && segment.p_type == PT_NOTE &&
	    !fseek(core, segment.p_offset, SEEK_SET) && fread(&note, sizeof(note), 1, core) == 1 &&
	    note.n_type == NT_PRSTATUS && note.n_descsz == sizeof(status) &&
	    !fseek(core, (note.n_namesz + 3) & ~3u, SEEK_CUR) && fread(&status, sizeof(status), 1, core) == 1) {
		memcpy(registers, &status.pr_reg, sizeof(*registers));
		result = 0;
	}
	fclose(core);
	return result;
}

static void test_core(void)
{
	struct user_regs_struct registers[2];
	char pattern[200];
	int good = 1;

	memset(registers, 0, sizeof(registers));
	if (file_read("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)) ||
	    file_write("/proc/sys/kernel/core_pattern", "/tmp/ubtest.core", 16)) {
		skip("the core pattern cannot be set", "a core dump has the registers of the faulting instruction");
		return;
	}
	for_each_side(side) {
		int status = side_run(side, die, NULL);

		good &= status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && WCOREDUMP(status);
		good &= !core_registers("/tmp/ubtest.core", &registers[side]);
		unlink("/tmp/ubtest.core");
	}
	file_write("/proc/sys/kernel/core_pattern", pattern, strlen(pattern));
	note("rip: native %#llx, hot %#llx", registers[NATIVE].rip, registers[HOT].rip);
	/* The arithmetic flags are written before they are read again. */
	registers[NATIVE].eflags &= ~ARITHMETIC_FLAGS;
	registers[HOT].eflags &= ~ARITHMETIC_FLAGS;
	ok(good && *dying_is_hot && registers[HOT].rip == (unsigned long)dying_store_at &&
	   !memcmp(&registers[NATIVE], &registers[HOT], sizeof(registers[HOT])),
	   "a core dump has the registers of the faulting instruction");
}

/* CPU time */

struct times {
	int hot;
	double charged, clock;
};

static struct times *times_now;

static void busy(void *argument)
{
	uint64_t until;
	struct rusage from, till;
	struct timespec a, b;

	times_now->hot = heat(rounds, NULL);
	getrusage(RUSAGE_SELF, &from);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (until = now_ns() + 1000000000u; now_ns() < until;)
		rounds(NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	getrusage(RUSAGE_SELF, &till);
	times_now->clock = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9;
	times_now->charged = till.ru_utime.tv_sec + till.ru_stime.tv_sec - from.ru_utime.tv_sec - from.ru_stime.tv_sec +
			     (till.ru_utime.tv_usec + till.ru_stime.tv_usec - from.ru_utime.tv_usec - from.ru_stime.tv_usec) / 1e6;
}

static void test_times(void)
{
	times_now = shared(sizeof(*times_now));
	side_run(HOT, busy, NULL);
	note("charged %.3f s, CPU clock %.3f s", times_now->charged, times_now->clock);
	ok(times_now->hot && times_now->clock > 0.1 && times_now->charged > times_now->clock * 0.95 - 0.02 &&
	   times_now->charged < times_now->clock * 1.05 + 0.02, "user and system time add up to the CPU time used");
}

int main(void)
{
	test_begin();
	worker_is_hot = shared(sizeof(int));
	dying_is_hot = shared(sizeof(int));
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	sides_begin();
	test_perf("a uprobe", open_uprobe, ROUNDS);
	test_perf("a kprobe on the call's function", open_kprobe, ROUNDS);
	/* Beside the rounds, what the worker says and is told. */
	test_perf("the tracepoint of system calls", open_tracepoint, ROUNDS);
	test_function_tracer();
	test_proc();
	test_core();
	test_times();
	sides_end();
	return test_end();
}
