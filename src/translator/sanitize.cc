/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → analyze → SANITIZE → emit → verify → publish
 *
 * One instruction, one decision. The rule table (sfi/rules.inc) has already refused
 * what no image may hold; here an allowed one is fitted to the image's machine:
 * user rsp is r11, user r9–r11 are in frame slots, r9 and r10 are all there is to
 * compute with. What does not fit is an exit, with its reason in the dump. Untrusted.
 */
#include "translator/sanitize.h"

#include <utility>

#include <Zydis/Mnemonic.h>

#include "translator/analyze.h"
#include "translator/rewrite.h"

namespace ub::translator {

namespace {

/* Displacements whose access stays in the holes around the user half whatever the
 * masked address is, also when other accesses through it have narrowed what the
 * verifier assumes of it (sfi/state.h). */
constexpr int64_t kBelow = sfi::kHoleBelow / 2 - 4096;
constexpr int64_t kAbove = sfi::kHoleAbove / 2 - 4096;

bool fits_masked(int64_t disp)
{
	return disp >= -kBelow && disp < kAbove;
}

/* The same, less the drift that the user's rsp may have (a verifier that widens windows
 * may take it for more than it is). */
bool fits_stack(int64_t disp)
{
	return disp >= -kBelow + sfi::kStackDrift - (64 << 10) && disp < kAbove - sfi::kStackDrift;
}

Guard guard_of(const MemOperand &m)
{
	if (!m.present)
		return Guard::kNone;
	if (m.segment == Segment::kFs)
		return m.constant() && !m.rip_relative && !m.address32 && fits_masked(m.disp) ? Guard::kFs
											     : Guard::kFsWhole;
	if (m.constant()) {
		const uint64_t address = m.address32 ? uint32_t(m.disp) : uint64_t(m.disp);
		if (address >= kLowestAbsolute && address < uint64_t(kAbove))
			return Guard::kAbsolute;
		return UserAddr(address).in_user_half() ? Guard::kConstant : Guard::kWhole;
	}
	if (m.address32)
		return Guard::kWhole;
	if (m.base == kRsp && m.index == kNoGpr && fits_stack(m.disp))
		return Guard::kStack;
	return fits_masked(m.disp) ? Guard::kSum : Guard::kWhole;
}

constexpr bool address_in_r9(Guard g)
{
	return g == Guard::kSum || g == Guard::kWhole || g == Guard::kConstant || g == Guard::kFsWhole;
}

Lowering exit_because(const char *why)
{
	Lowering l;
	l.why = why;
	return l;
}

/* Gives each of the user's r9–r11 among the register operands a physical home: r9 unless
 * it is `r9_taken`, then r10. False when there are more than homes. */
bool house(const Insn &insn, bool r9_taken, Lowering &l)
{
	for (uint8_t i = 0; i < insn.reg_count; i++) {
		const Gpr reg = insn.regs[i].reg;
		if (!is_slotted(reg) || reg == l.in_r9 || reg == l.in_r10)
			continue;
		if (!r9_taken && l.in_r9 == kNoGpr)
			l.in_r9 = reg;
		else if (l.in_r10 == kNoGpr)
			l.in_r10 = reg;
		else
			return false;
	}
	return true;
}

const RegOperand *operand_of(const Insn &insn, Gpr reg)
{
	for (uint8_t i = 0; i < insn.reg_count; i++) {
		if (insn.regs[i].reg == reg)
			return &insn.regs[i];
	}
	return nullptr;
}

bool is_virtual(Gpr reg)
{
	return reg == kRsp || is_slotted(reg);
}

bool names_virtual_register(const Insn &insn)
{
	for (uint8_t i = 0; i < insn.reg_count; i++) {
		if (is_virtual(insn.regs[i].reg))
			return true;
	}
	return false;
}

/* Instructions that do with a 64-bit r/m register what they do with memory in its place.
 * Shifts and rotates do not: the flags they leave undefined differ. */
bool same_in_memory(const Insn &insn)
{
	switch (insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_SBB:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
	case ZYDIS_MNEMONIC_NEG:
	case ZYDIS_MNEMONIC_NOT:
	case ZYDIS_MNEMONIC_IMUL:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_LZCNT:
	case ZYDIS_MNEMONIC_TZCNT:
		return true;
	default:
		return insn.mnemonic >= ZYDIS_MNEMONIC_CMOVB && insn.mnemonic <= ZYDIS_MNEMONIC_CMOVZ;
	}
}

/* Its one virtual register is the r/m operand and can be a frame slot just as well. A
 * 32-bit write would have to clear the upper half, which memory does not. */
bool fits_in_slot(const Insn &insn)
{
	if (insn.encoding != Encoding::kLegacy || !insn.modrm_at || insn.mem.present || insn.high_byte ||
	    insn.same_operands || !same_in_memory(insn))
		return false;
	bool rm_in_slot = false;
	for (uint8_t i = 0; i < insn.reg_count; i++) {
		const RegOperand &r = insn.regs[i];
		if (!is_slotted(r.reg))
			continue;
		if (r.field != Field::kRm || (r.written && r.bytes == 4))
			return false;
		rm_in_slot = true;
	}
	return rm_in_slot;
}

/* The same of its other encoding: it reads a register that lives in a slot, and not as its r/m operand. */
bool fits_turned(const Insn &insn)
{
	return turns(insn) && !fits_in_slot(insn) && fits_in_slot(turned(insn));
}

constexpr const char *kHighByte = "names ah, bh, ch or dh beside a register that needs a REX";

Lowering lower_stack_write(const Insn &insn)
{
	const bool adds = insn.mnemonic == ZYDIS_MNEMONIC_ADD || insn.mnemonic == ZYDIS_MNEMONIC_SUB;
	const RegOperand &rsp = *operand_of(insn, kRsp);
	Lowering l;

	if (adds && insn.reg_count == 1 && insn.has_immediate() && rsp.bytes == 8 && !insn.mem.present) {
		const int64_t value = int64_t(insn.target);
		if (value > -sfi::kStackDrift / 2 && value < sfi::kStackDrift / 2) {
			l.form = Form::kStackShift;
			l.shift = int32_t(insn.mnemonic == ZYDIS_MNEMONIC_SUB ? -value : value);
			return l;
		}
	}
	if (insn.high_byte)
		return exit_because(kHighByte);
	/* The check may exit after the flags were written: the instruction must not read them. */
	if (insn.flags_read && insn.flags_written)
		return exit_because("computes rsp from flags it also writes");
	if (insn.may_raise || insn.vector)
		return exit_because("computes rsp in an unusual way");
	if (insn.mem.present && (insn.mnemonic != ZYDIS_MNEMONIC_MOV || rsp.bytes != 8))
		return exit_because("computes rsp from memory");
	for (uint8_t i = 0; i < insn.reg_count; i++) {
		if (insn.regs[i].written && insn.regs[i].reg != kRsp)
			return exit_because("writes rsp and another register");
	}
	if (insn.mem.written)
		return exit_because("writes rsp and memory");
	l.form = Form::kStackWrite;
	return house(insn, true, l) ? l : exit_because("names too many registers that live in the frame");
}

Lowering lower_plain(const Insn &insn, Guard guard)
{
	const RegOperand *rsp = operand_of(insn, kRsp);
	Lowering l;

	if (rsp) {
		for (uint8_t i = 0; i < insn.reg_count; i++) {
			if (insn.regs[i].reg == kRsp && insn.regs[i].written) {
				l = lower_stack_write(insn);
				l.guard = guard;
				return l;
			}
		}
	}
	if (!insn.mem.present && !names_virtual_register(insn)) {
		l.form = Form::kCopy;
		return l;
	}
	l.guard = guard;
	if (guard == Guard::kFs && !names_virtual_register(insn)) {
		l.form = Form::kCopy;
		return l;
	}
	if (insn.high_byte) {
		if (guard == Guard::kNone || insn.reg_count != 1)
			return exit_because(kHighByte);
		l.form = Form::kHighByte;
		return l;
	}
	if (fits_in_slot(insn) || fits_turned(insn)) {
		l.form = Form::kInSlot;
		return l;
	}
	l.form = Form::kOperate;
	return house(insn, address_in_r9(guard), l) ? l
						    : exit_because("names too many registers that live in the frame");
}

Lowering lower_lea(const Insn &insn)
{
	const MemOperand &m = insn.mem;
	const RegOperand &to = insn.regs[0];
	Lowering l;

	if (to.bytes == 2)
		return exit_because("computes a 16-bit address");
	if (to.reg == kRsp) {
		const bool shift = m.base == kRsp && m.index == kNoGpr && to.bytes == 8 && !m.address32 &&
				   m.disp > -sfi::kStackDrift / 2 && m.disp < sfi::kStackDrift / 2;
		l.form = shift ? Form::kStackShift : Form::kStackWrite;
		l.shift = shift ? int32_t(m.disp) : 0;
		return l;
	}
	const bool as_is = !insn.idle_prefix && !m.rip_relative && !m.address32 && m.segment == Segment::kFlat &&
			   !is_virtual(to.reg) && !is_virtual(m.base) && !is_virtual(m.index);
	l.form = as_is ? Form::kCopy : Form::kLea;
	return l;
}

/* String-addressed bit tests reach memory far from their operand. */
bool tests_bit_string(const Insn &insn)
{
	switch (insn.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTC:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTS:
		return insn.mem.present && !insn.has_immediate();
	default:
		return false;
	}
}

bool locks(const Insn &insn)
{
	if (!insn.mem.present || !insn.mem.written)
		return false;
	if (insn.mnemonic == ZYDIS_MNEMONIC_XCHG)
		return true;
	for (uint8_t i = 0; i < insn.prefix_end; i++) {
		if (insn.bytes[i] == 0xf0)
			return true;
	}
	return false;
}

const char *unfit(const Insn &insn, const sfi::Contract &contract)
{
	if (insn.kind == Kind::kRefused || insn.kind == Kind::kVector)
		return insn.why;
	if (insn.mem.segment == Segment::kGs && insn.kind != Kind::kLea)
		return "accesses memory through gs, whose base is the kernel's";
	if (insn.needs_avx512 && !contract.avx512)
		return "needs AVX-512, which this machine has not enabled";
	if (insn.vector && insn.encoding == Encoding::kVex && !contract.avx)
		return "needs AVX, which this machine has not enabled";
	if (tests_bit_string(insn))
		return "tests a bit at a distance held in a register";
	if (!contract.locked_accesses && locks(insn))
		return "is locked, and a split lock would be fatal on this machine";
	return nullptr;
}

} // namespace

Lowering lower(const Insn &insn, const sfi::Contract &contract)
{
	const char *why = unfit(insn, contract);
	if (why)
		return exit_because(why);

	const Guard guard = guard_of(insn.mem);
	Lowering l;
	switch (insn.kind) {
	case Kind::kNothing:
		l.form = Form::kNothing;
		return l;
	case Kind::kPlain:
		return lower_plain(insn, guard);
	case Kind::kLea:
		return lower_lea(insn);
	case Kind::kPush:
		l.form = Form::kPush;
		l.guard = guard;
		return l;
	case Kind::kPop:
		if (guard == Guard::kFs || guard == Guard::kAbsolute)
			return exit_because("pops to memory at a fixed address");
		l.form = Form::kPop;
		l.guard = guard;
		return l;
	case Kind::kLeave:
		l.form = Form::kLeave;
		return l;
	case Kind::kString:
		l.form = Form::kString;
		return l;
	case Kind::kXlat:
		l.form = Form::kXlat;
		return l;
	case Kind::kJump:
	case Kind::kBranch:
	case Kind::kCounted:
	case Kind::kCall:
	case Kind::kReturn:
	case Kind::kIndirectJump:
	case Kind::kIndirectCall:
	case Kind::kSyscall:
		l.form = Form::kControl;
		l.guard = guard;
		return l;
	case Kind::kRefused:
	case Kind::kVector:
		break;
	}
	return exit_because(insn.why);
}

/* Loads a register that lives in a slot, and nothing behind it wants the address: then r9 serves for both, and
 * r10 keeps the mask. `next` is the next access in the block, or null. */
bool loads_over_address(const Insn &insn, const Lowering &how, const Insn *next)
{
	if (how.form != Form::kOperate || !address_in_r9(how.guard) || how.in_r10 == kNoGpr || insn.mem.written)
		return false;
	for (uint8_t i = 0; i < insn.reg_count; i++)
		if (insn.regs[i].reg == how.in_r10 && insn.regs[i].needed)
			return false;
	return !next || next->mem.base != insn.mem.base || next->mem.index != insn.mem.index;
}

Result<Plan> sanitize(const Region &region, Arena &arena)
{
	Plan plan;

	plan.steps = Table<Step>(arena, region.instructions);
	plan.first_step = arena.make<uint32_t>(region.blocks.size());
	if (!plan.first_step || arena.exhausted())
		return Fault::kNoMemory;

	for (uint32_t b = 0; b < region.blocks.size(); b++) {
		const Block &block = region.blocks[b];
		plan.first_step[b] = uint32_t(plan.steps.size());
		for (uint32_t i = 0; i < block.count; i++)
			plan.steps.push_back({.how = region.lowerings[block.first + i]});
		uint16_t live = flags_live_out(region, block);
		const Insn *access = nullptr;
		for (uint32_t i = block.count; i-- > 0;) {
			const Insn &insn = region.of(block)[i];
			Step &step = plan.of(b, i);
			if (loads_over_address(insn, step.how, access))
				std::swap(step.how.in_r9, step.how.in_r10);
			if (address_in_r9(step.how.guard))
				access = &insn;
			step.flags_dead_after = !live;
			live = flags_live_before(insn, live);
			step.flags_dead_before = !live;
		}
	}
	return plan.steps.full() ? Result<Plan>(Fault::kTooBig) : Result<Plan>(plan);
}

} // namespace ub::translator
