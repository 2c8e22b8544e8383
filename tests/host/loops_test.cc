// SPDX-License-Identifier: GPL-2.0
/*
 * Small loops, natively and as images: any number of rounds, and accesses that fault in
 * any of them, so in any copy that the translator makes of a loop's body. After the loop
 * every register, the flags and memory are compared, at a fault the exact instruction.
 */
#include <gtest/gtest.h>

#include "code.h"
#include "differential.h"
#include "instance.h"

namespace host {
namespace {

constexpr unsigned int kRounds = 20;	/* more than there are copies, twice */

struct Loop {
	const char *assembly;
	std::vector<uint8_t> code;	/* the loop; rax, rdi, rsi go through memory, rcx is rax's end, r8 counts */
};

const Loop kLoops[] = {
	{"1: movzx edx,byte [rax]; add rax,1; add rbx,rdx; cmp rax,rcx; jne 1b",
	 {0x0f, 0xb6, 0x10, 0x48, 0x83, 0xc0, 0x01, 0x48, 0x01, 0xd3, 0x48, 0x39, 0xc8, 0x75, 0xf1}},
	{"1: movzx eax,byte [rdi+rbp]; add rbp,1; add rbx,rax; dec r8; jne 1b",
	 {0x0f, 0xb6, 0x04, 0x2f, 0x48, 0x83, 0xc5, 0x01, 0x48, 0x01, 0xc3, 0x49, 0xff, 0xc8, 0x75, 0xf0}},
	{"1: mov edx,[rdi+rbp*4+4]; dec rbp; add rbx,rdx; dec r8; jne 1b",
	 {0x8b, 0x54, 0xaf, 0x04, 0x48, 0xff, 0xcd, 0x48, 0x01, 0xd3, 0x49, 0xff, 0xc8, 0x75, 0xf1}},
	{"1: mov [rdi],al; inc rdi; dec r8; jne 1b", {0x88, 0x07, 0x48, 0xff, 0xc7, 0x49, 0xff, 0xc8, 0x75, 0xf6}},
	{"1: movzx edx,byte [rax]; mov [rdi],dl; inc rax; inc rdi; cmp rax,rcx; jne 1b",
	 {0x0f, 0xb6, 0x10, 0x88, 0x17, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc7, 0x48, 0x39, 0xc8, 0x75, 0xf0}},
	{"1: movzx edx,byte [rax]; inc rax; test dl,1; jz 2f; add rbx,rdx; mov [rdi],dl; 2: cmp rax,rcx; jne 1b",
	 {0x0f, 0xb6, 0x10, 0x48, 0xff, 0xc0, 0xf6, 0xc2, 0x01, 0x74, 0x05, 0x48, 0x01, 0xd3, 0x88, 0x17, 0x48, 0x39, 0xc8,
	  0x75, 0xeb}},
	{"1: cmp rax,rcx; je 2f; mov rdx,[rax+8]; add rax,8; xor rbx,rdx; jmp 1b; 2:",
	 {0x48, 0x39, 0xc8, 0x74, 0x0d, 0x48, 0x8b, 0x50, 0x08, 0x48, 0x83, 0xc0, 0x08, 0x48, 0x31, 0xd3, 0xeb, 0xee}},
	{"1: movzx edx,byte [rax]; lea rax,[rax+1]; adc rbx,rdx; dec r8; jne 1b",
	 {0x0f, 0xb6, 0x10, 0x48, 0x8d, 0x40, 0x01, 0x48, 0x11, 0xd3, 0x49, 0xff, 0xc8, 0x75, 0xf1}},
	{"1: mov rdx,[r9]; sub r9,-8; add [rdi-8],rdx; lea rdi,[rdi+8]; dec r8; jne 1b",
	 {0x49, 0x8b, 0x11, 0x49, 0x83, 0xe9, 0xf8, 0x48, 0x01, 0x57, 0xf8, 0x48, 0x8d, 0x7f, 0x08, 0x49, 0xff, 0xc8, 0x75,
	  0xec}},
	{"1: push rax; mov edx,[rsp+rbp]; push rbx; add edx,[rsp+rbp]; pop rbx; pop rax; add rax,rdx; dec r8; jne 1b",
	 {0x50, 0x8b, 0x14, 0x2c, 0x53, 0x03, 0x14, 0x2c, 0x5b, 0x58, 0x48, 0x01, 0xd0, 0x49, 0xff, 0xc8, 0x75, 0xee}},
	{"1: mov rdx,[rdi]; add rdi,rdi; mov rbx,[rdi]; dec r8; jne 1b",
	 {0x48, 0x8b, 0x17, 0x48, 0x01, 0xff, 0x48, 0x8b, 0x1f, 0x49, 0xff, 0xc8, 0x75, 0xf2}},
	{"1: mov edx,[rdi]; add edi,4; add rbx,rdx; mov edx,[rdi]; dec r8; jne 1b",
	 {0x8b, 0x17, 0x83, 0xc7, 0x04, 0x48, 0x01, 0xd3, 0x8b, 0x17, 0x49, 0xff, 0xc8, 0x75, 0xf1}},
	{"1: mov dl,[rdi+rdi]; inc rdi; mov bl,[rdi+rdi]; dec r8; jne 1b",
	 {0x8a, 0x14, 0x3f, 0x48, 0xff, 0xc7, 0x8a, 0x1c, 0x3f, 0x49, 0xff, 0xc8, 0x75, 0xf3}},
	{"1: mov rdx,[rdi]; test dl,1; jnz 2f; inc rdi; mov dl,[rdi]; jmp 3f; 2: mov dh,[rdi+1]; 3: dec r8; jne 1b",
	 {0x48, 0x8b, 0x17, 0xf6, 0xc2, 0x01, 0x75, 0x07, 0x48, 0xff, 0xc7, 0x8a, 0x17, 0xeb, 0x03, 0x8a, 0x77, 0x01, 0x49,
	  0xff, 0xc8, 0x75, 0xe9}},
};

class Loops : public testing::TestWithParam<uint64_t> {};

/* Where pointers begin: loops end before, at or in the read-only and the unmapped pages. */
void run(Guest &guest, Differential &differential, const Translation &translation, uint64_t from, unsigned int rounds,
	 unsigned int &shown, const char *assembly)
{
	Random random(rounds + from);
	State state = random_state(guest, random);

	state.regs.ip = guest.code();
	state.regs.sp = guest.stack_top() - 0x400;
	state.gpr(RAX) = state.gpr(RDI) = state.gpr(R9) = from;
	state.gpr(RCX) = from + rounds;
	state.gpr(R8) = rounds;
	state.gpr(RBP) = 0;
	if (auto why = differential.compare(translation, state, from + rounds))
		if (shown++ < 3)
			ADD_FAILURE() << assembly << ", " << rounds << " rounds: " << *why;
}

TEST_P(Loops, do_what_the_cpu_does)
{
	Guest guest(GetParam());
	Differential differential(guest);
	unsigned int shown = 0;

	for (const Loop &loop : kLoops) {
		std::vector<uint8_t> code = loop.code;
		const uint32_t at = uint32_t(code.size());

		code.push_back(0x0f), code.push_back(0x05);
		guest.set_code(code, {&at, 1});
		const auto translation = differential.translate(guest.code());
		ASSERT_TRUE(translation) << loop.assembly << ": " << differential.last_rejected;
		for (const uint64_t end : {guest.data() + 0x800, guest.read_only(), guest.unmapped(), guest.data() + 8})
			for (unsigned int before = 0; before < 2 * kRounds; before += 1 + before / kRounds)
				for (unsigned int rounds = 1; rounds <= kRounds; rounds += 1 + before % 3)
					run(guest, differential, *translation, end - before, rounds, shown, loop.assembly);
		/* Pointers that are no user address at all. */
		for (const uint64_t wild : {0xffffffff81000000ul, 0x8000000000000000ul - 4, 0x7ffffffffff8ul, 0ul, ~7ul})
			run(guest, differential, *translation, wild, kRounds, shown, loop.assembly);
	}
	EXPECT_EQ(differential.tally.mismatches, 0u);
	EXPECT_EQ(differential.last_rejected, "");
	EXPECT_GT(differential.tally.exits["syscall"], 0u);
	EXPECT_GT(differential.tally.exits["fault"], 0u);
	printf("             %s\n", differential.tally.text().c_str());
}

INSTANTIATE_TEST_SUITE_P(Low, Loops, testing::Values(kLowBase));
INSTANTIATE_TEST_SUITE_P(High, Loops, testing::Values(kHighBase));

} // namespace
} // namespace host
