/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Part of emit: the data instructions. In each, whatever may fault comes before the
 * first change to user state.
 */
#include <algorithm>

#include <Zydis/Mnemonic.h>

#include "sfi/frame.h"
#include "translator/emitter.h"
#include "translator/sanitize.h"

namespace ub::translator {

namespace {

constexpr uint8_t kNotZero = 5;
constexpr size_t kMaxPushRun = 16;

/* xor r, r and sub r, r: whatever was in it. But to the verifier they read it. */
bool clears(const Insn &insn)
{
	return insn.same_operands && (insn.mnemonic == ZYDIS_MNEMONIC_XOR || insn.mnemonic == ZYDIS_MNEMONIC_SUB);
}

} // namespace

Gpr Emitter::home_of(const Step &step, Gpr user)
{
	if (user == kRsp)
		return kStackPointer;
	if (user == step.how.in_r9)
		return kScratch;
	if (user == step.how.in_r10)
		return kMask;
	return kNoGpr;
}

/* Loads the user's r9–r11 that the instruction reads into the registers they have for it. */
void Emitter::fill_homes(const Insn &insn, const Step &step)
{
	bool needed9 = false, needed10 = false;

	for (uint8_t i = 0; i < insn.reg_count; i++) {
		const RegOperand &r = insn.regs[i];
		needed9 |= r.needed && r.reg == step.how.in_r9;
		needed10 |= r.needed && r.reg == step.how.in_r10;
	}
	if (step.how.in_r9 != kNoGpr) {
		if (needed9 && !(clears(insn) && copy_.of != Copy::Of::kNothing))
			bring_slot(step.how.in_r9);
		else
			forget_r9();
	}
	if (step.how.in_r10 != kNoGpr && needed10 && !clears(insn))
		load_slot(kMask, step.how.in_r10);
}

/* Stores back those it has written. */
void Emitter::empty_homes(const Insn &insn, const Step &step)
{
	bool written9 = false, written10 = false;

	for (uint8_t i = 0; i < insn.reg_count; i++) {
		const RegOperand &r = insn.regs[i];
		written9 |= r.written && r.reg == step.how.in_r9;
		written10 |= r.written && r.reg == step.how.in_r10;
	}
	if (step.how.in_r9 != kNoGpr && written9)
		store_slot(step.how.in_r9, kScratch);
	if (step.how.in_r10 != kNoGpr) {
		if (written10)
			store_slot(step.how.in_r10, kMask);
		reload_mask();
	}
}

void Emitter::put(const Insn &insn, const Rewrite &rewrite)
{
	const Encoded encoded = encode(insn, rewrite);

	failed_ |= !encoded.length;
	as_.raw(encoded.bytes, encoded.length);
}

void Emitter::copy(const Insn &insn, const Step &step)
{
	if (step.how.guard == Guard::kFs || insn.may_raise)
		may_fault(insn);
	as_.raw(insn.bytes, insn.length);
}

void Emitter::operate(const Insn &insn, const Step &step)
{
	Rewrite rewrite;
	rewrite.memory = operand(insn, step);
	fill_homes(insn, step);
	for (uint8_t i = 0; i < insn.reg_count; i++) {
		const Gpr home = home_of(step, insn.regs[i].reg);
		if (home != kNoGpr)
			rewrite.set(insn.regs[i].field, home);
	}
	if (insn.mem.present || insn.may_raise)
		may_fault(insn);
	put(insn, rewrite);
	touched(insn, rewrite.memory);
	empty_homes(insn, step);
}

/*
 * ah cannot be named beside r9 or r11, so it comes to r10 with the rest of its register:
 *
 *	rorx	r10, rax, 8
 *	op	r10b, [r9]
 *	rorx	rax, r10, 56		if it was written
 *	mov	r10, [rsp + MASK]
 */
void Emitter::high_byte(const Insn &insn, const Step &step)
{
	const RegOperand &r = insn.regs[0];
	Rewrite rewrite;

	rewrite.memory = operand(insn, step);
	as_.rorx(kMask, r.reg, 8);
	rewrite.set(r.field, kMask);
	may_fault(insn);
	put(insn, rewrite);
	touched(insn, rewrite.memory);
	if (r.written)
		as_.rorx(r.reg, kMask, 56);
	reload_mask();
}

/* op reg, r9 → op reg, [rsp + slot], and the other way round */
void Emitter::in_slot(const Insn &given)
{
	const auto names_slot = [](const RegOperand &r) { return is_slotted(r.reg) && r.field == Field::kRm; };
	const Insn insn = std::any_of(given.regs, given.regs + given.reg_count, names_slot) ? given : turned(given);
	Rewrite rewrite;

	for (uint8_t i = 0; i < insn.reg_count; i++) {
		const RegOperand &r = insn.regs[i];
		if (is_slotted(r.reg)) {
			rewrite.memory = {kFrame, NewMemory::Form::kValue, slot_of(r.reg)};
			if (r.written && r9_is(r.reg))
				forget_r9();
		} else if (r.reg == kRsp) {
			rewrite.set(r.field, kStackPointer);
		}
	}
	put(insn, rewrite);
}

/* lea of a rip-relative or absolute address: a constant. */
void Emitter::lea_constant(const Insn &insn)
{
	const RegOperand &to = insn.regs[0];
	uint64_t value = uint64_t(insn.mem.disp);

	if (to.bytes == 4 || insn.mem.address32)
		value = uint32_t(value);
	if (is_slotted(to.reg)) {
		/* mov r9, value; mov [rsp + slot], r9 */
		bring_constant(value);
		store_slot(to.reg, kScratch);
	} else if (near_r9(value)) {
		as_.lea(to.reg, kScratch, kNoGpr, 1, int32_t(value - copy_.constant));
	} else {
		as_.mov_imm(to.reg, value);
	}
}

void Emitter::lea(const Insn &insn)
{
	const RegOperand &to = insn.regs[0];
	const bool wide = to.bytes == 8 && !insn.mem.address32;

	if (insn.mem.constant()) {
		lea_constant(insn);
		return;
	}
	if (!is_slotted(to.reg)) {
		sum(insn.mem, to.reg, wide, int32_t(insn.mem.disp));
		return;
	}
	/* lea r9, address; mov [rsp + slot], r9 */
	sum(insn.mem, kScratch, wide, int32_t(insn.mem.disp));
	store_slot(to.reg, kScratch);
}

void Emitter::move_stack(int32_t by)
{
	/* lea r11, [r11 + by] */
	as_.lea(kStackPointer, kStackPointer, kNoGpr, 1, by);
	stack_ = stack_.moved(by);
	if (copy_.of == Copy::Of::kSum && copy_.base == kRsp)
		forget_r9();
}

/* Pushes whose store needs nothing but the value: these run together. */
bool Emitter::pushes_plainly(const Insn &insn)
{
	return insn.kind == Kind::kPush && !insn.mem.present &&
	       (!insn.reg_count || (insn.regs[0].reg != kRsp && !is_slotted(insn.regs[0].reg)));
}

/*
 * mov [r11 - 8], a; mov [r11 - 16], b; … lea r11, [r11 - 8 * n]
 *
 * A fault at any of them leaves before the first: rsp is as it was there, and native
 * execution stores the same values again.
 */
size_t Emitter::push_run(std::span<const Insn> insns)
{
	int32_t at = 0;
	size_t count = 0;

	while (count < insns.size() && count < kMaxPushRun && pushes_plainly(insns[count])) {
		const Insn &insn = insns[count++];
		at -= 8;
		may_fault(insns[0]);
		if (insn.reg_count)
			as_.store(kStackPointer, at, insn.regs[0].reg);
		else
			as_.store_imm(kStackPointer, at, int32_t(insn.target));
		stack_ = stack_.anchor(at);
	}
	move_stack(at);
	return count;
}

void Emitter::push(const Insn &insn, const Step &step)
{
	if (insn.mem.present) {
		load_operand(insn, step);
	} else if (insn.regs[0].reg != kRsp) {
		bring_slot(insn.regs[0].reg);
	}
	/* mov [r11 - 8], value */
	const bool pushes_rsp = !insn.mem.present && insn.regs[0].reg == kRsp;
	may_fault(insn);
	as_.store(kStackPointer, -8, pushes_rsp ? kStackPointer : kScratch);
	stack_ = stack_.anchor(-8);
	move_stack(-8);
}

/* r9 = masked address; mov r10, [r11]; mov [r9], r10; mov r10, [rsp + MASK]; lea r11, [r11 + 8] */
void Emitter::pop_to_memory(const Insn &insn, const Step &step)
{
	Insn at = insn;

	/* Of rsp as it is behind the pop. */
	if (at.mem.base == kRsp)
		at.mem.disp += 8;
	const NewMemory memory = operand(at, step);
	may_fault(insn);
	as_.load(kMask, kStackPointer, 0);
	stack_ = stack_.anchor(0);
	may_fault(insn);
	as_.store(memory.base, memory.form == NewMemory::Form::kSame ? int32_t(at.mem.disp) : memory.disp, kMask);
	touched(at, memory);
	reload_mask();
	move_stack(8);
}

/* movzx r9d, al; lea r9, [r9 + rbx]; pdep r9, r9, r10; mov al, [r9] */
void Emitter::xlat(const Insn &insn)
{
	forget_r9();
	as_.movzx(kScratch, kRax, 1);
	as_.lea(kScratch, kScratch, kRbx, 1, 0);
	mask_r9(false);
	may_fault(insn);
	as_.load_part(1, kRax, kScratch, 0);
}

void Emitter::pop(const Insn &insn, const Step &step)
{
	if (insn.mem.present) {
		pop_to_memory(insn, step);
		return;
	}
	const Gpr to = insn.regs[0].reg;
	const bool direct = to != kRsp && !is_slotted(to);

	if (!direct)
		forget_r9();
	/* mov to, [r11] */
	may_fault(insn);
	as_.load(direct ? to : kScratch, kStackPointer, 0);
	stack_ = stack_.anchor(0);
	if (to == kRsp) {
		check_stack(insn, step.flags_dead_after);
		as_.mov(kStackPointer, kScratch);
		stack_ = sfi::Value::address();
		return;
	}
	if (!direct)
		store_slot(to, kScratch);
	move_stack(8);
}

/* mov r9, rbp; check and mask r9; mov rbp, [r9]; lea r11, [r9 + 8] */
void Emitter::leave(const Insn &insn, const Step &step)
{
	forget_r9();
	as_.mov(kScratch, kRbp);
	check_stack(insn, step.flags_dead_after);
	may_fault(insn);
	as_.load(kRbp, kScratch, 0);
	as_.lea(kStackPointer, kScratch, kNoGpr, 1, 8);
	stack_ = sfi::Value::address().anchor(0).moved(8);
}

/*
 * r9 is about to become the user's rsp: if it is not in the user half leave to native
 * execution, else mask it, which then changes nothing.
 *
 *	mov	r10, r9			or, where flags are live:
 *	shr	r10, 47				mov	[rsp + SPILL0], rcx
 *	mov	r10, [rsp + MASK]		mov	ecx, 47
 *	jnz	out				shrx	rcx, r9, rcx
 *	and	r9, r10				jrcxz	1f
 *						mov	rcx, [rsp + SPILL0]
 *						jmp	out
 *					1:	mov	rcx, [rsp + SPILL0]
 *						pdep	r9, r9, r10
 */
void Emitter::check_stack(const Insn &insn, bool flags_dead)
{
	const Label out = stubs_[exit(Reason::kStack, insn.address)];

	if (flags_dead && !insn.flags_read) {
		as_.mov(kMask, kScratch);
		as_.shr_imm(kMask, contract_.mask_bit);
		reload_mask();
		as_.jcc(kNotZero, out);
		mask_r9(true);
		return;
	}
	const Label in_user_half = as_.label();
	as_.store(kFrame, UB_FRAME_SPILL0, kRcx);
	as_.mov_imm(kRcx, contract_.mask_bit);
	as_.shrx(kRcx, kScratch, kRcx);
	as_.jrcxz(in_user_half);
	as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	as_.jmp(out);
	as_.bind(in_user_half);
	as_.load(kRcx, kFrame, UB_FRAME_SPILL0);
	mask_r9(false);
}

/* Between two instructions, the second at `ip`: masks the user's rsp again if it has drifted
 * out of the window. */
void Emitter::keep_stack(UserAddr ip, int64_t window, bool flags_dead)
{
	if (stack_.kind == sfi::Value::kUser && stack_.low >= -window && stack_.high <= window)
		return;
	Insn here;
	here.address = ip;
	forget_r9();
	as_.mov(kScratch, kStackPointer);
	check_stack(here, flags_dead);
	as_.mov(kStackPointer, kScratch);
	stack_ = sfi::Value::address();
}

void Emitter::stack_shift(const Insn &insn, const Step &step)
{
	if (insn.kind == Kind::kLea) {
		move_stack(step.how.shift);
	} else {
		/* add/sub r11, imm */
		Rewrite rewrite;
		rewrite.set(insn.regs[0].field, kStackPointer);
		put(insn, rewrite);
		stack_ = stack_.moved(step.how.shift);
	}
	keep_stack(insn.next(), kStackWindow, step.flags_dead_after);
}

/* The new rsp is computed in r9, checked, masked, moved to r11. */
void Emitter::stack_write(const Insn &insn, const Step &step)
{
	if (insn.kind == Kind::kLea) {
		if (insn.mem.constant()) {
			forget_r9();
			as_.mov_imm(kScratch, uint64_t(insn.mem.disp));
		} else {
			sum(insn.mem, kScratch, insn.regs[0].bytes == 8 && !insn.mem.address32, int32_t(insn.mem.disp));
		}
	} else {
		Rewrite rewrite;
		rewrite.memory = operand(insn, step);
		fill_homes(insn, step);
		if (!insn.mem.present) {
			/* mov r9, r11 */
			forget_r9();
			as_.mov(kScratch, kStackPointer);
		}
		for (uint8_t i = 0; i < insn.reg_count; i++) {
			const RegOperand &r = insn.regs[i];
			const Gpr home = r.reg == kRsp ? kScratch : home_of(step, r.reg);
			if (home != kNoGpr)
				rewrite.set(r.field, home);
		}
		if (insn.mem.present)
			may_fault(insn);
		put(insn, rewrite);
		touched(insn, rewrite.memory);
		empty_homes(insn, step);
	}
	forget_r9();
	check_stack(insn, step.flags_dead_after);
	as_.mov(kStackPointer, kScratch);
	stack_ = sfi::Value::address();
}

void Emitter::step(const Insn &insn, const Step &step)
{
	switch (step.how.form) {
	case Form::kNothing:
	case Form::kControl:
	case Form::kExit:
		return;
	case Form::kCopy:
		copy(insn, step);
		break;
	case Form::kOperate:
		operate(insn, step);
		break;
	case Form::kHighByte:
		high_byte(insn, step);
		break;
	case Form::kInSlot:
		in_slot(insn);
		break;
	case Form::kLea:
		lea(insn);
		break;
	case Form::kStackShift:
		stack_shift(insn, step);
		break;
	case Form::kStackWrite:
		stack_write(insn, step);
		break;
	case Form::kPush:
		push(insn, step);
		break;
	case Form::kPop:
		pop(insn, step);
		break;
	case Form::kLeave:
		leave(insn, step);
		break;
	case Form::kXlat:
		xlat(insn);
		break;
	case Form::kString:
		string(insn, step);
		break;
	}
	wrote(insn);
}

} // namespace ub::translator
