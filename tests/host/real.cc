// SPDX-License-Identifier: GPL-2.0
/* Real libraries under test: see real.h. */
#include "real.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <dlfcn.h>
#include <malloc.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance.h"

namespace host {
namespace {

constexpr size_t kStackBytes = 1 << 20;
constexpr size_t kChunk = 1 << 20;
constexpr unsigned int kPatienceMs = 60000;	/* with a native side that does not end */
constexpr unsigned int kCountingMs = 150;

constexpr unsigned int kKeys = 10;		/* of a libc's thread-specific data: more than anybody here uses */

struct Mapping {
	uint64_t start, end;
	std::string protection, name;
};

std::vector<Mapping> mappings(int pid)
{
	std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
	std::vector<Mapping> found;
	std::string line;

	while (std::getline(maps, line)) {
		Mapping m;
		char protection[8] = "";
		int name = 0;
		if (sscanf(line.c_str(), "%lx-%lx %7s %*s %*s %*s %n", &m.start, &m.end, protection, &name) < 3)
			continue;
		m.protection = protection;
		m.name = line.substr(size_t(name));
		found.push_back(m);
	}
	return found;
}

std::string name_of(uint64_t address)
{
	for (const Mapping &m : mappings(getpid()))
		if (address >= m.start && address < m.end)
			return " " + m.name;
	return "";
}

/* Private and writable, but for the heap and the stack of the harness. */
std::vector<Range> writable(int pid)
{
	std::vector<Range> found;

	for (const Mapping &m : mappings(pid))
		if (m.protection == "rw-p" && m.name != "[heap]" && m.name != "[stack]") {
			if (!found.empty() && found.back().end == m.start)
				found.back().end = m.end;
			else
				found.push_back({m.start, m.end});
		}
	return found;
}

/* Of `ranges` what is not in `without`, both ascending. */
std::vector<Range> difference(const std::vector<Range> &ranges, const std::vector<Range> &without)
{
	std::vector<Range> found;

	for (Range range : ranges) {
		for (const Range &hole : without) {
			if (hole.end <= range.start || hole.start >= range.end)
				continue;
			if (hole.start > range.start)
				found.push_back({range.start, hole.start});
			range.start = std::min(hole.end, range.end);
		}
		if (range.start < range.end)
			found.push_back(range);
	}
	return found;
}

/* From here on the harness's own memory comes from its heap. */
std::vector<Range> harness_memory()
{
	mallopt(M_MMAP_MAX, 0);
	return writable(getpid());
}

bool read_process(int pid, uint64_t start, void *buffer, size_t bytes)
{
	iovec to{buffer, bytes}, from{reinterpret_cast<void *>(start), bytes};

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == ssize_t(bytes);
}

void *map(size_t bytes)
{
	void *const got = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (got == MAP_FAILED) {
		perror("memory for code under test");
		abort();
	}
	return got;
}

/* A child of this process that does something and then waits to be read and ended. */
class Child {
public:
	explicit Child(const std::function<void()> &work)
	{
		if (pipe(done_))
			abort();
		pid_ = fork();
		if (pid_ < 0)
			abort();
		if (!pid_) {
			work();
			if (write(done_[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		close(done_[1]);
	}
	~Child()
	{
		close(done_[0]);
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	Child(const Child &) = delete;

	int pid() const { return pid_; }
	/* Did it do its work in that time? */
	bool wait(unsigned int patience_ms = kPatienceMs)
	{
		pollfd ready{done_[0], POLLIN, 0};
		char byte;

		/* The harness's clock interrupts it. */
		const unsigned long until = ubk_now_ns() + patience_ms * 1000000ul;
		while (poll(&ready, 1, int(patience_ms)) < 0 && ubk_now_ns() < until)
			;
		return ready.revents & POLLIN && read(done_[0], &byte, 1) == 1;
	}

private:
	int done_[2], pid_;
};

/* Memory that a child shares with its parent. */
template <typename T>
class Shared {
public:
	Shared() : at_(mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
	{
		if (at_ == MAP_FAILED)
			abort();
		new (at_) T;
	}
	~Shared() { munmap(at_, sizeof(T)); }
	Shared(const Shared &) = delete;
	T &operator*() { return *static_cast<T *>(at_); }
	T *operator->() { return static_cast<T *>(at_); }

private:
	void *at_;
};

} // namespace

Library::Library(const char *name)
{
	const std::vector<Mapping> before = mappings(getpid());

	handle_ = dlmopen(LM_ID_NEWLM, name, RTLD_NOW);
	if (!handle_) {
		fprintf(stderr, "%s (scripts/setup --build installs what tests need)\n", dlerror());
		abort();
	}
	/* The first allocation draws a random number. */
	native<void(void *)>("free")(native<void *(size_t)>("malloc")(1));
	/* A thread has one array of values for keys, whose indexes each libc gives out on its own. */
	static unsigned int keys = kKeys;
	for (unsigned int i = 0, key; i < keys; i++)
		native<int(unsigned int *, void *)>("pthread_key_create")(&key, nullptr);
	keys += kKeys;
	/* The harness's list of code is of its own namespace. */
	for (const Mapping &m : mappings(getpid()))
		if (m.protection == "r-xp" && std::none_of(before.begin(), before.end(), [&](const Mapping &old) {
			    return old.start == m.start;
		    }))
			add_guest_code(m.start, reinterpret_cast<void *>(m.start), m.end - m.start);
}

void *Library::find(const char *name) const
{
	return dlsym(handle_, name);
}

RealCode::RealCode()
	: harness_memory_(harness_memory()), guest(kHighBase), differential(guest), follower(differential, guest.code())
{
	static constexpr uint8_t kEnd[] = {0x0f, 0x05};
	static constexpr uint32_t kAt = 0;

	guest.set_code(kEnd, {&kAt, 1});
	/* Many small images are made sooner than few large ones, where each miss begins another. */
	differential.budget.instructions = 1200;
	stack_ = reinterpret_cast<uint64_t>(map(kStackBytes));
}

unsigned char *RealCode::buffer(size_t bytes)
{
	return static_cast<unsigned char *>(map(bytes));
}

State RealCode::state_of(const Call &call, uint64_t seed, uint64_t stack_top,
			 const std::function<void(uint64_t, uint64_t)> &place)
{
	static constexpr unsigned int kArgument[] = {7, 6, 2, 1, 8, 9};
	constexpr size_t kXmm0 = 160;
	Random random(seed);
	State state = random_state(guest, random);

	state.regs.ax = call.floating.size();
	state.regs.flags &= ~0x400ul;
	state.regs.ip = reinterpret_cast<uint64_t>(call.function);
	/* As behind a call whose return address is where the code ends. */
	state.regs.sp = (stack_top & ~63ul) - 0x400 - 8;
	place(state.regs.sp, guest.code());
	for (size_t i = 0; i < call.arguments.size(); i++) {
		if (i < std::size(kArgument))
			state.gpr(kArgument[i]) = call.arguments[i];
		else
			place(state.regs.sp + 8 * (i - std::size(kArgument) + 1), call.arguments[i]);
	}
	for (size_t i = 0; i < call.floating.size(); i++)
		memcpy(state.vectors + kXmm0 + 16 * i, &call.floating[i], sizeof(double));
	return state;
}

State RealCode::state_of(const Call &call, uint64_t seed)
{
	return state_of(call, seed, stack_ + kStackBytes, [](uint64_t address, uint64_t word) {
		memcpy(reinterpret_cast<void *>(address), &word, sizeof(word));
	});
}

std::optional<std::string> RealCode::compare_pure(const Call &call, uint64_t seed)
{
	guest.unpin();
	const State state = state_of(call, seed, guest.stack_top(),
				     [this](uint64_t address, uint64_t word) { guest.pin(address, word); });
	return differential.compare_with(state, seed, [&](const State &from) { return follower.run(from); });
}

std::optional<std::string> RealCode::compare(const Call &call, uint64_t seed, uint64_t *result)
{
	const State state = state_of(call, seed);
	Shared<Ended> native;
	Child child([&] { *native = run_natively(state); });

	const Ended ours = follower.run(state);
	differential.tally.runs++;
	std::string why = child.wait() ? differential.registers_differ(*native, ours, ours.stop == Stop::kException)
				       : "the native side did not end";
	if (why.empty())
		why = memory_differs(child.pid());
	if (result)
		*result = ours.state.regs.ax;
	if (why.empty())
		return std::nullopt;
	differential.tally.mismatches++;
	return why;
}

unsigned long RealCode::count(const Call &call, uint64_t seed)
{
	const State state = state_of(call, seed);
	Shared<unsigned long> counted;
	Child child([&] { count_natively(state, &*counted); });

	return child.wait(kCountingMs) ? *counted : 0;
}

std::string RealCode::memory_differs(int child)
{
	const std::vector<Range> here = difference(writable(getpid()), harness_memory_),
				 there = difference(writable(child), harness_memory_);
	std::vector<uint8_t> chunk(kChunk);

	if (!(here == there))
		return "the two sides have mapped different memory";
	for (const Range &range : here)
		for (uint64_t at = range.start; at < range.end; at += kChunk) {
			const size_t bytes = std::min<uint64_t>(kChunk, range.end - at);
			const auto *const mine = reinterpret_cast<const uint8_t *>(at);
			if (!read_process(child, at, chunk.data(), bytes))
				return "the native side's memory cannot be read";
			if (memcmp(mine, chunk.data(), bytes)) {
				const size_t offset = size_t(std::mismatch(mine, mine + bytes, chunk.data()).first - mine);
				std::ostringstream text;
				text << "memory at 0x" << std::hex << at + offset << ": " << unsigned(chunk[offset])
				     << ", ours " << unsigned(mine[offset]) << ", in the " << std::dec << range.end - range.start
				     << " bytes from 0x" << std::hex << range.start << name_of(at + offset);
				return text.str();
			}
		}
	return {};
}

} // namespace host
