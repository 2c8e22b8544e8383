/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real libraries under test: functions of glibc, zlib and others, natively and as images.
 *
 * A Library is loaded into a namespace of its own, with a libc of its own. So the code
 * under test may allocate and keep state, and nothing that the harness does between its
 * images goes through the same heap. A RealCode calls its functions in two processes at
 * once: natively in a forked child, as images here; then all that both could have written
 * is compared, the registers and every writable byte that belongs to the libraries or to a
 * stack and buffers of the harness's. Pure functions on small buffers do without the fork:
 * there Differential restores the memory of a Guest.
 */
#pragma once

#include <initializer_list>

#include "follow.h"

namespace host {

class Library {
public:
	/* Fails the test program when there is no such library: scripts/setup installs them. */
	explicit Library(const char *name);
	Library(const Library &) = delete;
	Library &operator=(const Library &) = delete;

	/* Null: it has no function of that name. */
	void *find(const char *name) const;

	/* To be called on the harness's own stack, natively. */
	template <typename Function>
	Function *native(const char *name) const
	{
		return reinterpret_cast<Function *>(find(name));
	}

private:
	void *handle_;
};

struct Range {
	uint64_t start, end;
	bool operator==(const Range &) const = default;
};

class RealCode {
	std::vector<Range> harness_memory_;	/* what was writable before there was anything under test */

public:
	/* Libraries that compare() is to look into are loaded after it. */
	RealCode();

	/* A call: six arguments in registers, the others on the stack; `floating` in xmm registers. */
	struct Call {
		const void *function;
		std::vector<uint64_t> arguments;
		std::vector<double> floating = {};
	};
	/* The registers it begins with; `place` puts words on the stack, the return address first. */
	State state_of(const Call &call, uint64_t seed, uint64_t stack_top,
		       const std::function<void(uint64_t address, uint64_t word)> &place);
	/* The same on the stack of this RealCode. */
	State state_of(const Call &call, uint64_t seed);

	/* In two processes, as said above. Afterwards memory here is what the images left. Returns
	 * nothing when all was equal. `result`, if not null, is rax. */
	std::optional<std::string> compare(const Call &call, uint64_t seed, uint64_t *result = nullptr);
	/* On the guest's data and stack alone, filled from the seed. */
	std::optional<std::string> compare_pure(const Call &call, uint64_t seed);

	/* Instructions of a call, executed natively in a child: memory here stays as it is. 0: they are
	 * too many to be counted in a moment. */
	unsigned long count(const Call &call, uint64_t seed);

	/* Anonymous memory that both sides write to and that is compared: page-aligned. */
	unsigned char *buffer(size_t bytes);

	Guest guest;
	Differential differential;
	Follower follower;

private:
	std::string memory_differs(int child);

	uint64_t stack_;
};

} // namespace host
