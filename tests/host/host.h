/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host: user space standing in for the kernel under the core. services.cc
 * implements src/kernel/services.h with the means of a process; this header is
 * what tests see of it besides: registered guest code, the work flags a poll reads,
 * what traces reported, and the moments when queued work runs.
 *
 * Single-threaded unless a test says otherwise: workers run when a test calls
 * them, so every interleaving in a test is one it chose.
 */
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "core.h"
#include "kernel/services.h"
#include "sfi/contract.h"

/* The glue's address space: on the host there is one process, but spaces are as many
 * as a test makes. */
struct ubk_mm {
	struct ub_space *space = nullptr;
	bool requested = false;		/* ub_translate() is due */
	bool disabled = false;		/* ubk_disable_space() was called */
};

namespace host {

/* Guest code is what a test registered, and the executable segments of the program's
 * own libraries. `as_read` are the bytes ubk_guest_read() gives for [start, +bytes):
 * they may differ from those the CPU runs there (traps in place of syscalls). */
void add_guest_code(uint64_t start, const void *as_read, size_t bytes);
void remove_guest_code(uint64_t start);

/* thread_info.flags of the only thread; tests set bits, polls and ubk_may_enter() read. */
extern unsigned long work_flags;
inline constexpr unsigned int kPollMask = 0x2000e;

/* The thread's vector registers while its images do not run: an XSAVE area that
 * ubk_run_begin(1) loads and ubk_run_end(1) stores. Null: runs do without. */
extern unsigned char *user_vectors;

/* Makes the syscall in the registers for real, as the kernel leaves them behind one. */
void make_syscall(ub_regs *regs);
/* Called by make_syscall() before the call, if set: where a test's other thread acts. */
extern std::function<void(ub_regs *)> on_syscall;

/* The clock jumps by a millisecond whenever it is read inside a run: translated gaps lose. */
extern bool slow_runs;
/* And whenever an image is left inside its gap. */
extern bool slow_exits;

/* How often ubk_request_trim() was called. */
extern unsigned long trim_requests;

/* Counts of what the core reported. */
struct Traces {
	unsigned long hot, translated, published, exits, retired;
	unsigned long exit_reasons[16];
	const char *last_result;
};
extern Traces traces;

/* Calls ub_translate() for the mm when it was asked for. Returns whether it was. */
bool run_translation(struct ubk_mm *mm);
/* Runs what ubk_defer() queued, also what that queues. Returns how many. */
unsigned int drain_deferred();

/* The machine as ub_core_init() wants it, and as a contract for direct use. */
ub_machine machine();
ub::sfi::Contract contract();

/* Pages of the code arena in use: leaks show in it. */
size_t code_pages_in_use();

/* For the signal handlers: if the context's ip is in a published image and its
 * instruction has a fault entry, sends it to the stub and returns true. */
bool fix_up_fault(ucontext_t *context);

} // namespace host
