/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Part of emit: memory operands. Puts the guard of a step's memory operand in front of
 * it and says which operand the guest instruction gets instead. The masked copy of
 * an address stays in r9 and serves again as long as its registers are moved by constants
 * only; over branches where all that lead to a block have the same.
 */
#include <Zydis/Mnemonic.h>

#include "sfi/frame.h"
#include "sfi/rules.h"
#include "translator/emitter.h"

namespace ub::translator {

namespace {

/* By how much an instruction moves the one register that it writes, all 64 bits of it; 0 if
 * that is no constant, or none. */
int64_t constant_move(const Insn &insn)
{
	const RegOperand &to = insn.regs[0];

	if (!insn.reg_count || to.bytes != 8 || insn.gpr_written != bit(to.reg))
		return 0;
	if (insn.kind == Kind::kLea) {
		const MemOperand &m = insn.mem;
		return m.base == to.reg && m.index == kNoGpr && !m.address32 ? m.disp : 0;
	}
	if (insn.mem.present || insn.reg_count != 1)
		return 0;
	switch (insn.mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
		return insn.has_immediate() ? int64_t(insn.target) : 0;
	case ZYDIS_MNEMONIC_SUB:
		return insn.has_immediate() ? -int64_t(insn.target) : 0;
	case ZYDIS_MNEMONIC_INC:
		return 1;
	case ZYDIS_MNEMONIC_DEC:
		return -1;
	default:
		return 0;
	}
}

} // namespace

int32_t Emitter::slot_of(Gpr user)
{
	return user == kR9 ? UB_FRAME_R9 : user == kR10 ? UB_FRAME_R10 : UB_FRAME_R11;
}

void Emitter::bring_slot(Gpr user)
{
	/* mov r9, [rsp + slot] */
	if (!r9_is(user))
		load_slot(kScratch, user);
	copy_ = {.of = Copy::Of::kSlot, .base = user, .value = {}};
}

bool Emitter::near_r9(uint64_t constant) const
{
	const int64_t distance = int64_t(constant - copy_.constant);

	return copy_.of == Copy::Of::kConstant && constant > UINT32_MAX && distance == int32_t(distance);
}

void Emitter::bring_constant(uint64_t constant)
{
	if (near_r9(constant)) {
		const int32_t distance = int32_t(constant - copy_.constant);
		as_.lea(kScratch, kScratch, kNoGpr, 1, distance);
		copy_.value = copy_.value.moved(distance);
	} else {
		as_.mov_imm(kScratch, constant);
		copy_ = {.of = Copy::Of::kConstant, .value = {}};
		if (UserAddr(constant).in_user_half())
			copy_.value = sfi::Value::address();
	}
	copy_.constant = constant;
}

void Emitter::store_slot(Gpr user, Gpr from)
{
	as_.store(kFrame, slot_of(user), from);
	if (from == kScratch)
		copy_ = {.of = Copy::Of::kSlot, .base = user, .value = {}};
	else if (r9_is(user))
		forget_r9();
}

void Emitter::reload_mask()
{
	/* mov r10, [rsp + MASK] */
	as_.load(kMask, kFrame, UB_FRAME_MASK);
}

/* mov to, from or lea to, [from + c], `from` being what the copy is made of, or its twin: then `to` is, too. */
bool Emitter::takes_over(const Insn &insn)
{
	const RegOperand &a = insn.regs[0], &b = insn.regs[1];
	const MemOperand &m = insn.mem;
	const bool moves = insn.mnemonic == ZYDIS_MNEMONIC_MOV && insn.reg_count == 2 && a.bytes == 8 && b.bytes == 8;
	const bool adds = insn.kind == Kind::kLea && a.bytes == 8 && m.index == kNoGpr && !m.address32 && !m.rip_relative;

	if ((!moves && !adds) || copy_.index != kNoGpr)
		return false;
	const Gpr to = moves && b.written ? b.reg : a.reg;
	const Gpr from = adds ? m.base : to == a.reg ? b.reg : a.reg;
	if (from == kNoGpr || from == kRsp || to == kRsp || (from != copy_.base && from != copy_.twin))
		return false;

	const int64_t ahead = (from == copy_.base ? copy_.moved : copy_.twin_moved) + (adds ? m.disp : 0);
	if (to == copy_.base) {
		copy_.moved = ahead;
	} else {
		copy_.twin = to;
		copy_.twin_moved = ahead;
	}
	return true;
}

/* The guest instruction has written its registers: a copy made of one that it moved by a
 * constant is that far behind, of another it is no longer one. */
void Emitter::wrote(const Insn &insn)
{
	if (copy_.of != Copy::Of::kSum || takes_over(insn))
		return;
	const int64_t by = constant_move(insn);
	if (insn.gpr_written & bit(copy_.twin)) {
		copy_.twin_moved += by;
		if (!by)
			copy_.twin = kNoGpr;
	}
	if (!(insn.gpr_written & (bit(copy_.base) | bit(copy_.index))))
		return;
	if (!by && copy_.twin != kNoGpr) {
		copy_.base = copy_.twin;
		copy_.moved = copy_.twin_moved;
		copy_.twin = kNoGpr;
		return;
	}
	if (!by) {
		forget_r9();
		return;
	}
	if (insn.gpr_written & bit(copy_.base))
		copy_.moved += by;
	if (insn.gpr_written & bit(copy_.index))
		copy_.moved += by * copy_.scale;
}

/* By how much the operand's registers are ahead of the copy, if it serves; else null. */
const int64_t *Emitter::copy_serves(const MemOperand &m) const
{
	if (copy_.of != Copy::Of::kSum || copy_.index != m.index || (m.index != kNoGpr && copy_.scale != m.scale))
		return nullptr;
	if (m.base != copy_.base && (m.base != copy_.twin || m.base == kNoGpr))
		return nullptr;
	const int64_t &moved = m.base == copy_.base ? copy_.moved : copy_.twin_moved;
	const int64_t disp = m.disp + moved;
	return disp == int32_t(disp) && copy_.value.reaches_user_only(disp) ? &moved : nullptr;
}

/* to = base + index * scale + disp of the user's registers; 32 bits of it if not wide. `to` is
 * r9 or a register of the guest's. */
void Emitter::sum(const MemOperand &m, Gpr to, bool wide, int32_t disp)
{
	Gpr base = m.base == kRsp ? kStackPointer : m.base;
	Gpr index = m.index;
	bool borrowed = false;

	if (is_slotted(m.base)) {
		bring_slot(m.base);
		base = kScratch;
	}
	if (is_slotted(m.index) && m.index == m.base) {
		index = kScratch;
	} else if (is_slotted(m.index) && base == kScratch) {
		borrowed = true;
		index = kMask;
		load_slot(kMask, m.index);
	} else if (is_slotted(m.index)) {
		bring_slot(m.index);
		index = kScratch;
	}

	if (to == kScratch)
		forget_r9();
	if (wide && index == kNoGpr && disp == 0) {
		if (to != base)
			as_.mov(to, base);
	} else if (wide) {
		as_.lea(to, base, index, m.scale, disp);
	} else {
		as_.lea32(to, base, index, m.scale, disp);
	}
	if (borrowed)
		reload_mask();
}

void Emitter::mask_r9(bool flags_dead)
{
	if (flags_dead)
		as_.and_(kScratch, kMask);	/* and r9, r10 */
	else
		as_.pdep(kScratch, kScratch, kMask);	/* pdep r9, r9, r10 */
}

NewMemory Emitter::operand(const Insn &insn, const Step &step)
{
	const MemOperand &m = insn.mem;
	NewMemory now;

	switch (step.how.guard) {
	case Guard::kNone:
	case Guard::kFs:
		return now;

	case Guard::kStack:
		now.base = kStackPointer;
		return now;

	case Guard::kAbsolute:
		now.form = NewMemory::Form::kAbsolute;
		now.disp = int32_t(m.address32 ? uint32_t(m.disp) : m.disp);
		return now;

	case Guard::kConstant: {
		const uint64_t address = m.address32 ? uint32_t(m.disp) : uint64_t(m.disp);
		const int64_t delta = int64_t(address - copy_.constant);

		now.base = kScratch;
		now.form = NewMemory::Form::kValue;
		if (copy_.of == Copy::Of::kConstant && copy_.value.reaches_user_only(delta)) {
			now.disp = int32_t(delta);
			return now;
		}
		/* mov r9, address: of one that lea makes not always as much is proven */
		forget_r9();
		bring_constant(address);
		return now;
	}

	case Guard::kSum:
		now.base = kScratch;
		now.form = m.base == kNoGpr ? NewMemory::Form::kValue : NewMemory::Form::kSame;
		now.disp = int32_t(m.disp);
		if (const int64_t *moved = copy_serves(m)) {
			if (*moved) {
				now.form = NewMemory::Form::kValue;
				now.disp += int32_t(*moved);
			}
			return now;
		}
		if (!step.flags_dead_before && m.index == kNoGpr && !is_slotted(m.base)) {
			/* pdep r9, base, r10 */
			as_.pdep(kScratch, m.base == kRsp ? kStackPointer : m.base, kMask);
		} else {
			/* mov r9, base or lea r9, [base + index * scale]; and/pdep r9, r10 */
			sum(m, kScratch, true, 0);
			mask_r9(step.flags_dead_before);
		}
		copy_ = {.of = Copy::Of::kSum, .base = m.base, .index = m.index, .scale = m.scale,
			 .value = sfi::Value::address()};
		return now;

	case Guard::kWhole:
		now.base = kScratch;
		now.form = NewMemory::Form::kValue;
		if (m.constant()) {
			/* An address outside of the user half: the access will fault, once masked. */
			forget_r9();
			as_.mov_imm(kScratch, uint64_t(m.disp));
		} else {
			/* lea r9, [base + index * scale + disp] */
			sum(m, kScratch, !m.address32, int32_t(m.disp));
		}
		if (!m.address32)
			mask_r9(step.flags_dead_before);
		return now;

	case Guard::kFsWhole:
		now.base = kScratch;
		now.form = NewMemory::Form::kValue;
		if (m.constant()) {
			forget_r9();
			as_.mov_imm(kScratch, m.address32 ? uint32_t(m.disp) : uint64_t(m.disp));
		} else {
			sum(m, kScratch, !m.address32, int32_t(m.disp));
		}
		/* add r9, [rsp + FSBASE]; and r9, r10 */
		if (step.flags_dead_before) {
			as_.add_slot(kScratch, UB_FRAME_FSBASE);
			mask_r9(true);
			return now;
		}
		/* mov r10, [rsp + FSBASE]; lea r9, [r9 + r10]; mov r10, [rsp + MASK]; pdep r9, r9, r10 */
		as_.load(kMask, kFrame, UB_FRAME_FSBASE);
		as_.lea(kScratch, kScratch, kMask, 1, 0);
		reload_mask();
		mask_r9(false);
		return now;
	}
	return now;
}

/* The access was made and did not fault: what the verifier concludes from that. */
void Emitter::touched(const Insn &insn, const NewMemory &memory)
{
	if (memory.base == kNoGpr || !sfi::always_accesses(insn.mnemonic))
		return;
	const int64_t disp = memory.form == NewMemory::Form::kSame ? insn.mem.disp : memory.disp;

	if (memory.base == kStackPointer)
		stack_ = stack_.anchor(disp);
	else if (memory.base == kScratch)
		copy_.value = copy_.value.anchor(disp);
}

/* mov r9, operand: for push, jmp and call, which have no form of their own in an image. */
void Emitter::load_operand(const Insn &insn, const Step &step)
{
	if (step.how.guard == Guard::kFs) {
		may_fault(insn);
		as_.load_fs(kScratch, int32_t(insn.mem.disp));
	} else {
		const NewMemory memory = operand(insn, step);
		may_fault(insn);
		if (memory.form == NewMemory::Form::kAbsolute)
			as_.load_absolute(kScratch, memory.disp);
		else
			as_.load(kScratch, memory.base,
				 memory.form == NewMemory::Form::kSame ? int32_t(insn.mem.disp) : memory.disp);
		touched(insn, memory);
	}
	forget_r9();
}

} // namespace ub::translator
