/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Part of emit: how blocks end. Direct branches go to labels or cold exits. Indirect
 * branches and returns compare their target with the ones known, without flags: the
 * target goes to r9, the user's rcx to a spill slot, and rcx counts down to zero.
 *
 *	mov	r9, target
 *	mov	[rsp + SPILL0], rcx
 *	mov	rcx, -T1
 *	lea	rcx, [rcx + r9]
 *	jrcxz	hit1
 *	lea	rcx, [rcx + (T1 - T2)]
 *	jrcxz	hit2
 *	mov	rcx, [rsp + SPILL0]
 *	mov	[rsp + TARGET], r9
 *	exit	kTarget
 * hit2: …
 * hit1:
 *	mov	rcx, [rsp + SPILL0]
 *	pop or push the return address; on to the block
 */
#include "sfi/frame.h"
#include "translator/emitter.h"

namespace ub::translator {

namespace {

/* jrcxz reaches 127 bytes: so many compares stand before their hits. */
constexpr size_t kGroup = 3;

constexpr bool fits32(int64_t v)
{
	return v >= INT32_MIN && v <= INT32_MAX;
}

} // namespace

/* To a block: falls into the one that comes next. */
void Emitter::go(uint32_t to)
{
	if (!falls_into(to))
		as_.jmp(labels_[to]);
}

/* The exit of a branch, or of an instruction before code not seen, whose target is not in
 * the region. */
uint32_t Emitter::cold_exit(const Insn &branch, const Successor &to, uint32_t variant)
{
	if (!to.address.in_user_half())
		return exit(Reason::kInstruction, branch.address);
	return exit(Reason::kCold, to.address, branch.address, to.address, variant);
}

/* The block ends without a branch, behind `last` if it is not empty. */
void Emitter::fall_through(const Block &block, const Insn *last)
{
	const UserAddr next = block.next.address;

	if (block.end == End::kFallThrough && block.next.block != kNoBlock)
		go(block.next.block);
	else if (block.end == End::kUnread)
		leave_by(exit(Reason::kInstruction, next));
	else if (block.end == End::kUnseen && last)
		leave_by(cold_exit(*last, block.next, 1));
	else if (last)
		leave_by(exit(Reason::kBudget, next, last->address, next, 1));
	else
		leave_by(exit(Reason::kBudget, next));
}

void Emitter::control(const Block &block, const Insn &last, const Step &step)
{
	switch (block.end) {
	case End::kJump:
		if (block.next.block != kNoBlock)
			go(block.next.block);
		else
			leave_by(cold_exit(last, block.next, 0));
		return;
	case End::kBranch:
		branch(block, last);
		return;
	case End::kCall:
		call(block, last);
		return;
	case End::kTargets:
		load_target(last, step);
		chain(last, region_.targets_of(block));
		return;
	case End::kSyscall:
		leave_by(exit(Reason::kSyscall, last.next(), last.address, UserAddr(0), 0));
		return;
	case End::kVector:
		leave_by(exit(Reason::kVector, last.address));
		return;
	case End::kFallThrough:
	case End::kUnread:
	case End::kBudget:
	case End::kUnseen:
	case End::kRefused:
		leave_by(exit(Reason::kInstruction, last.address));
		return;
	}
}

void Emitter::branch(const Block &block, const Insn &insn)
{
	const bool taken_inside = block.taken.block != kNoBlock;

	if (insn.kind == Kind::kCounted) {
		counted_branch(block, insn);
		return;
	}
	if (taken_inside && falls_into(block.taken.block)) {
		/* jn<cc> next; and fall into the target */
		const uint8_t inverse = insn.condition ^ 1;
		if (block.next.block != kNoBlock)
			as_.jcc(inverse, labels_[block.next.block]);
		else
			as_.jcc(inverse, stubs_[cold_exit(insn, block.next, 1)]);
		return;
	}
	as_.jcc(insn.condition,
		taken_inside ? labels_[block.taken.block] : stubs_[cold_exit(insn, block.taken, 0)]);
	if (block.next.block != kNoBlock)
		go(block.next.block);
	else
		leave_by(cold_exit(insn, block.next, 1));
}

/*
 *	lea	rcx, [rcx - 1]		not of jrcxz
 *	jrcxz	1f
 *	jnz 1f				of loope, jz of loopne
 *	on, or of loop to the target
 * 1:	to the target, or of loop on
 */
void Emitter::counted_branch(const Block &block, const Insn &insn)
{
	enum : uint8_t { kLoopne = 0xe0, kLoope = 0xe1, kJrcxz = 0xe3 };
	constexpr uint8_t kZero = 4, kNotZero = 5;
	const uint8_t opcode = insn.bytes[insn.opcode_at];
	const Label ends = as_.label();
	const Successor &on = opcode == kJrcxz ? block.next : block.taken;
	const Successor &end = opcode == kJrcxz ? block.taken : block.next;

	if (opcode != kJrcxz)
		as_.lea(kRcx, kRcx, kNoGpr, 1, -1);
	as_.jrcxz(ends);
	if (opcode == kLoope)
		as_.jcc(kNotZero, ends);
	else if (opcode == kLoopne)
		as_.jcc(kZero, ends);
	as_.jmp(on.block != kNoBlock ? labels_[on.block] : stubs_[cold_exit(insn, on, opcode == kJrcxz)]);
	as_.bind(ends);
	wrote(insn);
	if (end.block != kNoBlock)
		go(end.block);
	else
		leave_by(cold_exit(insn, end, opcode != kJrcxz));
}

/* mov qword [r11 - 8], next; lea r11, [r11 - 8] */
void Emitter::push_return_address(const Insn &insn)
{
	const uint64_t address = insn.next().value;

	if (fits32(int64_t(address))) {
		may_fault(insn);
		as_.store_imm(kStackPointer, -8, int32_t(address));
	} else {
		bring_constant(address);
		may_fault(insn);
		as_.store(kStackPointer, -8, kScratch);
	}
	stack_ = stack_.anchor(-8);
	move_stack(-8);
}

void Emitter::call(const Block &block, const Insn &insn)
{
	if (block.next.block == kNoBlock) {
		const UserAddr to(insn.target);
		leave_by(to.in_user_half() ? exit(Reason::kCold, insn.address, insn.address, to, 0)
					   : exit(Reason::kInstruction, insn.address));
		return;
	}
	push_return_address(insn);
	go(block.next.block);
}

/* mov r9, where the branch wants to go */
void Emitter::load_target(const Insn &insn, const Step &step)
{
	if (insn.kind == Kind::kReturn) {
		forget_r9();
		may_fault(insn);
		as_.load(kScratch, kStackPointer, 0);
		stack_ = stack_.anchor(0);
	} else if (insn.mem.present) {
		load_operand(insn, step);
	} else {
		const Gpr from = insn.regs[0].reg;
		forget_r9();
		if (is_slotted(from))
			load_slot(kScratch, from);
		else
			as_.mov(kScratch, from == kRsp ? kStackPointer : from);
	}
}

/* rcx = r9 - target, given r9 - previous in rcx if there is one; jrcxz hit */
void Emitter::compare(const Successor &target, const Successor *previous, Label hit)
{
	const int64_t delta = previous ? previous->address - target.address : 0;

	if (previous && fits32(delta)) {
		as_.lea(kRcx, kRcx, kNoGpr, 1, int32_t(delta));
	} else {
		as_.mov_imm(kRcx, 0 - target.address.value);
		as_.lea(kRcx, kRcx, kScratch, 1, 0);
	}
	as_.jrcxz(hit);
}

void Emitter::miss(const Insn &insn, bool rcx_saved)
{
	if (rcx_saved)
		as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	as_.store(kFrame, UB_FRAME_TARGET, kScratch);
	leave_by(exit(Reason::kTarget, insn.address));
}

void Emitter::hit(const Insn &insn, const Successor &target, bool at_end)
{
	as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	copy_ = {.of = Copy::Of::kConstant, .constant = target.address.value, .value = {}};
	if (insn.kind == Kind::kReturn)
		move_stack(8 + insn.pop_bytes);
	else if (insn.kind == Kind::kIndirectCall)
		push_return_address(insn);
	if (!at_end || !falls_into(target.block))
		as_.jmp(labels_[target.block]);
}

void Emitter::chain(const Insn &insn, std::span<const Successor> targets)
{
	const sfi::Value stack = stack_;
	const Successor *previous = nullptr;
	size_t at = 0, hits_made = 0;

	forget_r9();
	while (at < targets.size()) {
		const Successor *group[kGroup];
		Label hits[kGroup];
		size_t count = 0;

		for (; at < targets.size() && count < kGroup; at++) {
			if (targets[at].block == kNoBlock)
				continue;
			if (!previous)
				as_.store(kFrame, UB_FRAME_SPILL0, kRcx);
			group[count] = &targets[at];
			hits[count] = as_.label();
			compare(targets[at], previous, hits[count]);
			previous = &targets[at];
			count++;
		}

		bool more = false;
		for (size_t i = at; i < targets.size(); i++)
			more |= targets[i].block != kNoBlock;
		const Label next_group = as_.label();
		if (more)
			as_.jmp_near(next_group);
		else
			miss(insn, previous != nullptr);

		/* The first target's hit last: its block is likely to come next. */
		while (count-- > 0) {
			as_.bind(hits[count]);
			stack_ = stack;
			hit(insn, *group[count], !more && !count);
			hits_made++;
		}
		if (!more) {
			/* Behind one hit r9 holds its target, or where the call returns to. */
			if (hits_made > 1)
				forget_r9();
			return;
		}
		as_.bind(next_group);
	}
	miss(insn, previous != nullptr);
}

} // namespace ub::translator
