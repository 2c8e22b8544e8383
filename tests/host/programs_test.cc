// SPDX-License-Identifier: GPL-2.0
/*
 * Random programs, natively and as images that learn: each is translated, run, and
 * translated again with the branches that left it, until it runs through.
 */
#include <gtest/gtest.h>

#include "differential.h"
#include "instance.h"
#include "program.h"
#include "shrink.h"

namespace host {
namespace {

class Programs : public testing::TestWithParam<uint64_t> {};

TEST_P(Programs, do_what_the_cpu_does)
{
	Guest guest(GetParam());
	Differential differential(guest);
	unsigned int shown = 0;
	unsigned long natively_ended[3] = {};

	for (unsigned int i = 0; i < cases(600); i++) {
		Random random(i + GetParam());
		const Code program = random_program(guest, random);
		guest.set_code(program.bytes(), program.syscalls());
		State state = random_state(guest, random);
		state.regs.ip = guest.code();
		state.regs.sp = guest.stack_top() - 0x400;
		const uint64_t seed = random.next();

		guest.fill(seed);
		const Ended native = run_natively(state);
		natively_ended[int(native.stop)]++;
		ASSERT_NE(int(native.stop), int(Stop::kRunaway)) << "program " << i;
		if (auto why = differential.learn_and_compare(state, seed, 30))
			if (shown++ < 5)
				ADD_FAILURE() << "program " << i << ": " << *why
					      << shrunk_block(guest, differential, state, seed, 30);
	}
	EXPECT_EQ(differential.tally.mismatches, 0u);
	EXPECT_EQ(differential.tally.spurious, 0u);
	EXPECT_GT(differential.tally.exits["syscall"], 0u);
	EXPECT_EQ(differential.last_rejected, "");
	printf("             %s; natively %lu at a syscall, %lu at an exception\n", differential.tally.text().c_str(),
	       natively_ended[0], natively_ended[1]);
}

INSTANTIATE_TEST_SUITE_P(Low, Programs, testing::Values(kLowBase));
INSTANTIATE_TEST_SUITE_P(High, Programs, testing::Values(kHighBase));

} // namespace
} // namespace host
