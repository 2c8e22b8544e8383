/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cases of the translator's parts: what the decoder says of an instruction, how one is
 * re-encoded, labels of the assembler, the address map.
 */
#include "alike.h"
#include "cases.h"

#include "translator/address_map.h"
#include "translator/assembler.h"
#include "translator/insn.h"
#include "translator/rewrite.h"

namespace {

using namespace ub;
using namespace ub::translator;

constexpr UserAddr kAt{0x401000};

/* Decodes a literal; `ok` says whether it is one whole instruction. */
template <size_t n>
Insn decoded(struct ub_case *test, const char (&bytes)[n], bool *ok)
{
	Arena arena = testing::scratch_arena(test, 1 << 16);
	Decoder decoder(arena);
	Insn insn;

	*ok = decoder.decode(kAt, reinterpret_cast<const uint8_t *>(bytes), n - 1, insn) && insn.length == n - 1;
	return insn;
}

template <size_t n>
bool is(const Encoded &encoded, const char (&bytes)[n])
{
	if (encoded.length != n - 1)
		return false;
	for (size_t i = 0; i < n - 1; i++) {
		if (encoded.bytes[i] != uint8_t(bytes[i]))
			return false;
	}
	return true;
}

Rewrite with_base(Gpr base)
{
	Rewrite rewrite;
	rewrite.memory.base = base;
	return rewrite;
}

UB_CASE(insn, knows_kinds)
{
	bool ok;

	CHECK_EQ(decoded(test, "\x0f\x05", &ok).kind, Kind::kSyscall);
	CHECK_EQ(decoded(test, "\xf3\x0f\x1e\xfa", &ok).kind, Kind::kNothing);
	CHECK_EQ(decoded(test, "\xff\xe0", &ok).kind, Kind::kIndirectJump);
	CHECK_EQ(decoded(test, "\xff\x17", &ok).kind, Kind::kIndirectCall);
	const Insn jcc = decoded(test, "\x0f\x85\x10\x00\x00\x00", &ok);
	CHECK(ok);
	CHECK_EQ(jcc.kind, Kind::kBranch);
	CHECK_EQ(jcc.condition, 5);
	CHECK_EQ(jcc.target, kAt.value + 0x16);
	const Insn ret = decoded(test, "\xc2\x10\x00", &ok);
	CHECK_EQ(ret.kind, Kind::kReturn);
	CHECK_EQ(ret.pop_bytes, 16);
}

UB_CASE(insn, refuses_with_a_reason)
{
	bool ok;
	const Insn wrfsbase = decoded(test, "\xf3\x48\x0f\xae\xd0", &ok);

	CHECK(ok);
	CHECK_EQ(wrfsbase.kind, Kind::kRefused);
	CHECK(wrfsbase.why);
	CHECK_EQ(decoded(test, "\xfd", &ok).kind, Kind::kRefused);			/* std */
	CHECK_EQ(decoded(test, "\x64\xa4", &ok).kind, Kind::kRefused);		/* movsb from fs: */
	CHECK_EQ(decoded(test, "\xf2\xa4", &ok).kind, Kind::kRefused);		/* repne movsb */
	CHECK_EQ(decoded(test, "\x67\xaa", &ok).kind, Kind::kRefused);		/* stosb at edi */
	CHECK_EQ(decoded(test, "\x67\xe3\x00", &ok).kind, Kind::kRefused);		/* jecxz */
	CHECK_EQ(decoded(test, "\xe3\x00", &ok).kind, Kind::kCounted);		/* jrcxz */
	CHECK_EQ(decoded(test, "\x66\x50", &ok).kind, Kind::kRefused);		/* push ax */
	CHECK_EQ(decoded(test, "\x66\xc3", &ok).kind, Kind::kRefused);		/* data16 ret */
	CHECK_EQ(decoded(test, "\xb8\xf3\x0f\x1e\xfa", &ok).kind, Kind::kRefused);	/* mov eax, an endbr64 */
}

UB_CASE(insn, knows_strings)
{
	bool ok;
	const Insn movs = decoded(test, "\xf3\x48\xa5", &ok);	/* rep movsq */

	CHECK_EQ(movs.kind, Kind::kString);
	CHECK_EQ(movs.string, StringOp::kMovs);
	CHECK_EQ(movs.repeat, Repeat::kCount);
	CHECK_EQ(movs.element_bytes, 8);
	CHECK_EQ(movs.gpr_written, uint16_t(1 << 1 | 1 << 6 | 1 << 7));
	CHECK_EQ(decoded(test, "\xf2\xae", &ok).repeat, Repeat::kWhileUnequal);	/* repne scasb */
	CHECK_EQ(decoded(test, "\xf2\xae", &ok).flags_killed, 0);
	CHECK_EQ(decoded(test, "\x66\xa7", &ok).flags_killed, kArithmeticFlags);	/* cmpsw */
	CHECK_EQ(decoded(test, "\x66\xa7", &ok).element_bytes, 2);
}

UB_CASE(insn, says_which_flags_die)
{
	bool ok;

	CHECK_EQ(decoded(test, "\x48\x01\xd8", &ok).flags_killed, kArithmeticFlags);	/* add */
	CHECK_EQ(decoded(test, "\x48\x85\xc0", &ok).flags_killed, kArithmeticFlags);	/* test */
	/* inc leaves CF; a shift by cl or by 0 may leave all; div and bsf leave some in practice */
	CHECK_EQ(decoded(test, "\x48\xff\xc0", &ok).flags_killed, kArithmeticFlags & ~kCarryFlag);
	CHECK_EQ(decoded(test, "\x48\xd3\xe0", &ok).flags_killed, 0);
	CHECK_EQ(decoded(test, "\x48\xc1\xe0\x40", &ok).flags_killed, 0);
	CHECK_EQ(decoded(test, "\x48\xf7\xf1", &ok).flags_killed, 0);
	CHECK_EQ(decoded(test, "\x48\x0f\xbc\xc1", &ok).flags_killed, 0x40);
	/* adc reads CF, cmovz ZF */
	CHECK_EQ(decoded(test, "\x48\x11\xd8", &ok).flags_read, kCarryFlag);
	CHECK_EQ(decoded(test, "\x48\x0f\x44\xc1", &ok).flags_read, 0x40);
}

UB_CASE(insn, says_whether_old_values_matter)
{
	bool ok;
	const Insn bsf = decoded(test, "\x4c\x0f\xbc\xc9", &ok);	/* bsf r9, rcx */

	CHECK_EQ(bsf.regs[0].reg, kR9);
	CHECK(bsf.regs[0].written && bsf.regs[0].needed);
	const Insn mov = decoded(test, "\x49\x89\xc1", &ok);		/* mov r9, rax */
	CHECK(mov.regs[0].written && !mov.regs[0].needed);
	const Insn mov16 = decoded(test, "\x66\x41\x89\xc1", &ok);	/* mov r9w, ax */
	CHECK(mov16.regs[0].written && mov16.regs[0].needed);
}

/* What is kept of an instruction changes nothing for those that begin like it. */
void check_kept(struct ub_case *test, const uint8_t *bytes)
{
	Arena arena = testing::scratch_arena(test);
	Decoder keeps(arena), anew(arena);	/* one can keep, the second can not */
	Insn first, second, again;

	(void)keeps.decode(kAt, bytes + testing::kFirst, kMaxInsnBytes, first);
	const bool ok = keeps.decode(kAt + 20, bytes + testing::kSecond, kMaxInsnBytes, second);
	CHECK_EQ(ok, anew.decode(kAt + 20, bytes + testing::kSecond, kMaxInsnBytes, again));
	CHECK(!ok || (second.why == again.why && second.length == again.length));
	CHECK(!ok || second.kind == Kind::kRefused || second == again);
}

UB_CASE(insn, what_is_kept_serves_again)
{
	CHECK_CALL(testing::for_each_pair(test, check_kept));
}

UB_CASE(rewrite, legacy_gets_a_rex)
{
	bool ok;

	/* mov eax, [rdi + 8] → mov eax, [r9 + 8] */
	CHECK(is(encode(decoded(test, "\x8b\x47\x08", &ok), with_base(kR9)), "\x41\x8b\x41\x08"));
	/* cmp word ptr fs:[rcx], 0x1234 → without the prefix */
	CHECK(is(encode(decoded(test, "\x64\x66\x81\x39\x34\x12", &ok), with_base(kR9)), "\x66\x41\x81\x39\x34\x12"));
	/* mov rax, [rsp + 16] → mov rax, [r11 + 16]: without its SIB */
	CHECK(is(encode(decoded(test, "\x48\x8b\x44\x24\x10", &ok), with_base(kR11)), "\x49\x8b\x43\x10"));
	/* mov rax, [rip + 0] → mov rax, [0x12345678] */
	Rewrite absolute;
	absolute.memory.form = NewMemory::Form::kAbsolute;
	absolute.memory.disp = 0x12345678;
	CHECK(is(encode(decoded(test, "\x48\x8b\x05\x00\x00\x00\x00", &ok), absolute), "\x48\x8b\x04\x25\x78\x56\x34\x12"));
}

UB_CASE(rewrite, opcodes_hold_registers)
{
	bool ok;
	Rewrite rewrite;

	/* mov r10d, 1 → mov r9d, 1 */
	rewrite.opcode = kR9;
	CHECK(is(encode(decoded(test, "\x41\xba\x01\x00\x00\x00", &ok), rewrite), "\x41\xb9\x01\x00\x00\x00"));
	/* bswap r10 → bswap r9 */
	CHECK(is(encode(decoded(test, "\x49\x0f\xca", &ok), rewrite), "\x49\x0f\xc9"));
}

UB_CASE(rewrite, vex_grows_to_three_bytes)
{
	bool ok;

	/* vmovdqu ymm0, [rdi] → vmovdqu ymm0, [r9] */
	CHECK(is(encode(decoded(test, "\xc5\xfe\x6f\x07", &ok), with_base(kR9)), "\xc4\xc1\x7e\x6f\x01"));
	/* andn rax, r11, rcx → andn rax, r9, rcx */
	Rewrite rewrite;
	rewrite.vvvv = kR9;
	CHECK(is(encode(decoded(test, "\xc4\xe2\xa0\xf2\xc1", &ok), rewrite), "\xc4\xe2\xb0\xf2\xc1"));
}

UB_CASE(rewrite, evex_keeps_its_scaled_displacement)
{
	bool ok;

	/* vmovdqu64 zmm17, [rsi + 64] → [r9 + 64], its disp8 still 1 */
	CHECK(is(encode(decoded(test, "\x62\xe1\xfe\x48\x6f\x4e\x01", &ok), with_base(kR9)),
		 "\x62\xc1\xfe\x48\x6f\x49\x01"));
	/* a displacement of our own is never short */
	Rewrite rewrite = with_base(kR9);
	rewrite.memory.form = NewMemory::Form::kValue;
	rewrite.memory.disp = 64;
	CHECK(is(encode(decoded(test, "\x62\xe1\xfe\x48\x6f\x4e\x01", &ok), rewrite),
		 "\x62\xc1\xfe\x48\x6f\x89\x40\x00\x00\x00"));
}

UB_CASE(assembler, links_both_ways)
{
	Arena arena = testing::scratch_arena(test, 1 << 16);
	Assembler as(arena, KernelAddr(0x1000), 64, 8);
	const Label back = as.label(), ahead = as.label();

	as.bind(back);
	as.jmp(ahead);
	as.jmp(back);
	as.bind(ahead);
	as.link(KernelAddr(0));
	CHECK(!as.overflow());
	/* jmp rel8 ahead; jmp rel8 back */
	constexpr uint8_t expected[] = {0xeb, 2, 0xeb, 0xfc};
	CHECK_EQ(as.bytes().size(), sizeof(expected));
	for (size_t i = 0; i < sizeof(expected); i++)
		CHECK_EQ(as.bytes()[i], expected[i]);
}

/* Branches to labels in reach become short, the others and polls' do not, and all follow what has moved. */
UB_CASE(assembler, shrinks_branches)
{
	constexpr uint8_t kNop = 0x90;
	Arena arena = testing::scratch_arena(test, 1 << 16);
	Assembler as(arena, KernelAddr(0x1000), 512, 8);
	const Label near = as.label(), far = as.label(), head = as.label();

	as.bind(head);
	as.jcc(4, near);		/* 0: 0f 84, then 74 */
	as.jmp(far);			/* 6, then 2: e9 */
	as.jcc_near(5, near);		/* 11, then 7: 0f 85 */
	const uint32_t behind = as.here();
	as.bind(near);			/* 17, then 13 */
	as.jmp(head);			/* 17, then 13: eb */
	for (int i = 0; i < 200; i++)
		as.raw(&kNop, 1);
	as.bind(far);			/* 219, then 215 */
	as.exit_stub(7);
	as.link(KernelAddr(0x2000));

	uint32_t move = 0;
	CHECK(!as.overflow());
	CHECK_EQ(as.moved(0, move), 0);
	CHECK_EQ(as.moved(behind, move), 13);
	CHECK_EQ(as.place_of(near), 13);
	CHECK_EQ(as.place_of(far), 215);
	CHECK_EQ(as.bytes().size(), 226);
	const uint8_t *b = as.bytes().data();
	CHECK(b[0] == 0x74 && b[1] == 11);
	CHECK(b[2] == 0xe9 && b[3] == 215 - 7 && b[4] == 0);
	CHECK(b[7] == 0x0f && b[8] == 0x85 && b[9] == 0);
	CHECK(b[13] == 0xeb && b[14] == uint8_t(-15));
	/* mov r9d, 7; jmp 0x2000 */
	CHECK(b[215] == 0x41 && b[217] == 7 && b[221] == 0xe9);
	CHECK(b[222] == ((0x2000 - 0x1000 - 226) & 0xff) && b[223] == (0x2000 - 0x1000 - 226) >> 8);
}

UB_CASE(assembler, overflow_sticks)
{
	Arena arena = testing::scratch_arena(test, 1 << 16);
	Assembler small(arena, KernelAddr(0x1000), 4, 8);

	small.mov_imm(kRax, 0x7f0000001000);
	CHECK(small.overflow());

	Assembler unbound(arena, KernelAddr(0x1000), 64, 8);
	unbound.jmp(unbound.label());
	unbound.link(KernelAddr(0));
	CHECK(unbound.overflow());
}

UB_CASE(assembler, takes_the_shortest_constant)
{
	Arena arena = testing::scratch_arena(test, 1 << 16);
	Assembler as(arena, KernelAddr(0x1000), 64, 8);

	as.mov_imm(kRax, 1);
	CHECK_EQ(as.here(), 5);
	as.mov_imm(kR9, ~uint64_t(0));
	CHECK_EQ(as.here(), 12);
	as.mov_imm(kR9, 0x7f0000001000);
	CHECK_EQ(as.here(), 22);
}

UB_CASE(address_map, finds_and_fills_up)
{
	Arena arena = testing::scratch_arena(test, 1 << 16);
	AddressMap map(arena, 100);

	for (uint32_t i = 0; i < 100; i++)
		CHECK(map.put(i % 3, kAt + i, i));
	CHECK(!map.put(0, kAt + 1000, 1));
	CHECK(map.put(1, kAt + 1, 77));	/* a known key still fits */
	CHECK_EQ(map.find(1, kAt + 1), 77);
	CHECK_EQ(map.find(0, kAt + 99), 99);
	CHECK_EQ(map.find(1, kAt + 99), AddressMap::kMissing);
}

} // namespace
