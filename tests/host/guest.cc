// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory, native runs, and the signal handlers both sides of a comparison
 * share: an exception in an image goes to its fault entry's stub, one in native guest
 * code ends the run and is what the program would have got as a signal.
 */
#include "guest.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <cpuid.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "host.h"
#include "runtime/run.h"

extern "C" {
void native_run(const ub_regs *regs, void *vectors);
unsigned int image_run(ub_regs *regs, unsigned long code, ub_run *run, void *vectors);
extern const char native_return[];
extern unsigned long native_stack;
extern unsigned int vector_mask;
}

namespace host {

const char *const kRegisterNames[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

namespace {

/* What the handlers act on; a run is in progress while `running` is set. */
enum class Running { kNothing, kNative, kImage };
volatile Running running = Running::kNothing;
volatile unsigned int ticks;
volatile unsigned int started_at;
Ended *native_end;

/* Native runs with the trap flag: a trap behind each instruction, the loading of the registers
 * included, which counts for none. */
enum class Stepping { kNot, kOne, kAll };
volatile Stepping stepping = Stepping::kNot;
volatile unsigned long steps;	/* traps outside of native_run(); the first comes before the first instruction */

/* The vector registers before and after the run in progress. */
alignas(64) unsigned char run_vectors[sizeof(State::vectors)];

constexpr unsigned int kTicksAllowed = 30;	/* of 100 ms */
constexpr unsigned long kTrapFlag = 0x100;
constexpr unsigned long kTrapBits = 0x40000 | 0x400 | kTrapFlag;	/* AC DF TF: not for our own code */

void store_registers(const mcontext_t &from, ub_regs &to)
{
	const auto &g = from.gregs;
	auto value = [&](int which) { return static_cast<unsigned long>(g[which]); };

	to.r15 = value(REG_R15), to.r14 = value(REG_R14), to.r13 = value(REG_R13), to.r12 = value(REG_R12);
	to.r11 = value(REG_R11), to.r10 = value(REG_R10), to.r9 = value(REG_R9), to.r8 = value(REG_R8);
	to.bp = value(REG_RBP), to.bx = value(REG_RBX), to.ax = value(REG_RAX), to.cx = value(REG_RCX);
	to.dx = value(REG_RDX), to.si = value(REG_RSI), to.di = value(REG_RDI), to.sp = value(REG_RSP);
	to.ip = value(REG_RIP), to.flags = value(REG_EFL);
}

void end_native_run(ucontext_t *context, Stop stop, const siginfo_t *info)
{
	auto &g = context->uc_mcontext.gregs;

	native_end->stop = stop;
	native_end->signal = info->si_signo;
	native_end->code = info->si_code;
	native_end->address = reinterpret_cast<uint64_t>(info->si_addr);
	store_registers(context->uc_mcontext, native_end->state.regs);
	native_end->state.regs.flags &= ~kTrapFlag;
	if (stop == Stop::kSyscall) {
		/* int3 is one byte, syscall two. */
		native_end->state.regs.ip += 1;
		native_end->signal = native_end->code = 0;
		native_end->address = 0;
	}
	g[REG_RIP] = reinterpret_cast<greg_t>(native_return);
	g[REG_RSP] = greg_t(native_stack);
	g[REG_EFL] &= ~greg_t(kTrapBits);
	running = Running::kNothing;
}

/* A trap behind an instruction: is the run to go on? */
bool goes_on(const ucontext_t *context)
{
	const auto ip = uintptr_t(context->uc_mcontext.gregs[REG_RIP]);

	if (ip >= reinterpret_cast<uintptr_t>(native_run) && ip < reinterpret_cast<uintptr_t>(native_return))
		return true;
	steps = steps + 1;
	return steps == 1 || stepping == Stepping::kAll;
}

[[noreturn]] void die(const char *what, const ucontext_t *context)
{
	const auto &g = context->uc_mcontext.gregs;
	char text[160];
	const int length = snprintf(text, sizeof(text), "%s: rip %#llx rsp %#llx\n", what, g[REG_RIP], g[REG_RSP]);
	if (write(2, text, size_t(length)) < 0)
		_exit(4);
	signal(SIGABRT, SIG_DFL);
	abort();
}

void on_exception(int number, siginfo_t *info, void *raw)
{
	auto *context = static_cast<ucontext_t *>(raw);

	if (running == Running::kNative && stepping != Stepping::kNot && number == SIGTRAP && info->si_code == TRAP_TRACE) {
		if (!goes_on(context))
			end_native_run(context, Stop::kStep, info);
		return;
	}
	if (running == Running::kNative) {
		end_native_run(context, number == SIGTRAP ? Stop::kSyscall : Stop::kException, info);
		return;
	}
	if (fix_up_fault(context))
		return;
	if (running == Running::kImage) {
		fprintf(stderr, "exception %d without a fault entry at %#llx\n", number,
			context->uc_mcontext.gregs[REG_RIP]);
		context->uc_mcontext.gregs[REG_R9] = greg_t(kNoFaultEntry);
		context->uc_mcontext.gregs[REG_RIP] = reinterpret_cast<greg_t>(ub_leave);
		return;
	}
	signal(number, SIG_DFL);
	raise(number);
}

/* A run that lasts for seconds is stuck: a native one is ended, a polling image is
 * told by its work flags, any other image is a broken promise. */
void on_tick(int, siginfo_t *info, void *raw)
{
	auto *context = static_cast<ucontext_t *>(raw);

	ticks = ticks + 1;
	const unsigned int lasts = ticks - started_at;
	if (running == Running::kNothing || lasts < kTicksAllowed)
		return;
	if (running == Running::kNative)
		end_native_run(context, Stop::kRunaway, info);
	else if (lasts < 2 * kTicksAllowed)
		work_flags |= kPollMask;
	else
		die("an image neither ends nor polls", context);
}

void set_up_once()
{
	static bool done;
	if (done)
		return;
	done = true;

	static unsigned char signal_stack[256 << 10];
	stack_t stack{};
	stack.ss_sp = signal_stack;
	stack.ss_size = sizeof(signal_stack);
	sigaltstack(&stack, nullptr);

	struct sigaction action{};
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	action.sa_sigaction = on_exception;
	for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP})
		sigaction(number, &action, nullptr);
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	action.sa_sigaction = on_tick;
	sigaction(SIGALRM, &action, nullptr);
	const itimerval tick{{0, 100000}, {0, 100000}};
	setitimer(ITIMER_REAL, &tick, nullptr);

	unsigned int low, high;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	vector_mask = low & 0xe6;
}

/* A part of an XSAVE area. */
struct Component {
	const char *name;
	unsigned int bit, offset, bytes;
};

/* Those this CPU has, but for x87 and MXCSR. */
const std::vector<Component> &components()
{
	static const std::vector<Component> all = [] {
		std::vector<Component> found{{"xmm", 1, 160, 256}};
		for (Component part : {Component{"ymm, upper half", 2, 0, 0}, {"k", 5, 0, 0},
				       {"zmm0-15, upper half", 6, 0, 0}, {"zmm16-31", 7, 0, 0}}) {
			unsigned int c, d;
			if (!(vector_mask & (1u << part.bit)))
				continue;
			__cpuid_count(0xd, part.bit, part.bytes, part.offset, c, d);
			found.push_back(part);
		}
		return found;
	}();
	return all;
}

} // namespace

State::State()
{
	set_up_once();
	const unsigned int mxcsr = 0x1f80;
	memcpy(vectors + 24, &mxcsr, 4);
	const uint64_t present = vector_mask;
	memcpy(vectors + 512, &present, 8);
	regs.flags = 0x202;
	regs.orig_ax = ~0ul;
	regs.cs = 0x33;
	regs.ss = 0x2b;
}

unsigned long &State::gpr(unsigned int number)
{
	unsigned long *const where[16] = {&regs.ax, &regs.cx, &regs.dx,  &regs.bx,  &regs.sp,  &regs.bp,
					  &regs.si, &regs.di, &regs.r8,  &regs.r9,  &regs.r10, &regs.r11,
					  &regs.r12, &regs.r13, &regs.r14, &regs.r15};
	return *where[number];
}

const unsigned long &State::gpr(unsigned int number) const
{
	return const_cast<State *>(this)->gpr(number);
}

Ended run_natively(const State &state)
{
	Ended end;

	memcpy(run_vectors, state.vectors, sizeof(run_vectors));
	end.state.regs = state.regs;
	native_end = &end;
	started_at = ticks;
	running = Running::kNative;
	native_run(&state.regs, run_vectors);
	memcpy(end.state.vectors, run_vectors, sizeof(run_vectors));
	return end;
}

namespace {

Ended run_stepping(const State &state, Stepping how)
{
	State traced = state;

	traced.regs.flags |= kTrapFlag;
	steps = 0;
	stepping = how;
	Ended end = run_natively(traced);
	stepping = Stepping::kNot;
	return end;
}

} // namespace

Ended step_natively(const State &state)
{
	Ended end = run_stepping(state, Stepping::kOne);

	if (end.stop == Stop::kStep)
		end.signal = end.code = 0, end.address = 0;
	return end;
}

Ended count_natively(const State &state, unsigned long *count)
{
	const Ended end = run_stepping(state, Stepping::kAll);

	/* The first trap is for the syscall at the end, which has one of another kind. */
	*count = steps;
	return end;
}

unsigned int run_image(State &state, uint64_t code, uint64_t *target)
{
	ub_run run{};

	run.mask = ~(1ul << machine().mask_bit);
	run.work = ubk_work_flags();
	run.fs_base = ubk_fs_base();
	started_at = ticks;
	memcpy(run_vectors, state.vectors, sizeof(run_vectors));
	ubk_run_begin(1);
	running = Running::kImage;
	const unsigned int number = image_run(&state.regs, code, &run, run_vectors);
	running = Running::kNothing;
	ubk_run_end(1);
	memcpy(state.vectors, run_vectors, sizeof(run_vectors));
	*target = run.target;
	return number;
}

bool vectors_equal(const State &a, const State &b, std::string *what)
{
	if (memcmp(a.vectors + 24, b.vectors + 24, 4)) {
		*what = "mxcsr";
		return false;
	}
	for (const Component &part : components())
		if (memcmp(a.vectors + part.offset, b.vectors + part.offset, part.bytes)) {
			*what = part.name;
			return false;
		}
	return true;
}

void State::fill_vectors(Random &random)
{
	for (const Component &part : components())
		for (unsigned int at = part.offset; at < part.offset + part.bytes; at += 8) {
			const uint64_t word = random.interesting();
			memcpy(vectors + at, &word, 8);
		}
}

Guest::Guest(uint64_t base) : base_(base), as_read_(kCodeBytes, 0xcc)
{
	auto map = [](uint64_t at, size_t bytes, int protection, int flags, int file) {
		void *got = mmap(reinterpret_cast<void *>(at), bytes, protection, flags | MAP_FIXED_NOREPLACE, file, 0);
		if (got == MAP_FAILED) {
			perror("guest memory");
			abort();
		}
	};
	file_ = memfd_create("guest-code", MFD_CLOEXEC);
	if (file_ < 0 || ftruncate(file_, kCodeBytes))
		abort();
	map(code(), kCodeBytes, PROT_READ | PROT_EXEC, MAP_SHARED, file_);
	map(data(), kDataBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map(read_only(), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map(stack(), kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	writable_ = static_cast<uint8_t *>(mmap(nullptr, kCodeBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0));
	memset(writable_, 0xcc, kCodeBytes);
	add_guest_code(base_, as_read_.data(), kCodeBytes);
}

Guest::~Guest()
{
	remove_guest_code(base_);
	munmap(writable_, kCodeBytes);
	munmap(reinterpret_cast<void *>(code()), kCodeBytes);
	munmap(reinterpret_cast<void *>(data()), kDataBytes + 4096);
	munmap(reinterpret_cast<void *>(stack()), kStackBytes);
	close(file_);
}

void Guest::set_code(std::span<const uint8_t> bytes, std::span<const uint32_t> syscalls)
{
	if (bytes.size() > kCodeBytes)
		abort();
	memset(as_read_.data(), 0xcc, code_length_);
	memset(writable_, 0xcc, code_length_);
	code_length_ = bytes.size();
	memcpy(as_read_.data(), bytes.data(), bytes.size());
	memcpy(writable_, bytes.data(), bytes.size());
	for (uint32_t at : syscalls)
		writable_[at] = 0xcc;
	unsigned int a, b, c, d;
	__cpuid(0, a, b, c, d);	/* serialises: the bytes were written through another address */
}

void Guest::fill(uint64_t seed)
{
	if (filled_.empty() || filled_from_ != seed) {
		Random random(seed);
		filled_.resize(kDataBytes + kStackBytes);
		for (size_t i = 0; i < filled_.size(); i += 8) {
			const uint64_t word = random.next();
			memcpy(&filled_[i], &word, sizeof(word));
		}
		filled_from_ = seed;
	}
	restore(filled_);
	if (prepare)
		prepare();
	for (const Word &word : pinned_)
		memcpy(reinterpret_cast<void *>(word.address), &word.value, sizeof(word.value));
}

std::vector<uint8_t> Guest::snapshot() const
{
	std::vector<uint8_t> copy;

	snapshot(copy);
	return copy;
}

void Guest::snapshot(std::vector<uint8_t> &to) const
{
	to.resize(kDataBytes + kStackBytes);
	memcpy(to.data(), reinterpret_cast<void *>(data()), kDataBytes);
	memcpy(to.data() + kDataBytes, reinterpret_cast<void *>(stack()), kStackBytes);
}

void Guest::restore(const std::vector<uint8_t> &snapshot)
{
	memcpy(reinterpret_cast<void *>(data()), snapshot.data(), kDataBytes);
	memcpy(reinterpret_cast<void *>(stack()), snapshot.data() + kDataBytes, kStackBytes);
}

uint64_t Guest::first_difference(const std::vector<uint8_t> &snapshot) const
{
	if (!memcmp(snapshot.data(), reinterpret_cast<void *>(data()), kDataBytes) &&
	    !memcmp(snapshot.data() + kDataBytes, reinterpret_cast<void *>(stack()), kStackBytes))
		return 0;
	const std::vector<uint8_t> now = this->snapshot();
	const size_t at = size_t(std::mismatch(now.begin(), now.end(), snapshot.begin()).first - now.begin());
	return at < kDataBytes ? data() + at : stack() + (at - kDataBytes);
}

uint64_t Random::next()
{
	uint64_t z = (state_ += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t Random::interesting()
{
	static constexpr uint64_t kValues[] = {
		0, 1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffff, 0x800000000000,
		0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffffffe, 0xffffffffffffffff,
		0xffffffff80000000, 0xffffffffffffff80, 0xffffffffffff8000,
	};

	switch (below(4)) {
	case 0:
		return kValues[below(std::size(kValues))];
	case 1:
		return next() >> below(64);
	default:
		return next();
	}
}

} // namespace host
