// SPDX-License-Identifier: GPL-2.0
/*
 * Every instance of every instruction form, natively and as an image: with live and
 * with dead flags behind it, with good pointers and with each kind of bad one. Kinds
 * that a mask turns into good pointers, which the contract names, have a test of their own.
 */
#include <gtest/gtest.h>

#include "differential.h"
#include "instance.h"

namespace host {
namespace {

/* The guest for an instance: it, then a syscall, between them an instruction that
 * makes the flags dead if wanted. */
void set_up(Guest &guest, const Instance &instance, bool flags_live)
{
	static constexpr uint8_t kCompare[] = {0x4d, 0x39, 0xc0};	/* cmp r8, r8 */
	std::vector<uint8_t> code(instance.begin, instance.end);

	if (!flags_live)
		code.insert(code.end(), std::begin(kCompare), std::end(kCompare));
	const uint32_t end = uint32_t(code.size());
	code.push_back(0x0f), code.push_back(0x05);
	guest.set_code(code, {&end, 1});
}

class Instructions : public testing::TestWithParam<uint64_t> {
protected:
	/* Runs `prepare`d states of every instance; `states` of each. */
	template <typename Prepare>
	void run_all(unsigned int states, Prepare prepare)
	{
		Guest guest(GetParam());
		Differential differential(guest);
		Random random(1);
		unsigned int shown = 0;

		for (const Instance &instance : instances()) {
			if (!runs_here(instance, guest))
				continue;
			for (const bool live : {true, false}) {
				set_up(guest, instance, live);
				differential.undefined_flags = live ? flags_undefined_by(guest.code()) : 0;
				const auto translation = differential.translate(guest.code());
				if (!translation)
					continue;
				for (unsigned int i = 0; i < states; i++) {
					State state = state_for(instance, guest, random);
					state.regs.ip = guest.code();
					if (!prepare(guest, instance, state, random))
						break;
					auto why = differential.compare(*translation, state, random.next());
					if (why && shown++ < 20)
						ADD_FAILURE() << instance.text << (live ? "" : " (flags dead)") << ": " << *why;
					if (why)
						break;
				}
			}
		}
		EXPECT_EQ(differential.tally.mismatches, 0u);
		EXPECT_GT(differential.tally.images, 0u);
		EXPECT_EQ(differential.tally.spurious, 0u);
		EXPECT_EQ(differential.last_rejected, "");
		printf("             %s\n", differential.tally.text().c_str());
	}

	/* One of the instance's pointers, or rsp for those that only have that. */
	static unsigned long *pointer_of(const Instance &instance, State &state, Random &random)
	{
		if (!instance.pointers)
			return nullptr;
		unsigned int number;
		do
			number = unsigned(random.below(16));
		while (!(instance.pointers >> number & 1));
		return &state.gpr(number);
	}
};

TEST_P(Instructions, do_what_the_cpu_does)
{
	run_all(cases(8), [](Guest &, const Instance &, State &, Random &) { return true; });
}

TEST_P(Instructions, fault_as_on_the_cpu)
{
	run_all(cases(8), [](Guest &guest, const Instance &instance, State &state, Random &random) {
		unsigned long *pointer = pointer_of(instance, state, random);
		if (!pointer)
			return false;
		switch (random.below(9)) {
		case 0: *pointer = guest.unmapped() + 0x1000; break;
		case 1: *pointer = guest.read_only() + 0x900; break;
		case 2: *pointer = random.below(0x1000); break;				/* the null page */
		case 3: *pointer = 0xffff888000000000 + random.below(1ul << 40); break;	/* kernel half */
		case 4: *pointer = 0xffffffff80000000 + random.below(1 << 30); break;	/* kernel text */
		case 5: *pointer = ~0ul - random.below(1 << 21); break;			/* the last 2 MiB */
		case 6: *pointer |= random.next() << 48 | 1ul << 62; break;		/* not canonical */
		case 7: *pointer = 0x800000000000 + random.below(1 << 20); break;	/* just above the user half */
		case 8: *pointer = 0x7fffffffffff - random.below(4096); break;		/* just below its end */
		}
		return true;
	});
}

/* The end of the mapped data: operands that straddle into the read-only page. */
TEST_P(Instructions, straddle_a_page_as_on_the_cpu)
{
	run_all(cases(4), [](Guest &guest, const Instance &instance, State &state, Random &random) {
		unsigned long *pointer = pointer_of(instance, state, random);
		if (!pointer)
			return false;
		*pointer = (random.chance(2) ? guest.read_only() : guest.unmapped()) - random.below(16);
		return true;
	});
}

TEST_P(Instructions, run_with_a_bad_stack_as_on_the_cpu)
{
	run_all(cases(2), [](Guest &guest, const Instance &instance, State &state, Random &random) {
		const bool uses_stack = strstr(instance.text, "sp") || strstr(instance.text, "push") ||
					strstr(instance.text, "pop") || strstr(instance.text, "leave") ||
					strstr(instance.text, "enter");
		if (!uses_stack)
			return false;
		state.regs.sp = random.chance(2) ? guest.stack() - 0x10000 + random.below(64) : random.below(1 << 20);
		if (instance.kinds & kStack && random.chance(2))
			state.regs.bp = random.interesting();
		return true;
	});
}

/* A program may unmask SIMD exceptions; in the kernel each needs a fault entry. */
TEST_P(Instructions, raise_unmasked_simd_exceptions_as_on_the_cpu)
{
	run_all(cases(6), [](Guest &, const Instance &instance, State &state, Random &random) {
		const uint32_t control = random.chance(2) ? 0 : uint32_t(random.below(64)) << 7;
		if (!strstr(instance.text, "xmm") && !strstr(instance.text, "ymm"))
			return false;
		memcpy(state.vectors + 24, &control, sizeof(control));
		return true;
	});
}

INSTANTIATE_TEST_SUITE_P(Low, Instructions, testing::Values(kLowBase));
INSTANTIATE_TEST_SUITE_P(High, Instructions, testing::Values(kHighBase));

} // namespace
} // namespace host
