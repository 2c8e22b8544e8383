/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From Zydis' records to ours. Decides an instruction's kind, which registers and flags
 * it reads and writes, and where its parts lie. What Zydis 4.0.0 reports wrongly
 * or leaves out is put right here, once (flags_on_condition, writes_undefined_flags,
 * may_leave_destination, and the refusal of everything with implicit memory operands).
 * What the rule table or an odd encoding forbids is kRefused.
 */
#include "translator/insn.h"

#include <Zydis/Decoder.h>

#include "sfi/rules.h"
#include "translator/gpr_name.h"
#include "translator/kept_insns.h"
#include "translator/string_insn.h"

namespace ub::translator {

struct Decoder::State {
	ZydisDecoder zydis;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	KeptInsn latest;
	KeptInsns *kept;	/* may be null */
};

namespace {

constexpr bool is_legacy_prefix(uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x2e || b == 0x36 ||
	       b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65;
}

bool is_shift(const ZydisDecodedInstruction &z)
{
	switch (z.mnemonic) {
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
	case ZYDIS_MNEMONIC_ROL:
	case ZYDIS_MNEMONIC_ROR:
	case ZYDIS_MNEMONIC_RCL:
	case ZYDIS_MNEMONIC_RCR:
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD:
		return true;
	default:
		return false;
	}
}

/* With a count of zero a shift, rotate or repeat writes no flags, and the count in cl is not known. */
bool flags_on_condition(const ZydisDecodedInstruction &z)
{
	if (string_op(z) != StringOp::kNone)
		return z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	if (!is_shift(z))
		return false;
	/* D0 and D1 shift by one, whatever Zydis calls the operand. */
	if (z.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (z.opcode == 0xd0 || z.opcode == 0xd1))
		return false;
	const uint8_t counted = z.operand_width == 64 ? 0x3f : 0x1f;
	return !z.raw.imm[0].size || !(z.raw.imm[0].value.u & counted);
}

/* Flags an instruction leaves "undefined" are often left alone (div, bsf, bt, rotates by
 * more than one), so their old values count as live; but these write them all on every CPU. */
bool writes_undefined_flags(const ZydisDecodedInstruction &z)
{
	switch (z.mnemonic) {
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_TEST:
		return true;
	default:
		return false;
	}
}

/* BSF and BSR leave the destination alone when the source is zero (and AMD says so). */
bool may_leave_destination(const ZydisDecodedInstruction &z)
{
	return z.mnemonic == ZYDIS_MNEMONIC_BSF || z.mnemonic == ZYDIS_MNEMONIC_BSR;
}

Kind kind_of(const ZydisDecodedInstruction &z, const ZydisDecodedOperand *operands)
{
	if (string_op(z) != StringOp::kNone)
		return Kind::kString;
	const bool immediate = z.operand_count && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;

	switch (z.mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCH:
		return Kind::kNothing;
	case ZYDIS_MNEMONIC_LEA:
		return Kind::kLea;
	case ZYDIS_MNEMONIC_PUSH:
		return Kind::kPush;
	case ZYDIS_MNEMONIC_POP:
		return Kind::kPop;
	case ZYDIS_MNEMONIC_LEAVE:
		return Kind::kLeave;
	case ZYDIS_MNEMONIC_XLAT:
		return Kind::kXlat;
	case ZYDIS_MNEMONIC_JMP:
		return immediate ? Kind::kJump : Kind::kIndirectJump;
	case ZYDIS_MNEMONIC_CALL:
		return immediate ? Kind::kCall : Kind::kIndirectCall;
	case ZYDIS_MNEMONIC_RET:
		return Kind::kReturn;
	case ZYDIS_MNEMONIC_SYSCALL:
		return Kind::kSyscall;
	default:
		if (z.meta.category == ZYDIS_CATEGORY_COND_BR) {
			const bool near = z.opcode_map == ZYDIS_OPCODE_MAP_0F && (z.opcode & 0xf0) == 0x80;
			const bool rel8 = z.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (z.opcode & 0xf0) == 0x70;
			return near || rel8 ? Kind::kBranch : Kind::kCounted;
		}
		return Kind::kPlain;
	}
}

bool moves_stack(Kind kind)
{
	return kind == Kind::kPush || kind == Kind::kPop || kind == Kind::kLeave || kind == Kind::kCall ||
	       kind == Kind::kReturn || kind == Kind::kIndirectCall;
}

/* Where the parts lie. False for encodings no compiler makes: a REX that is not the last
 * prefix, XOP, 3DNow!. */
bool lay_out(const ZydisDecodedInstruction &z, Insn &insn)
{
	uint8_t i = 0;

	while (i < insn.length && is_legacy_prefix(insn.bytes[i]))
		i++;
	insn.prefix_end = i;

	switch (z.encoding) {
	case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
		insn.encoding = Encoding::kLegacy;
		insn.has_rex = (insn.bytes[i] & 0xf0) == 0x40;
		i = uint8_t(i + insn.has_rex);
		if (insn.has_rex && (is_legacy_prefix(insn.bytes[i]) || (insn.bytes[i] & 0xf0) == 0x40))
			return false;
		break;
	case ZYDIS_INSTRUCTION_ENCODING_VEX:
		insn.encoding = Encoding::kVex;
		if (insn.bytes[i] != 0xc4 && insn.bytes[i] != 0xc5)
			return false;
		i = uint8_t(i + (insn.bytes[i] == 0xc5 ? 2 : 3));
		break;
	case ZYDIS_INSTRUCTION_ENCODING_EVEX:
		insn.encoding = Encoding::kEvex;
		if (insn.bytes[i] != 0x62)
			return false;
		i = uint8_t(i + 4);
		break;
	default:
		return false;
	}
	insn.opcode_at = i;

	insn.disp_bytes = uint8_t(z.raw.disp.size / 8);
	insn.disp_at = z.raw.disp.offset;
	if (z.attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		insn.modrm_at = z.raw.modrm.offset;
		const bool sib = z.attributes & ZYDIS_ATTRIB_HAS_SIB;
		insn.tail_at = uint8_t(insn.modrm_at + 1 + sib + insn.disp_bytes);
	} else {
		insn.tail_at = z.raw.imm[0].size ? z.raw.imm[0].offset : insn.length;
	}
	return insn.opcode_at < insn.length && insn.tail_at <= insn.length;
}

/* Has a prefix that means nothing: no image may keep it. */
bool has_idle_prefix(const ZydisDecodedInstruction &z, const Insn &insn)
{
	uint16_t seen = 0;

	for (uint8_t i = 0; i < insn.prefix_end; i++) {
		const auto &prefix = z.raw.prefixes[i];
		const bool mandatory = prefix.type == ZYDIS_PREFIX_TYPE_MANDATORY;
		bool useful = false;
		uint16_t kind = 0;

		switch (prefix.value) {
		case 0x66:
			useful = mandatory || (prefix.type != ZYDIS_PREFIX_TYPE_IGNORED && !insn.vector &&
					       !(insn.has_rex && (insn.bytes[insn.prefix_end] & 8)));
			kind = 1;
			break;
		case 0xf0:
			useful = z.attributes & ZYDIS_ATTRIB_HAS_LOCK;
			kind = 2;
			break;
		case 0xf2:
		case 0xf3:
			useful = mandatory;
			kind = 4;
			break;
		case 0x64:
		case 0x65:
			useful = insn.mem.present && insn.mem.segment != Segment::kFlat;
			kind = 8;
			break;
		case 0x67:
			useful = insn.mem.present;	/* goes when the operand is re-encoded */
			kind = 16;
			break;
		default:
			break;
		}
		if (!useful || (seen & kind))
			return true;
		seen |= kind;
	}
	return false;
}

constexpr const char kHoldsLandingPad[] = "holds the bytes of a landing pad";

void refuse(Insn &insn, const char *why)
{
	insn.why = why;
	insn.kind = Kind::kRefused;
}

/* The bytes of a landing pad, as an immediate or a displacement. */
bool holds_endbr(const Insn &insn)
{
	for (int i = 0; i + 4 <= insn.length; i++) {
		const uint8_t *b = insn.bytes + i;
		if (b[0] == 0xf3 && b[1] == 0x0f && b[2] == 0x1e && (b[3] & 0xfe) == 0xfa)
			return true;
	}
	return false;
}

const char *take_register(const ZydisDecodedOperand &o, Kind kind, Insn &insn)
{
	const bool written = o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	const GprName name = gpr_of(o.reg.value);

	if (name.reg == kNoGpr) {
		switch (ZydisRegisterGetClass(o.reg.value)) {
		case ZYDIS_REGCLASS_MASK:
			insn.needs_avx512 = true;
			return nullptr;
		case ZYDIS_REGCLASS_XMM:
		case ZYDIS_REGCLASS_YMM:
		case ZYDIS_REGCLASS_ZMM:
		case ZYDIS_REGCLASS_FLAGS:
		case ZYDIS_REGCLASS_IP:
			return nullptr;
		default:
			return o.reg.value == ZYDIS_REGISTER_MXCSR || o.reg.value == ZYDIS_REGISTER_X87STATUS
				       ? nullptr : "names a register ub does not virtualise";
		}
	}

	if (written)
		insn.gpr_written |= bit(name.reg);
	insn.high_byte |= name.high_byte;

	RegOperand operand;
	operand.reg = name.reg;
	operand.bytes = uint8_t(o.size / 8);
	operand.written = written;
	operand.needed = (o.actions & ~ZYDIS_OPERAND_ACTION_WRITE) != 0 || operand.bytes < 4;
	switch (o.encoding) {
	case ZYDIS_OPERAND_ENCODING_MODRM_REG: operand.field = Field::kReg; break;
	case ZYDIS_OPERAND_ENCODING_MODRM_RM: operand.field = Field::kRm; break;
	case ZYDIS_OPERAND_ENCODING_NDSNDD: operand.field = Field::kVvvv; break;
	case ZYDIS_OPERAND_ENCODING_OPCODE: operand.field = Field::kOpcode; break;
	default:
		/* Implicit: rax of mul, cl of shl. No field to rename it by. */
		if (is_slotted(name.reg) || (name.reg == kRsp && !moves_stack(kind)))
			return "uses a virtualised register implicitly";
		return nullptr;
	}
	if (insn.reg_count == kMaxRegOperands)
		return "has too many register operands";
	insn.regs[insn.reg_count++] = operand;
	return nullptr;
}

const char *take_memory(const ZydisDecodedInstruction &z, const ZydisDecodedOperand &o, Kind kind, Insn &insn)
{
	if (o.encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM) {
		/* The stack operand of push, pop, call, ret and leave; the emitter knows it. */
		if ((moves_stack(kind) || kind == Kind::kString || kind == Kind::kXlat) && o.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			return nullptr;
		return "has an implicit memory operand";
	}
	if (o.mem.type != ZYDIS_MEMOP_TYPE_MEM && o.mem.type != ZYDIS_MEMOP_TYPE_AGEN)
		return "gathers, scatters or uses an MPX address";

	MemOperand &m = insn.mem;
	m.present = true;
	m.written = o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	m.bytes = uint8_t(o.size / 8);
	m.address32 = z.address_width == 32;
	m.segment = o.mem.segment == ZYDIS_REGISTER_FS	 ? Segment::kFs
		    : o.mem.segment == ZYDIS_REGISTER_GS ? Segment::kGs
							 : Segment::kFlat;
	m.disp = o.mem.disp.value;
	m.scale = o.mem.scale ? o.mem.scale : 1;
	if (o.mem.base == ZYDIS_REGISTER_RIP || o.mem.base == ZYDIS_REGISTER_EIP) {
		m.rip_relative = true;
		m.disp += int64_t(insn.next().value);
		if (m.address32)
			m.disp = int64_t(uint32_t(m.disp));
	} else {
		m.base = gpr_of(o.mem.base).reg;
		m.index = gpr_of(o.mem.index).reg;
	}
	return nullptr;
}

void take_flags(const ZydisDecodedInstruction &z, Insn &insn)
{
	if (!z.cpu_flags)
		return;
	const ZydisAccessedFlags &f = *z.cpu_flags;
	const uint32_t defined = f.modified | f.set_0 | f.set_1;
	const uint32_t written = defined | f.undefined;

	insn.flags_read = uint16_t(f.tested & kArithmeticFlags);
	insn.flags_written = uint16_t(written & kArithmeticFlags);
	if (!flags_on_condition(z))
		insn.flags_killed = uint16_t((writes_undefined_flags(z) ? written : defined) & kArithmeticFlags);
}

bool has_operand_size(const Insn &insn)
{
	for (uint8_t i = 0; i < insn.prefix_end; i++) {
		if (insn.bytes[i] == 0x66)
			return !(insn.has_rex && (insn.bytes[insn.prefix_end] & 8));
	}
	return false;
}

/* Shapes of the control and stack kinds that are not the usual one. */
const char *check_shape(const ZydisDecodedInstruction &z, Insn &insn)
{
	switch (insn.kind) {
	case Kind::kJump:
	case Kind::kBranch:
	case Kind::kCall:
	case Kind::kReturn:
	case Kind::kIndirectJump:
	case Kind::kIndirectCall:
		if (z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
			return "is a far branch";
		/* Intel ignores the prefix, AMD cuts rip to 16 bits, unless REX.W overrides it. */
		return has_operand_size(insn) ? "is a branch with an operand-size prefix" : nullptr;
	case Kind::kPush:
	case Kind::kPop:
		return z.operand_width == 64 ? nullptr : "pushes or pops 16 bits";
	case Kind::kLeave:
		return has_operand_size(insn) ? "leaves with 16 bits" : nullptr;
	case Kind::kString:
		return take_string(z, insn);
	case Kind::kXlat:
		return insn.prefix_end ? "is an xlat with a prefix" : nullptr;
	case Kind::kCounted:
		return insn.prefix_end || !UserAddr(insn.target).in_user_half() ? "branches on a counter in an odd way" : nullptr;
	case Kind::kPlain:
		return insn.idle_prefix ? "has a prefix without a meaning" : nullptr;
	default:
		return nullptr;
	}
}

const char *take_all(const ZydisDecodedInstruction &z, const ZydisDecodedOperand *operands, Insn &insn)
{
	insn.kind = kind_of(z, operands);
	/* The operands of these are not touched here: syscall's are the runtime's business. */
	if (insn.kind == Kind::kNothing || insn.kind == Kind::kSyscall)
		return nullptr;
	if (insn.kind == Kind::kPlain) {
		const sfi::Rule &rule = sfi::rule(insn.mnemonic);
		if (rule.kind == sfi::Kind::kRefused)
			return sfi::why(rule);
		insn.vector = rule.kind == sfi::Kind::kVector;
	}
	if (!lay_out(z, insn))
		return "is encoded in an odd way";
	insn.needs_avx512 = insn.encoding == Encoding::kEvex;
	if (insn.encoding != Encoding::kLegacy && !insn.vector && z.meta.isa_set != ZYDIS_ISA_SET_BMI1 &&
	    z.meta.isa_set != ZYDIS_ISA_SET_BMI2)
		return "is a VEX form no CPU of ours has";

	for (uint8_t i = 0; i < z.operand_count; i++) {
		const ZydisDecodedOperand &o = operands[i];
		const char *why = nullptr;

		switch (o.type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			why = take_register(o, insn.kind, insn);
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			why = take_memory(z, o, insn.kind, insn);
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			insn.target = o.imm.value.u + (o.imm.is_relative ? insn.next().value : 0);
			break;
		default:
			why = "names a far address";
		}
		if (why)
			return why;
	}

	if (may_leave_destination(z)) {
		for (uint8_t i = 0; i < insn.reg_count; i++)
			insn.regs[i].needed = true;
	}
	insn.same_operands = insn.reg_count == 2 && insn.regs[0].reg == insn.regs[1].reg &&
			     insn.regs[0].bytes >= 4 && !insn.high_byte;
	insn.condition = uint8_t(z.opcode & 0xf);
	insn.may_raise = sfi::rule(insn.mnemonic).raises;
	if (insn.kind == Kind::kReturn && insn.has_immediate())
		insn.pop_bytes = uint16_t(insn.target);
	take_flags(z, insn);
	insn.idle_prefix = has_idle_prefix(z, insn);
	if (holds_endbr(insn))
		return kHoldsLandingPad;
	return check_shape(z, insn);
}

} // namespace

Decoder::Decoder(Arena &arena) : state_(arena.make<State>())
{
	if (!state_)
		return;
	ZydisDecoderInit(&state_->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	state_->kept = KeptInsns::borrow();
}

Decoder::~Decoder()
{
	if (state_ && state_->kept)
		state_->kept->give_back();
}

bool Decoder::decode(UserAddr address, const uint8_t *bytes, size_t count, Insn &insn)
{
	uint64_t head = 0;

	if (!state_)
		return false;
	if (state_->kept && count >= sizeof(head)) {
		__builtin_memcpy(&head, bytes, sizeof(head));
		const KeptInsn *kept = state_->kept->find(head);
		if (kept && kept->insn.length <= count) {
			insn = kept->insn;
			insn.address = address;
			__builtin_memcpy(insn.bytes, bytes, insn.length);
			kept->place(insn);
			if (insn.kind != Kind::kNothing && insn.kind != Kind::kSyscall && holds_endbr(insn))
				refuse(insn, kHoldsLandingPad);
			return true;
		}
	}

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&state_->zydis, bytes, count, &state_->insn, state_->operands)))
		return false;
	insn = Insn();
	insn.address = address;
	insn.mnemonic = uint16_t(state_->insn.mnemonic);
	insn.length = state_->insn.length;
	__builtin_memcpy(insn.bytes, bytes, insn.length);
	if (const char *why = take_all(state_->insn, state_->operands, insn))
		refuse(insn, why);
	if (state_->kept && count >= sizeof(head) && insn.why != kHoldsLandingPad) {
		KeptInsn &kept = state_->latest;
		kept = {.head = 0, .head_mask = 0, .immediate = {}, .insn = insn};
		find_head(state_->insn, state_->operands, bytes, is_shift(state_->insn), kept);
		if (kept.head_mask)
			state_->kept->keep(head, kept);
	}
	return true;
}

} // namespace ub::translator
