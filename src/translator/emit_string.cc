/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Part of emit: movs, stos, lods, scas and cmps, as ordinary instructions. One element:
 *
 *	pdep	r9, rsi, r10		the mask, flag-free
 *	mov	r9, [r9]
 *	pdep	r10, rdi, r10
 *	mov	[r10], r9
 *	mov	r10, [rsp + MASK]
 *	lea	rsi, [rsi + 8]
 *	lea	rdi, [rdi + 8]
 *
 * Nothing of the user's changes before the last access, and a repeat counts behind it, so a fault, or a poll, leaves
 * a repeat where native execution takes it up. Strings go upwards: no image sets the direction flag, and none is
 * entered while it is set.
 *
 * rep movs and rep stos go in steps of 64 bytes, then where flags are dead of 8, while so much is left, and leave flags alone as the
 * instructions do: a memcpy() ends with one, and behind its return flags may be read. A fault within a step
 * leaves before the whole of it; native execution then stores the same bytes once more. So a step must not
 * write what it reads: rep movs takes steps only where source and destination are more than 64 bytes apart.
 */
#include <bit>

#include "sfi/frame.h"
#include "translator/emitter.h"

namespace ub::translator {

namespace {

constexpr Gpr kRsi = 6, kRdi = 7;
constexpr int32_t kStep = 64;

constexpr uint8_t log2_of(uint32_t power)
{
	return uint8_t(std::countr_zero(power));
}

constexpr bool reads_source(StringOp op)
{
	return op == StringOp::kMovs || op == StringOp::kLods || op == StringOp::kCmps;
}

constexpr bool uses_destination(StringOp op)
{
	return op != StringOp::kLods;
}

} // namespace

/* to = the user's address in `from`, masked, flag-free; `to` is r9 or r10 */
void Emitter::mask_pointer(Gpr to, Gpr from)
{
	as_.pdep(to, from, kMask);
}

/* One element of the string; flags change only as the guest's do. */
void Emitter::string_element(const Insn &insn)
{
	const uint8_t bytes = insn.element_bytes;

	switch (insn.string) {
	case StringOp::kMovs:
		mask_pointer(kScratch, kRsi);
		may_fault(insn);
		as_.load_part(bytes, kScratch, kScratch, 0);
		mask_pointer(kMask, kRdi);
		may_fault(insn);
		as_.store_part(bytes, kMask, 0, kScratch);
		reload_mask();
		break;
	case StringOp::kCmps:
		mask_pointer(kScratch, kRsi);
		may_fault(insn);
		as_.load_part(bytes, kScratch, kScratch, 0);
		mask_pointer(kMask, kRdi);
		may_fault(insn);
		as_.compare_part(bytes, kScratch, kMask, 0);
		reload_mask();
		break;
	case StringOp::kStos:
		mask_pointer(kScratch, kRdi);
		may_fault(insn);
		as_.store_part(bytes, kScratch, 0, kRax);
		break;
	case StringOp::kLods:
		mask_pointer(kScratch, kRsi);
		may_fault(insn);
		as_.load_part(bytes, kRax, kScratch, 0);
		break;
	case StringOp::kScas:
		mask_pointer(kScratch, kRdi);
		may_fault(insn);
		as_.compare_part(bytes, kRax, kScratch, 0);
		break;
	case StringOp::kNone:
		break;
	}
	advance(insn, bytes);
}

/* lea rsi, [rsi + by]; lea rdi, [rdi + by]; lea rcx, [rcx - elements], as far as the instruction has these */
void Emitter::advance(const Insn &insn, int32_t by)
{
	if (reads_source(insn.string))
		as_.lea(kRsi, kRsi, kNoGpr, 1, by);
	if (uses_destination(insn.string))
		as_.lea(kRdi, kRdi, kNoGpr, 1, by);
	if (insn.repeat != Repeat::kOnce)
		as_.lea(kRcx, kRcx, kNoGpr, 1, -by / insn.element_bytes);
}

/*
 * 1:	poll
 *	jrcxz	2f
 *	an element; lea rcx, [rcx - 1]
 *	jmp	1b
 * 2:
 */
void Emitter::string_loop(const Insn &insn, bool flags_dead)
{
	const Label head = as_.label(), done = as_.label();

	as_.bind(head);
	poll(insn.address, !flags_dead);
	as_.jrcxz(done);
	string_element(insn);
	as_.jmp(head);
	as_.bind(done);
}

/* r9 = zero if the elements of a cmps or scas are equal, flag-free: the second less the first */
void Emitter::string_difference(const Insn &insn)
{
	const uint8_t bytes = insn.element_bytes;

	if (insn.string == StringOp::kCmps) {
		mask_pointer(kScratch, kRsi);
		may_fault(insn);
		as_.load_zero(bytes, kScratch, kScratch, 0);
		mask_pointer(kMask, kRdi);
		may_fault(insn);
		as_.load_zero(bytes, kMask, kMask, 0);
	} else {
		mask_pointer(kScratch, kRdi);
		may_fault(insn);
		as_.load_zero(bytes, kScratch, kScratch, 0);
		if (bytes == 8)
			as_.mov(kMask, kRax);
		else if (bytes == 4)
			as_.mov32(kMask, kRax);
		else
			as_.movzx(kMask, kRax, bytes);
	}
	as_.not_(kScratch);
	as_.lea(kScratch, kScratch, kMask, 1, 1);
	reload_mask();
}

/*
 * A fault or a poll within a repeat shows the flags from before it (SDM vol. 2, REP), so the
 * flags are left alone until the last element, which is then compared once more.
 *
 * 1:	poll
 *	jrcxz	0f; jmp 1f; 0: jmp 5f; 1:	(5 is out of reach of jrcxz)
 *	r9 = the difference
 *	mov	[rsp + SPILL0], rcx
 *	mov	rcx, r9
 *	jrcxz	2f
 *	mov	rcx, [rsp + SPILL0]
 *	jmp	4f			of repe; of repne to 3
 * 2:	mov	rcx, [rsp + SPILL0]
 *					of repne: jmp 4f
 * 3:	lea	rcx, [rcx - 1]
 *	jrcxz	the last one
 *	lea	rsi, [rsi + 8]; lea rdi, [rdi + 8]
 *	jmp	1b
 *	the last one: lea rcx, [rcx + 1]
 * 4:	an element; lea rcx, [rcx - 1]
 * 5:
 */
void Emitter::string_search(const Insn &insn)
{
	const Label head = as_.label(), equal = as_.label(), on = as_.label(), counted = as_.label();
	const Label last = as_.label(), done = as_.label();
	const bool while_equal = insn.repeat == Repeat::kWhileEqual;

	as_.bind(head);
	poll(insn.address, true);
	jrcxz_far(done);
	string_difference(insn);
	as_.store(kFrame, UB_FRAME_SPILL0, kRcx);
	as_.mov(kRcx, kScratch);
	as_.jrcxz(equal);
	as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	as_.jmp_near(while_equal ? last : on);
	as_.bind(equal);
	as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	if (!while_equal)
		as_.jmp_near(last);
	as_.bind(on);
	as_.lea(kRcx, kRcx, kNoGpr, 1, -1);
	as_.jrcxz(counted);
	if (reads_source(insn.string))
		as_.lea(kRsi, kRsi, kNoGpr, 1, insn.element_bytes);
	as_.lea(kRdi, kRdi, kNoGpr, 1, insn.element_bytes);
	as_.jmp(head);
	as_.bind(counted);
	as_.lea(kRcx, kRcx, kNoGpr, 1, 1);
	as_.bind(last);
	string_element(insn);
	as_.bind(done);
}

/*
 * To `slow`, the user's rcx in SPILL0, unless steps do what the instruction does: unless its addresses are in the user
 * half, where masks change nothing, and -63 to 64 bytes apart.
 *
 *	mov	[rsp + SPILL0], rcx
 *	mov	ecx, 47
 *	shrx	r9, rdi, rcx
 *	shrx	r10, rsi, rcx		movs alone
 *	lea	r9, [r9 + r10]
 *	mov	r10, [rsp + MASK]
 *	mov	rcx, r9
 *	jrcxz	1f
 *	jmp	slow
 * 1:	mov	r9, rsi			movs alone
 *	not	r9
 *	lea	r9, [r9 + rdi]
 *	lea	r9, [r9 + 64]
 *	mov	ecx, 7
 *	shrx	rcx, r9, rcx
 *	jrcxz	2f; jmp 3f; 2: jmp slow; 3:
 */
void Emitter::check_string(const Insn &insn, Label slow)
{
	const bool moves = insn.string == StringOp::kMovs;
	const Label in_user_half = as_.label();

	as_.store(kFrame, UB_FRAME_SPILL0, kRcx);
	as_.mov_imm(kRcx, contract_.mask_bit);
	as_.shrx(kScratch, kRdi, kRcx);
	if (moves) {
		as_.shrx(kMask, kRsi, kRcx);
		as_.lea(kScratch, kScratch, kMask, 1, 0);
		reload_mask();
	}
	as_.mov(kRcx, kScratch);
	as_.jrcxz(in_user_half);
	as_.jmp(slow);
	as_.bind(in_user_half);
	if (!moves)
		return;
	as_.mov(kScratch, kRsi);
	as_.not_(kScratch);
	as_.lea(kScratch, kScratch, kRdi, 1, kStep);
	as_.mov_imm(kRcx, log2_of(2 * kStep));
	as_.shrx(kRcx, kScratch, kRcx);
	jrcxz_far(slow);
}

/* jrcxz 1f; jmp 2f; 1: jmp far; 2: */
void Emitter::jrcxz_far(Label far)
{
	const Label zero = as_.label(), on = as_.label();

	as_.jrcxz(zero);
	as_.jmp(on);
	as_.bind(zero);
	as_.jmp(far);
	as_.bind(on);
}

/*
 * 1:	poll
 *	mov	[rsp + SPILL0], rcx
 *	mov	r9d, log2(elements in a step)
 *	shrx	rcx, rcx, r9
 *	jrcxz	done			its rcx is in SPILL0
 *	mov	rcx, [rsp + SPILL0]
 *	pdep	rsi, rsi, r10
 *	pdep	rdi, rdi, r10
 *	mov	r9, [rsi]; mov [rdi], r9; …	or mov r9, [rsp + SPILL1]; mov [rdi], r9; …
 *	lea	rsi, [rsi + step]; lea rdi, [rdi + step]; lea rcx, [rcx - elements]
 *	jmp	1b
 */
void Emitter::string_steps(const Insn &insn, int32_t step, bool flags_dead, Label done)
{
	const Label head = as_.label();
	const bool moves = insn.string == StringOp::kMovs;
	const Gpr value = moves || insn.element_bytes < 8 ? kScratch : kRax;

	as_.bind(head);
	poll(insn.address, !flags_dead);
	as_.store(kFrame, UB_FRAME_SPILL0, kRcx);
	as_.mov_imm(kScratch, log2_of(uint32_t(step) / insn.element_bytes));
	as_.shrx(kRcx, kRcx, kScratch);
	jrcxz_far(done);
	as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	if (moves)
		mask_pointer(kRsi, kRsi);
	mask_pointer(kRdi, kRdi);
	if (!moves && value == kScratch)
		as_.load(kScratch, kFrame, UB_FRAME_SPILL1);
	for (int32_t at = 0; at < step; at += 8) {
		if (moves) {
			may_fault(insn);
			as_.load(kScratch, kRsi, at);
		}
		may_fault(insn);
		as_.store(kRdi, at, value);
	}
	advance(insn, step);
	as_.jmp(head);
}

/* [rsp + SPILL1] = al, ax or eax as often as 64 bits hold it; rcx, which is in SPILL0, is lost:
 * mov ecx, bits; shlx r10, r9, rcx; lea r9, [r9 + r10]; … */
void Emitter::spread_value(uint8_t bytes)
{
	if (bytes == 4)
		as_.mov32(kScratch, kRax);
	else
		as_.movzx(kScratch, kRax, bytes);
	for (uint8_t bits = bytes * 8; bits < 64; bits *= 2) {
		as_.mov_imm(kRcx, bits);
		as_.shlx(kMask, kScratch, kRcx);
		as_.lea(kScratch, kScratch, kMask, 1, 0);
	}
	as_.store(kFrame, UB_FRAME_SPILL1, kScratch);
	reload_mask();
}

void Emitter::string(const Insn &insn, const Step &step)
{
	const bool flags_dead = step.flags_dead_before && step.flags_dead_after;
	const bool has_steps = insn.string == StringOp::kMovs || insn.string == StringOp::kStos;

	forget_r9();
	if (insn.repeat == Repeat::kOnce) {
		string_element(insn);
		return;
	}
	if (has_steps) {
		/* Where flags are live a poll is long, and the strings are those of memcpy and memset: long, too. */
		const bool small_steps = flags_dead && insn.element_bytes < 8;
		const Label all = as_.label(), slow = as_.label();

		check_string(insn, slow);
		if (insn.string == StringOp::kStos && insn.element_bytes < 8)
			spread_value(insn.element_bytes);
		as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
		string_steps(insn, kStep, flags_dead, small_steps ? all : slow);
		if (small_steps) {
			as_.bind(all);
			as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
			string_steps(insn, 8, flags_dead, slow);
		}
		as_.bind(slow);
		as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	}
	if (insn.repeat == Repeat::kCount)
		string_loop(insn, flags_dead);
	else
		string_search(insn);
	forget_r9();
}

} // namespace ub::translator
