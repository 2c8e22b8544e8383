// SPDX-License-Identifier: GPL-2.0
/*
 * Shrinking, tried on an emitter that is wrong: images of every program are changed behind
 * the verifier's back, and of the programs that fail the one changed instruction must be left.
 */
#include <gtest/gtest.h>

#include "host.h"
#include "image_sample.h"
#include "instance.h"
#include "program.h"
#include "shrink.h"

namespace host {
namespace {

/* add r64, r64 is sub r64, r64 in images, but for those of r9 to r11, which are not copies. */
bool is_add(std::span<const uint8_t> bytes)
{
	return bytes.size() == 3 && bytes[0] == 0x48 && bytes[1] == 0x01 && bytes[2] >= 0xc0;
}

void subtract_instead(const ub::sfi::Image &image)
{
	static constexpr uint8_t kSub = 0x29;

	for (const Start &start : verified_starts(image))
		if (is_add(image.bytes.subspan(start.offset, start.length)))
			ubk_code_write(image.address.value + start.offset + 1, &kSub, 1);
}

class Shrinking : public testing::Test {
protected:
	Shrinking() : guest_(kHighBase), differential_(guest_) { differential_.on_image = subtract_instead; }

	Guest guest_;
	Differential differential_;
};

TEST_F(Shrinking, leaves_the_one_instruction_that_is_wrong)
{
	unsigned int failed = 0;

	for (unsigned int i = 0; i < 400 && failed < 5; i++) {
		Random random(i);
		const Code program = random_program(guest_, random);
		guest_.set_code(program.bytes(), program.syscalls());
		State state = random_state(guest_, random);
		state.regs.ip = guest_.code();
		state.regs.sp = guest_.stack_top() - 0x400;
		const uint64_t seed = random.next();

		guest_.fill(seed);
		if (!differential_.learn_and_compare(state, seed, 30))
			continue;
		failed++;
		const auto shrunk = shrink(guest_, differential_, {program.bytes(), state, seed, 30});
		ASSERT_TRUE(shrunk) << "program " << i;
		const auto &code = shrunk->least.code;
		ASSERT_EQ(code.size(), 5u) << shrunk->block;
		EXPECT_TRUE(is_add(std::span(code).first(3))) << shrunk->block;
		EXPECT_EQ(shrunk->instructions, 2u);
		EXPECT_NE(shrunk->block.find("\nguest 48 01 "), std::string::npos) << shrunk->block;
		unsigned int registers = 0;
		for (unsigned int r = 0; r < 16; r++)
			registers += r != 4 && shrunk->least.state.gpr(r);
		EXPECT_LE(registers, 1u) << shrunk->block;
	}
	EXPECT_GT(failed, 0u);
}

/* xor eax, eax; jz over what is wrong; … nop; inc ecx; add rax, rbx; syscall: branches are set anew */
TEST_F(Shrinking, closes_the_gaps_it_makes)
{
	const std::vector<uint8_t> code = {0x31, 0xc0, 0x74, 0x03, 0x48, 0x01, 0xc8, 0x90, 0xff,
					   0xc1, 0x48, 0x01, 0xd8, 0x0f, 0x05};
	Random random(3);
	State state = random_state(guest_, random);

	state.regs.bx = 5;
	const auto shrunk = shrink(guest_, differential_, {code, state, 1, 4});
	ASSERT_TRUE(shrunk);
	EXPECT_EQ(shrunk->least.code, (std::vector<uint8_t>{0x48, 0x01, 0xd8, 0x0f, 0x05})) << shrunk->block;
}

TEST_F(Shrinking, finds_nothing_where_nothing_fails)
{
	const std::vector<uint8_t> code = {0x48, 0x29, 0xd8, 0x0f, 0x05};	/* sub rax, rbx; syscall */
	Random random(3);

	EXPECT_FALSE(shrink(guest_, differential_, {code, random_state(guest_, random), 1, 4}));
}

} // namespace
} // namespace host
