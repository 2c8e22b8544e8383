// SPDX-License-Identifier: GPL-2.0
/*
 * services.h in user space: memory, locks, guest reads, work queues and the next
 * syscall of the host library. The code arena and the fault table are in
 * code_memory.cc. What the kernel does asynchronously (workers, grace periods)
 * waits here until a test calls it.
 */
#include "host.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <vector>

#include <asm/prctl.h>
#include <cpuid.h>
#include <link.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/run.h"

extern "C" const char ub_leave[];
extern "C" unsigned int vector_mask;

namespace host {

unsigned long work_flags;
bool slow_runs, slow_exits;
unsigned long trim_requests;
unsigned char *user_vectors;
Traces traces;
std::function<void(ub_regs *)> on_syscall;

namespace {

struct GuestCode {
	const unsigned char *as_read;
	size_t bytes;
};
std::map<uint64_t, GuestCode> guest_code;

struct Deferred {
	void (*function)(void *);
	void *argument;
};
std::deque<Deferred> deferred_calls;

struct Range {
	uint64_t start, end;
};

std::vector<Range> own_code()
{
	std::vector<Range> ranges;
	dl_iterate_phdr(
		[](struct dl_phdr_info *info, size_t, void *out) {
			for (int i = 0; i < info->dlpi_phnum; i++) {
				const auto &segment = info->dlpi_phdr[i];
				if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X) || (segment.p_flags & PF_W))
					continue;
				const uint64_t start = info->dlpi_addr + segment.p_vaddr;
				static_cast<std::vector<Range> *>(out)->push_back({start, start + segment.p_memsz});
			}
			return 0;
		},
		&ranges);
	return ranges;
}

/* Reads from this process without faulting; returns the bytes read. */
size_t read_own(uint64_t start, void *buffer, size_t bytes)
{
	iovec to{buffer, bytes}, from{reinterpret_cast<void *>(start), bytes};
	const ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	return got > 0 ? size_t(got) : 0;
}

} // namespace

void add_guest_code(uint64_t start, const void *as_read, size_t bytes)
{
	guest_code[start] = {static_cast<const unsigned char *>(as_read), bytes};
}

void remove_guest_code(uint64_t start)
{
	guest_code.erase(start);
}

bool run_translation(struct ubk_mm *mm)
{
	if (!mm->requested)
		return false;
	mm->requested = false;
	ub_translate(mm->space);
	return true;
}

unsigned int drain_deferred()
{
	unsigned int count = 0;

	while (!deferred_calls.empty()) {
		const Deferred call = deferred_calls.front();
		deferred_calls.pop_front();
		call.function(call.argument);
		count++;
	}
	return count;
}

ub_machine machine()
{
	ub_machine machine{};

	machine.poll_mask = kPollMask;
	machine.mask_bit = 47;
	machine.locked_accesses = 1;
	machine.avx = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	machine.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
			 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
	return machine;
}

ub::sfi::Contract contract()
{
	const ub_machine here = machine();
	ub::sfi::Contract contract;

	contract.leave = ub::KernelAddr(reinterpret_cast<uintptr_t>(ub_leave));
	contract.poll_mask = here.poll_mask;
	contract.mask_bit = here.mask_bit;
	contract.locked_accesses = here.locked_accesses;
	contract.avx = here.avx;
	contract.avx512 = here.avx512;
	return contract;
}

void make_syscall(ub_regs *regs)
{
	if (on_syscall)
		on_syscall(regs);

	register unsigned long r10 __asm__("r10") = regs->r10;
	register unsigned long r8 __asm__("r8") = regs->r8;
	register unsigned long r9 __asm__("r9") = regs->r9;
	unsigned long result = regs->ax;
	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"(regs->di), "S"(regs->si), "d"(regs->dx), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	regs->orig_ax = regs->ax;
	regs->ax = result;
	regs->cx = regs->ip;
	regs->r11 = regs->flags;
}

} // namespace host

using namespace host;

extern "C" {

void *ubk_alloc(unsigned long bytes)
{
	return calloc(1, bytes);
}

void ubk_free(void *memory)
{
	free(memory);
}

void ubk_lock_init(struct ubk_lock *lock)
{
	memset(lock, 0, sizeof(*lock));
}

void ubk_lock(struct ubk_lock *lock)
{
	while (std::atomic_ref(lock->opaque[0]).exchange(1, std::memory_order_acquire))
		sched_yield();
}

void ubk_unlock(struct ubk_lock *lock)
{
	std::atomic_ref(lock->opaque[0]).store(0, std::memory_order_release);
}

static bool in_run;
static unsigned long slowness;

unsigned long ubk_now_ns(void)
{
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (slow_runs && in_run)
		slowness += 1000000;
	return static_cast<unsigned long>(now.tv_sec) * 1000000000ul + static_cast<unsigned long>(now.tv_nsec) + slowness;
}

void ubk_request_translation(struct ubk_mm *mm)
{
	mm->requested = true;
}

void ubk_request_trim()
{
	trim_requests++;
}

static unsigned long read_registered(unsigned long start, void *buffer, unsigned long bytes)
{
	auto next = guest_code.upper_bound(start);
	if (next == guest_code.begin())
		return 0;
	const auto &[base, code] = *std::prev(next);
	if (start - base >= code.bytes)
		return 0;
	const size_t count = std::min(bytes, code.bytes - (start - base));
	memcpy(buffer, code.as_read + (start - base), count);
	return count;
}

unsigned long ubk_guest_read(struct ubk_mm *, unsigned long start, void *buffer, unsigned long bytes)
{
	if (const unsigned long count = read_registered(start, buffer, bytes))
		return count;
	for (const Range &range : own_code())
		if (start >= range.start && start < range.end)
			return read_own(start, buffer, std::min(bytes, range.end - start));
	return 0;
}

unsigned long ubk_guest_peek(struct ubk_mm *, unsigned long start, void *buffer, unsigned long bytes)
{
	const unsigned long count = read_registered(start, buffer, bytes);

	return count ? count : read_own(start, buffer, bytes);
}

unsigned long ubk_own_peek(unsigned long start, void *buffer, unsigned long bytes)
{
	return read_own(start, buffer, bytes);
}

void ubk_defer(struct ubk_deferred *, void (*function)(void *), void *argument)
{
	deferred_calls.push_back({function, argument});
}

static constexpr unsigned int kMxcsr = 0x1f80;

int ubk_run_begin(int fpu)
{
	if (work_flags & kPollMask)
		return 0;
	in_run = true;
	if (fpu && user_vectors)
		__asm__ volatile("xrstor64 %0" : : "m"(*user_vectors), "a"(vector_mask), "d"(0) : "memory");
	return 1;
}

void ubk_run_end(int fpu)
{
	in_run = false;
	if (fpu && user_vectors)
		__asm__ volatile("xsave64 %0\n\tvzeroupper\n\tldmxcsr %1"
				 : "+m"(*user_vectors) : "m"(kMxcsr), "a"(vector_mask), "d"(0) : "memory");
}

const unsigned long *ubk_work_flags(void)
{
	return &work_flags;
}

unsigned long ubk_fs_base(void)
{
	unsigned long base = 0;

	syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
	return base;
}

int ubk_may_enter(struct ub_regs *)
{
	return !(work_flags & kPollMask);
}

unsigned long ubk_next_image(struct ub_run *run, unsigned int number)
{
	struct ub_regs *regs = run->regs;

	if (--run->left < 0)
		return ub_run_refill(run, number);
	const struct ub_exit *exit = ub_run_exit(run, number);
	if (exit->reason) {
		slowness += slow_exits * 1000000ul;
		return ub_run_leave(run, number);
	}
	regs->ip = exit->ip;
	ubk_run_end(run->special & UB_RUN_FPU);
	if (regs->ax >= UB_SYSCALLS_MAX || !ub_syscalls.chains[regs->ax]) {
		regs->ip -= 2;
		regs->orig_ax = ~0ul;
		return ub_run_stop(run, false);
	}
	make_syscall(regs);
	if (!ubk_run_begin(run->special & UB_RUN_FPU))
		return ub_run_stop(run, true);
	return ub_run_next(run, regs, run->special);
}

void ubk_trace_site_hot(unsigned long, unsigned long)
{
	traces.hot++;
}

void ubk_trace_translate(unsigned long, unsigned int, unsigned int, const char *result)
{
	traces.translated++;
	traces.last_result = result;
}

void ubk_trace_publish(unsigned long, unsigned long)
{
	traces.published++;
}

void ubk_trace_exit(unsigned long, unsigned int reason)
{
	traces.exits++;
	if (reason < 16)
		traces.exit_reasons[reason]++;
}

void ubk_trace_retire(unsigned long)
{
	traces.retired++;
}

void ubk_disable_space(struct ubk_mm *mm, const char *why)
{
	mm->disabled = true;
	fprintf(stderr, "ub: impossible state: %s\n", why);
}

} // extern "C"
