// SPDX-License-Identifier: GPL-2.0
/*
 * Compiled functions and libc's own, called in guest memory: natively and as images
 * that learn. The gap ends behind the return, in a page of the guest: a return to a
 * frame from before the gap, as every real gap has.
 */
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "differential.h"
#include "functions.h"
#include "instance.h"

namespace host {
namespace {

constexpr unsigned int kRounds = 40;

class Functions : public testing::Test {
protected:
	Functions() : guest_(kHighBase), differential_(guest_)
	{
		static constexpr uint8_t kEnd[] = {0x0f, 0x05};
		static constexpr uint32_t kAt = 0;
		guest_.set_code(kEnd, {&kAt, 1});
	}

	/* Calls the function with its arguments, learning until it runs through. */
	template <typename Function>
	void call(const char *name, Function function, std::initializer_list<uint64_t> arguments, uint64_t seed)
	{
		static constexpr unsigned int kArgument[] = {7, 6, 2, 1, 8, 9};
		Random random(seed);
		State state = random_state(guest_, random);
		unsigned int i = 0;

		for (uint64_t argument : arguments)
			state.gpr(kArgument[i++]) = argument;
		state.regs.ax = 0;
		state.regs.flags &= ~0x400ul;
		state.regs.ip = reinterpret_cast<uint64_t>(function);
		state.regs.sp = (guest_.stack_top() & ~63ul) - 0x400 - 8;
		/* The return address is part of the memory both runs begin with. */
		guest_.unpin();
		guest_.pin(state.regs.sp, guest_.code());
		if (auto why = differential_.learn_and_compare(state, seed, kRounds))
			ADD_FAILURE() << name << ": " << *why;
	}

	void finish()
	{
		EXPECT_EQ(differential_.tally.mismatches, 0u);
		EXPECT_EQ(differential_.last_rejected, "");
		printf("             %s\n", differential_.tally.text().c_str());
	}

	void call_all(const ub_guest_function *functions)
	{
		for (const auto *each = functions; each->name; each++)
			for (unsigned int i = 0; i < cases(6); i++) {
				Random random(i);
				const uint64_t count = i ? random.below(FUNCTION_BYTES / 8) * 8 : 0;
				call(each->name, each->function, {guest_.data() + 64, count, random.interesting()}, i + 1);
			}
		EXPECT_EQ(differential_.tally.spurious, 0u);
		finish();
	}

	Guest guest_;
	Differential differential_;
};

TEST_F(Functions, of_general_registers)
{
	call_all(ub_functions);
	EXPECT_GT(differential_.tally.exits["syscall"], 0u);
}

TEST_F(Functions, as_usually_compiled)
{
	call_all(ub_vector_functions);
}

extern "C" int compare_longs(const void *a, const void *b)
{
	long x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

TEST_F(Functions, of_libc)
{
#ifdef __SANITIZE_ADDRESS__
	GTEST_SKIP() << "ASan has its own versions of these, which keep state between calls";
#endif
	const uint64_t data = guest_.data(), other = data + 0x1800;

	for (unsigned int i = 0; i < cases(6); i++) {
		Random random(i);
		const uint64_t n = random.below(1500), at = data + random.below(64), to = other + random.below(64);
		call("strlen", strlen, {at}, i);
		call("memcpy", memcpy, {to, at, n}, i);
		call("memmove", memmove, {at + random.below(32), at, n}, i);
		call("memset", memset, {at, random.next(), n}, i);
		call("memcmp", memcmp, {at, to, n}, i);
		call("memchr", static_cast<void *(*)(void *, int, size_t)>(memchr), {at, random.below(256), n}, i);
		call("strcmp", strcmp, {at, at}, i);
		call("strncmp", strncmp, {at, to, n}, i);
		call("strchr", static_cast<char *(*)(char *, int)>(strchr), {at, random.below(256)}, i);
		call("strtol", strtol, {at, 0, 16}, i);
		call("strtoul", strtoul, {at, to, 0}, i);
		call("strspn", strspn, {at, to}, i);
		call("atoi", atoi, {at}, i);
		call("labs", static_cast<long (*)(long)>(labs), {random.next()}, i);
		call("rand_r", rand_r, {at}, i);
		call("qsort", qsort, {data, random.below(40), 8, reinterpret_cast<uint64_t>(compare_longs)}, i);
		call("bsearch", bsearch, {at, data, random.below(100), 8, reinterpret_cast<uint64_t>(compare_longs)}, i);
		call("memmem", static_cast<void *(*)(const void *, size_t, const void *, size_t)>(memmem),
		     {data, n, data + n / 2, 5}, i);
		call("snprintf", static_cast<int (*)(char *, size_t, const char *, ...)>(snprintf),
		     {to, 200, reinterpret_cast<uint64_t>("%d %x %lu %s"), random.next(), random.next(), random.next()}, i);
	}
	finish();
}

} // namespace
} // namespace host
