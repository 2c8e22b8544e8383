// SPDX-License-Identifier: GPL-2.0
/*
 * Every instance of every instruction form, natively and as an image: with live and
 * with dead flags behind it, with good pointers and with each kind of bad one. Kinds
 * that a mask turns into good pointers, which the contract names, have a test of their own.
 */
#include <gtest/gtest.h>

#include "differential.h"
#include "instance.h"
#include "shrink.h"

namespace host {
namespace {

class Instructions : public testing::TestWithParam<uint64_t> {
protected:
	/* Runs `states` states of every instance, of one of many alike fewer. */
	void run_all(unsigned int states, Variant variant)
	{
		Guest guest(GetParam());
		Differential differential(guest);
		Random random(1);
		unsigned int shown = 0;

		for (const Instance &instance : instances()) {
			const bool alike = instance.kinds & kRow;
			State sample = state_for(instance, guest, random);
			if (!fits(instance, guest) || !vary(variant, guest, instance, sample, random))
				continue;
			for (const bool live : {true, false}) {
				if (alike && live == random.chance(2))
					continue;
				set_code(guest, instance, live);
				differential.allow(live, instance.kinds & kVaries);
				const auto translation = differential.translate(guest.code());
				if (!translation)
					continue;
				for (unsigned int i = 0; i < (alike ? (states + 3) / 4 : states); i++) {
					State state = state_for(instance, guest, random);
					state.regs.ip = guest.code();
					if (!vary(variant, guest, instance, state, random))
						break;
					const uint64_t seed = random.next();
					auto why = differential.compare(*translation, state, seed);
					if (why && shown++ < 20)
						ADD_FAILURE() << instance.text << (live ? "" : " (flags dead)") << ": " << *why
							      << shrunk_block(guest, differential, state, seed, 1);
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
};

TEST_P(Instructions, do_what_the_cpu_does)
{
	run_all(cases(8), Variant::kGood);
}

TEST_P(Instructions, fault_as_on_the_cpu)
{
	run_all(cases(8), Variant::kBadPointer);
}

/* The end of the mapped data: operands that straddle into the read-only page. */
TEST_P(Instructions, straddle_a_page_as_on_the_cpu)
{
	run_all(cases(4), Variant::kStraddle);
}

TEST_P(Instructions, run_with_a_bad_stack_as_on_the_cpu)
{
	run_all(cases(2), Variant::kBadStack);
}

/* A program may unmask SIMD exceptions; in the kernel each needs a fault entry. */
TEST_P(Instructions, raise_unmasked_simd_exceptions_as_on_the_cpu)
{
	run_all(cases(6), Variant::kUnmasked);
}

INSTANTIATE_TEST_SUITE_P(Low, Instructions, testing::Values(kLowBase));
INSTANTIATE_TEST_SUITE_P(High, Instructions, testing::Values(kHighBase));

} // namespace
} // namespace host
