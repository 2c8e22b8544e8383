/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest: memory at chosen addresses for guest code, its data and its stack, and
 * the CPU running that code natively until it ends. It ends at a syscall (the code
 * that runs has a trap in its place; the translator reads the real bytes) or at the
 * first exception. The other side, the same code as an image, is differential.h.
 */
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core.h"

namespace host {

class Random;

/* All a program can see of the CPU. */
struct State {
	ub_regs regs{};
	unsigned char vectors[2752]{};	/* an XSAVE area, but for its alignment */

	State();
	/* Register by its number in instructions: rax rcx rdx rbx rsp rbp rsi rdi r8 … r15. */
	unsigned long &gpr(unsigned int number);
	const unsigned long &gpr(unsigned int number) const;
	/* Random vector and mask registers; MXCSR stays. */
	void fill_vectors(Random &random);
};

extern const char *const kRegisterNames[16];
inline constexpr unsigned long kArithmeticFlags = 0x8d5;	/* CF PF AF ZF SF OF */
inline constexpr unsigned long kUserFlags = 0xcd5;		/* and DF */

enum class Stop {
	kSyscall,	/* ip is behind the syscall instruction */
	kException,	/* ip is the instruction that raised it */
	kRunaway,	/* stopped by the watchdog */
	kStep,		/* one instruction was executed: step_natively() */
};

struct Ended {
	Stop stop = Stop::kRunaway;
	int signal = 0, code = 0;
	uint64_t address = 0;	/* si_addr */
	State state;
};

/* Runs from state.regs.ip on the CPU until the code ends. */
Ended run_natively(const State &state);
/* The same for one instruction (of a repeated string instruction one round). */
Ended step_natively(const State &state);
/* The same to the code's end, instruction by instruction; `count` is how many. Slow. */
Ended count_natively(const State &state, unsigned long *count);

/* Exits of an image that no exit stub made; see run_image(). */
inline constexpr unsigned int kNoFaultEntry = ~0u;

/**
 * run_image - run a published image once, vector registers included
 * @state: as for ub_enter(); ip is not touched
 * @target: where a missed indirect branch wanted to go
 * Return: the exit's number, or kNoFaultEntry when an instruction without a fault
 * entry raised an exception (a broken promise; the state is what it was there).
 */
unsigned int run_image(State &state, uint64_t code, uint64_t *target);

/* Vector registers (zmm, k, MXCSR) equal? On the first difference `what` names it. */
bool vectors_equal(const State &a, const State &b, std::string *what);

/* Memory of a guest around `base`:
 *   base             code, 64 KiB, r-x
 *   base + 1 MiB     data, 32 KiB rw, then a read-only page; nothing mapped around
 *   base + 2 MiB     stack, 32 KiB rw, grows down from stack_top(); nothing mapped around */
class Guest {
public:
	static constexpr size_t kCodeBytes = 64 << 10, kDataBytes = 32 << 10, kStackBytes = 32 << 10;

	explicit Guest(uint64_t base);
	~Guest();
	Guest(const Guest &) = delete;
	Guest &operator=(const Guest &) = delete;

	uint64_t code() const { return base_; }
	uint64_t data() const { return base_ + (1 << 20); }
	uint64_t read_only() const { return data() + kDataBytes; }
	uint64_t unmapped() const { return read_only() + 4096; }
	uint64_t stack() const { return base_ + (2 << 20); }
	uint64_t stack_top() const { return stack() + kStackBytes; }

	/* Replaces the code; `syscalls` are the offsets of its syscall instructions. */
	void set_code(std::span<const uint8_t> bytes, std::span<const uint32_t> syscalls);
	std::span<const uint8_t> code_bytes() const { return {as_read_.data(), code_length_}; }
	/* Fills data and stack from a seed: the same seed, the same bytes, but the words
	 * that are pinned. */
	void fill(uint64_t seed);
	void unpin() { pinned_.clear(); }
	void pin(uint64_t address, uint64_t word) { pinned_.push_back({address, word}); }
	/* Called at the end of fill(), if set: what a test wants to be there. */
	std::function<void()> prepare;
	/* Data and stack together. */
	std::vector<uint8_t> snapshot() const;
	void snapshot(std::vector<uint8_t> &to) const;
	void restore(const std::vector<uint8_t> &snapshot);
	/* Offset of the first byte that differs from the snapshot as an address, or 0. */
	uint64_t first_difference(const std::vector<uint8_t> &snapshot) const;

private:
	uint64_t base_;
	int file_;
	uint8_t *writable_;			/* the code, as it runs */
	std::vector<uint8_t> as_read_;		/* the code, as it is translated */
	size_t code_length_ = 0;
	struct Word {
		uint64_t address, value;
	};
	std::vector<Word> pinned_;
	std::vector<uint8_t> filled_;		/* what the last seed made, before words were pinned */
	uint64_t filled_from_ = 0;
};

/* A small generator with the same numbers everywhere. */
class Random {
public:
	/* Mixed twice: neighbouring seeds must not give one stream, shifted. */
	explicit Random(uint64_t seed) : state_(seed) { state_ = next() ^ 0x1234567; state_ = next(); }
	uint64_t next();
	uint64_t below(uint64_t bound) { return next() % bound; }
	bool chance(unsigned int one_in) { return below(one_in) == 0; }
	/* Random bits, or one of the values at which arithmetic changes its mind. */
	uint64_t interesting();

private:
	uint64_t state_;
};

} // namespace host
