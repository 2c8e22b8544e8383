// SPDX-License-Identifier: GPL-2.0
/*
 * The harness itself: that it sees what is wrong, and that the host's services keep
 * their promises. A differential test that cannot fail would prove nothing.
 */
#include <gtest/gtest.h>

#include <fstream>

#include "differential.h"
#include "instance.h"

namespace host {
namespace {

constexpr uint32_t kNoSyscall[] = {0};

class Harness : public testing::Test {
protected:
	Harness() : guest_(kHighBase), differential_(guest_), random_(7) {}

	void set_code(std::initializer_list<uint8_t> instruction)
	{
		std::vector<uint8_t> code(instruction);
		const uint32_t end = uint32_t(code.size());
		code.push_back(0x0f), code.push_back(0x05);
		guest_.set_code(code, {&end, 1});
	}

	State state()
	{
		State state = random_state(guest_, random_);
		state.regs.ip = guest_.code();
		return state;
	}

	Guest guest_;
	Differential differential_;
	Random random_;
};

TEST_F(Harness, equal_code_compares_equal)
{
	set_code({0x48, 0x01, 0xd8});	/* add rax, rbx */
	const auto translation = differential_.translate(guest_.code());
	ASSERT_TRUE(translation);
	EXPECT_FALSE(differential_.compare(*translation, state(), 1));
}

TEST_F(Harness, sees_a_wrong_register)
{
	set_code({0x48, 0x01, 0xd8});	/* add rax, rbx */
	const auto translation = differential_.translate(guest_.code());
	ASSERT_TRUE(translation);
	set_code({0x48, 0x8d, 0x44, 0x18, 0x01});	/* lea rax, [rax + rbx + 1] */
	State state = this->state();
	const auto why = differential_.compare(*translation, state, 1);
	ASSERT_TRUE(why);
	EXPECT_EQ(differential_.tally.mismatches, 1u);
}

TEST_F(Harness, sees_wrong_flags)
{
	set_code({0x48, 0x85, 0xdb});	/* test rbx, rbx */
	const auto translation = differential_.translate(guest_.code());
	ASSERT_TRUE(translation);
	set_code({0x48, 0x39, 0xc3});	/* cmp rbx, rax */
	State state = this->state();
	state.regs.ax = state.regs.bx + 1;
	const auto why = differential_.compare(*translation, state, 1);
	ASSERT_TRUE(why);
	EXPECT_NE(why->find("flags"), std::string::npos) << *why;
}

TEST_F(Harness, sees_wrong_memory)
{
	set_code({0x89, 0x03, 0x90});	/* mov [rbx], eax; nop */
	const auto translation = differential_.translate(guest_.code());
	ASSERT_TRUE(translation);
	set_code({0x89, 0x43, 0x08});	/* mov [rbx + 8], eax */
	State state = this->state();
	state.regs.bx = guest_.data();
	const auto why = differential_.compare(*translation, state, 1);
	ASSERT_TRUE(why);
	EXPECT_NE(why->find("memory"), std::string::npos) << *why;
}

TEST_F(Harness, sees_wrong_vectors)
{
	set_code({0x66, 0x0f, 0xef, 0xc0});	/* pxor xmm0, xmm0 */
	const auto translation = differential_.translate(guest_.code());
	if (!translation)
		GTEST_SKIP() << "vector instructions are exits";
	set_code({0x66, 0x0f, 0xef, 0xc1});	/* pxor xmm0, xmm1 */
	const auto why = differential_.compare(*translation, state(), 1);
	ASSERT_TRUE(why);
	EXPECT_NE(why->find("xmm"), std::string::npos) << *why;
}

/* An image may fault where the CPU does not: the thread goes on natively. It is counted. */
TEST_F(Harness, counts_a_spurious_fault)
{
	set_code({0x8b, 0x03});	/* mov eax, [rbx] */
	const auto translation = differential_.translate(guest_.code());
	ASSERT_TRUE(translation);
	set_code({0x31, 0xc0});	/* xor eax, eax */
	State state = this->state();
	state.regs.bx = guest_.unmapped();
	EXPECT_FALSE(differential_.compare(*translation, state, 1));
	EXPECT_EQ(differential_.tally.spurious, 1u);
}

TEST_F(Harness, sees_a_missing_fault)
{
	set_code({0x31, 0xc0});	/* xor eax, eax */
	const auto translation = differential_.translate(guest_.code());
	ASSERT_TRUE(translation);
	set_code({0x8b, 0x03});	/* mov eax, [rbx] */
	State state = this->state();
	state.regs.bx = guest_.unmapped();
	EXPECT_TRUE(differential_.compare(*translation, state, 1));
}

TEST_F(Harness, sees_a_missing_fault_entry)
{
	set_code({0x8b, 0x03});	/* mov eax, [rbx] */
	const auto translation = differential_.translate(guest_.code());
	ASSERT_TRUE(translation);
	ubk_faults_retire(translation->entry(), translation->bytes());
	State state = this->state();
	state.regs.bx = guest_.unmapped();
	testing::internal::CaptureStderr();
	const auto why = differential_.compare(*translation, state, 1);
	EXPECT_NE(testing::internal::GetCapturedStderr().find("without a fault entry"), std::string::npos);
	ASSERT_TRUE(why);
	EXPECT_NE(why->find("exit number"), std::string::npos) << *why;
}

TEST_F(Harness, flags_are_dead_until_read)
{
	set_code({0x48, 0x39, 0xc3});			/* cmp rbx, rax */
	EXPECT_FALSE(flags_read_at(guest_.code(), kArithmeticFlags));
	EXPECT_TRUE(flags_read_at(guest_.code(), 0x400)) << "DF lives on";
	set_code({0x48, 0xff, 0xc0});			/* inc rax */
	EXPECT_TRUE(flags_read_at(guest_.code(), 1)) << "inc keeps CF";
	EXPECT_FALSE(flags_read_at(guest_.code(), 0x40));
	set_code({0x48, 0xd3, 0xe0});			/* shl rax, cl */
	EXPECT_TRUE(flags_read_at(guest_.code(), 0x40)) << "a count of 0 keeps flags";
	set_code({0x74, 0x00, 0x48, 0x39, 0xc3});	/* jz; cmp rbx, rax */
	EXPECT_TRUE(flags_read_at(guest_.code(), 0x40));
	EXPECT_FALSE(flags_read_at(guest_.code(), 1));
}

/* A mask must not make wild pointers good. Each form of it has one class of them, which
 * the contract names: bit 47 alone where the bit is cleared, bit 63 alone where the bits
 * from 47 on move up by one. There are no others. */
TEST_F(Harness, masks_have_one_blind_class_each)
{
	for (const bool live : {false, true}) {
		if (live)
			set_code({0x8b, 0x03});				/* mov eax, [rbx] */
		else
			set_code({0x8b, 0x03, 0x4d, 0x39, 0xc0});	/* and cmp r8, r8 */
		const auto translation = differential_.translate(guest_.code());
		ASSERT_TRUE(translation);
		std::vector<unsigned int> blind;
		for (unsigned int bit = 47; bit < 64; bit++) {
			State state = this->state();
			state.regs.bx = guest_.data() | 1ul << bit;
			if (differential_.compare(*translation, state, bit))
				blind.push_back(bit);
		}
		EXPECT_EQ(blind, std::vector<unsigned int>{live ? 63u : 47u});
	}
}

TEST_F(Harness, translations_give_their_memory_back)
{
	const size_t pages = code_pages_in_use();

	set_code({0x48, 0x01, 0xd8});
	for (int i = 0; i < 100; i++)
		ASSERT_TRUE(differential_.translate(guest_.code()));
	EXPECT_EQ(code_pages_in_use(), pages);
}

TEST(Services, no_page_is_writable_and_executable)
{
	Guest guest(kHighBase);
	Differential differential(guest);
	const uint8_t code[] = {0x0f, 0x05};
	guest.set_code(code, kNoSyscall);
	const auto translation = differential.translate(guest.code());

	std::ifstream maps("/proc/self/maps");
	for (std::string line; std::getline(maps, line);)
		EXPECT_EQ(line.find(" rwx"), std::string::npos) << line;
}

TEST(Services, code_memory_fills_up_and_empties)
{
	constexpr unsigned long kPiece = 1 << 20;
	std::vector<unsigned long> pieces;
	const size_t pages = code_pages_in_use();

	while (const unsigned long piece = ubk_code_reserve(kPiece))
		pieces.push_back(piece);
	EXPECT_GT(pieces.size(), 16u);
	EXPECT_EQ(ubk_code_reserve(kPiece), 0u);
	ubk_code_trim(pieces[0], kPiece, 5000);
	EXPECT_NE(ubk_code_reserve(kPiece - 8192), 0u);
	ubk_code_release(pieces[0], 8192);
	ubk_code_release(pieces[0] + 8192, kPiece - 8192);
	for (size_t i = 1; i < pieces.size(); i++)
		ubk_code_release(pieces[i], kPiece);
	EXPECT_EQ(code_pages_in_use(), pages);
}

TEST(Services, guest_reads_stop_where_code_does)
{
	uint8_t buffer[64];
	Guest guest(kHighBase);

	EXPECT_EQ(ubk_guest_read(nullptr, guest.code() + Guest::kCodeBytes - 10, buffer, 64), 10u);
	EXPECT_EQ(ubk_guest_read(nullptr, guest.data(), buffer, 64), 0u) << "not executable";
	EXPECT_EQ(ubk_guest_read(nullptr, guest.unmapped(), buffer, 64), 0u);
	EXPECT_EQ(ubk_guest_read(nullptr, ~0ul - 8, buffer, 64), 0u);
	EXPECT_EQ(ubk_guest_read(nullptr, reinterpret_cast<uint64_t>(&strtol), buffer, 64), 64u);
}

} // namespace
} // namespace host
