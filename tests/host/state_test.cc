// SPDX-License-Identifier: GPL-2.0
/*
 * What instances cannot show: instructions whose results differ from run to run, and a
 * control word that changes what follows. Against the CPU, as everywhere.
 */
#include <gtest/gtest.h>

#include <sched.h>
#include <x86intrin.h>

#include "differential.h"
#include "instance.h"

namespace host {
namespace {

class States : public testing::Test {
protected:
	States() : guest_(kHighBase), differential_(guest_) {}

	/* The code, behind it a syscall. */
	std::unique_ptr<Translation> translate(std::vector<uint8_t> code)
	{
		const uint32_t end = uint32_t(code.size());

		code.insert(code.end(), {0x0f, 0x05});
		guest_.set_code(code, {&end, 1});
		auto translation = differential_.translate(guest_.code());
		EXPECT_TRUE(translation) << differential_.last_rejected;
		return translation;
	}

	/* Runs to the syscall, and not out of the image. */
	State run(const Translation &translation)
	{
		Random random(1);
		State state = random_state(guest_, random);
		uint64_t target = 0;

		state.regs.ip = guest_.code();
		const unsigned int exit = run_image(state, translation.entry(), &target);
		EXPECT_LT(exit, translation.exits().size());
		EXPECT_EQ(translation.exits()[exit].reason, ub::sfi::ExitReason::kSyscall);
		return state;
	}

	Guest guest_;
	Differential differential_;
};

/* rdtsc; shl rdx, 32; or rax, rdx */
TEST_F(States, the_clock_is_the_cpus)
{
	const auto translation = translate({0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0});

	ASSERT_TRUE(translation);
	for (int i = 0; i < 100; i++) {
		const uint64_t before = __rdtsc();
		const State state = run(*translation);
		EXPECT_LE(before, state.regs.ax);
		EXPECT_GE(__rdtsc(), state.regs.ax);
	}
}

/* lfence; rdtscp; shl rdx, 32; or rax, rdx: as the vdso reads it */
TEST_F(States, the_clock_names_the_cpu)
{
	const auto translation = translate({0x0f, 0xae, 0xe8, 0x0f, 0x01, 0xf9, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0});
	int same = 0;

	ASSERT_TRUE(translation);
	for (int i = 0; i < 100; i++) {
		unsigned int first, last;
		const uint64_t before = __rdtscp(&first);
		const State state = run(*translation);
		EXPECT_LE(before, state.regs.ax);
		EXPECT_GE(__rdtscp(&last), state.regs.ax);
		same += first == last && state.regs.cx == first;
	}
	EXPECT_GT(same, 50);
}

/* rdrand rax; rdrand r9; setb cl: the second lives in a slot */
TEST_F(States, random_numbers_are_random)
{
	const auto translation = translate({0x48, 0x0f, 0xc7, 0xf0, 0x49, 0x0f, 0xc7, 0xf1, 0x0f, 0x92, 0xc1});

	if (!__builtin_cpu_supports("rdrnd"))
		GTEST_SKIP() << "no rdrand on this CPU";
	ASSERT_TRUE(translation);
	const State one = run(*translation), other = run(*translation);
	EXPECT_EQ(one.regs.cx & 0xff, 1u);
	EXPECT_NE(one.regs.ax, one.regs.r9);
	EXPECT_NE(one.regs.ax, other.regs.ax);
	EXPECT_NE(one.regs.r9, other.regs.r9);
}

/*
 * ldmxcsr [rdi]; divps xmm0, xmm1; cvtps2dq xmm2, xmm3; sqrtsd xmm4, xmm5; stmxcsr [rdi + 8]: rounding,
 * denormals and exceptions by every control word, those with reserved bits among them
 */
TEST_F(States, control_words_do_what_they_do_on_the_cpu)
{
	static const std::vector<uint8_t> kLegacy = {0x0f, 0xae, 0x17, 0x0f, 0x5e, 0xc1, 0x66, 0x0f, 0x5b, 0xd3,
						     0xf2, 0x0f, 0x51, 0xe5, 0x0f, 0xae, 0x5f, 0x08};
	/* The first and the last with VEX. */
	static const std::vector<uint8_t> kVex = {0xc5, 0xf8, 0xae, 0x17, 0x0f, 0x5e, 0xc1, 0x66, 0x0f, 0x5b, 0xd3,
						  0xf2, 0x0f, 0x51, 0xe5, 0xc5, 0xf8, 0xae, 0x5f, 0x08};

	for (const auto &code : {kLegacy, kVex}) {
		Random random(7);
		if (&code != &kLegacy && !machine().avx)
			continue;
		const auto translation = translate(code);
		ASSERT_TRUE(translation);
		unsigned int through = 0;
		for (unsigned int i = 0; i < cases(4000); i++) {
			State state = random_state(guest_, random);
			uint64_t word = random.below(1 << 16);
			if (random.chance(2))
				word |= 0x1f80;				/* nothing unmasked */
			if (random.chance(8))
				word |= 1ull << (16 + random.below(16));	/* #GP */
			state.regs.ip = guest_.code();
			state.regs.di = guest_.data() + 64 * random.below(64);
			guest_.unpin();
			guest_.pin(state.regs.di, word);
			const auto why = differential_.compare(*translation, state, random.next());
			ASSERT_FALSE(why) << *why;
			through += differential_.ran_through;
		}
		EXPECT_GT(through, cases(4000) / 4);
	}
	printf("             %s\n", differential_.tally.text().c_str());
}

} // namespace
} // namespace host
