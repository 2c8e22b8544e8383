// SPDX-License-Identifier: GPL-2.0
/*
 * DECODE → flow → accept: one instruction, legal by itself or refused. Trusted.
 *
 * Legal are: what the rule table allows, without prefixes that this form does not
 * use, without any operand but general and vector registers, immediates and one
 * explicit memory operand; that is
 *	[rsp + d]	a frame slot the image may read or write, by a general register
 *	fs:[d]		d within the holes around the user half; its base is checked at entry
 *	[d]		d in [64 KiB, 2 GiB)
 *	[reg + d]	left to the data flow
 * and never indexed, rip-relative or of another segment. rsp appears nowhere else.
 */
#include "sfi/instruction.h"

#include "sfi/rules.h"

namespace ub::sfi {

namespace {

static_assert(ZYDIS_REGISTER_R15 - ZYDIS_REGISTER_RAX == kR15 && ZYDIS_REGISTER_RSP - ZYDIS_REGISTER_RAX == kRsp);

constexpr uint16_t bit(uint8_t r)
{
	return uint16_t(1u << r);
}

/* The general register a part of which is named; kNoRegister for any other register. */
uint8_t general(ZydisRegister name)
{
	const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, name);

	if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15)
		return kNoRegister;
	return uint8_t(whole - ZYDIS_REGISTER_RAX);
}

/* Bytes of the image, taken one after the other as long as they are as expected. */
class Bytes {
public:
	Bytes(std::span<const uint8_t> bytes, uint32_t at) : bytes_(bytes), at_(at) {}

	template <size_t n>
	bool take(const uint8_t (&expected)[n])
	{
		if (bytes_.size() - at_ < n)
			return false;
		for (uint8_t byte : expected)
			if (bytes_[at_++] != byte)
				return false;
		return true;
	}

	bool take_u32(uint32_t &value)
	{
		if (bytes_.size() - at_ < 4)
			return false;
		value = 0;
		for (int shift = 0; shift < 32; shift += 8)
			value |= uint32_t(bytes_[at_++]) << shift;
		return true;
	}

	uint32_t at() const { return at_; }

private:
	std::span<const uint8_t> bytes_;
	uint32_t at_;
};

/*
 * An exit stub:
 *	41 b9 <n>		mov	r9d, n
 *	e9 <rel32>		jmp	leave
 * Any other jump after such a mov is an ordinary one.
 */
bool match_exit(const InstructionReader &reader, uint32_t offset, Instruction &out, uint32_t &number)
{
	static constexpr uint8_t kMovR9d[] = {0x41, 0xb9};
	static constexpr uint8_t kJmp[] = {0xe9};
	Bytes bytes(reader.image->bytes, offset);
	uint32_t relative;

	if (!bytes.take(kMovR9d) || !bytes.take_u32(number) || !bytes.take(kJmp) || !bytes.take_u32(relative))
		return false;
	if (reader.image->address + bytes.at() + int32_t(relative) != reader.contract->leave)
		return false;
	out.flow = Flow::kExit;
	out.writes = bit(kR9);
	out.length = uint8_t(bytes.at() - offset);
	return true;
}

/*
 * A poll, where flags are dead:
 *	4c 8b 4c 24 40		mov	r9, [rsp + UB_FRAME_WORK]
 *	45 8b 09		mov	r9d, [r9]
 *	41 f7 c1 <mask>		test	r9d, poll_mask
 *	0f 85 <rel32>		jnz	exit stub
 * and where they are live:
 *	4c 8b 4c 24 40		mov	r9, [rsp + UB_FRAME_WORK]
 *	45 8b 09		mov	r9d, [r9]
 *	48 89 4c 24 18		mov	[rsp + UB_FRAME_SPILL0], rcx
 *	b9 <mask>		mov	ecx, poll_mask
 *	c4 e2 32 f5 c9		pext	ecx, r9d, ecx
 *	e3 0a			jrcxz	1f
 *	48 8b 4c 24 18		mov	rcx, [rsp + UB_FRAME_SPILL0]
 *	e9 <rel32>		jmp	exit stub
 *	48 8b 4c 24 18	1:	mov	rcx, [rsp + UB_FRAME_SPILL0]
 * The kernel's word that is left in r9 must not be read: verify.cc.
 */
bool match_poll(const InstructionReader &reader, uint32_t offset, Instruction &out)
{
	static constexpr uint8_t kLoadWork[] = {0x4c, 0x8b, 0x4c, 0x24, UB_FRAME_WORK, 0x45, 0x8b, 0x09};
	static constexpr uint8_t kTest[] = {0x41, 0xf7, 0xc1};
	static constexpr uint8_t kJnz[] = {0x0f, 0x85};
	static constexpr uint8_t kSaveRcxMovEcx[] = {0x48, 0x89, 0x4c, 0x24, UB_FRAME_SPILL0, 0xb9};
	static constexpr uint8_t kPextJrcxzRestore[] = {0xc4, 0xe2, 0x32, 0xf5, 0xc9, 0xe3, 0x0a,
							0x48, 0x8b, 0x4c, 0x24, UB_FRAME_SPILL0, 0xe9};
	static constexpr uint8_t kRestoreRcx[] = {0x48, 0x8b, 0x4c, 0x24, UB_FRAME_SPILL0};
	Bytes bytes(reader.image->bytes, offset);
	uint32_t mask, relative;

	if (!bytes.take(kLoadWork))
		return false;

	Bytes with_flags = bytes;
	if (with_flags.take(kTest) && with_flags.take_u32(mask) && with_flags.take(kJnz) && with_flags.take_u32(relative)) {
		bytes = with_flags;
		out.target = bytes.at() + relative;
		out.writes = bit(kR9);
	} else {
		if (!bytes.take(kSaveRcxMovEcx) || !bytes.take_u32(mask) || !bytes.take(kPextJrcxzRestore) ||
		    !bytes.take_u32(relative))
			return false;
		out.target = bytes.at() + relative;
		if (!bytes.take(kRestoreRcx))
			return false;
		out.reads = bit(kRcx);
		out.writes = bit(kR9) | bit(kRcx);
	}
	out.flow = Flow::kPoll;
	out.length = uint8_t(bytes.at() - offset);
	return mask == reader.contract->poll_mask;
}

const char *check_prefixes(const ZydisDecodedInstruction &decoded, Kind kind)
{
	bool seen_lock = false, seen_66 = false, seen_repeat = false, seen_fs = false;
	const auto once = [](bool &seen) {
		const bool first = !seen;
		seen = true;
		return first;
	};

	for (uint8_t i = 0; i < decoded.raw.prefix_count; i++) {
		const auto &prefix = decoded.raw.prefixes[i];
		const bool mandatory = prefix.type == ZYDIS_PREFIX_TYPE_MANDATORY;

		switch (prefix.value) {
		case 0xf0:
			if (!once(seen_lock) || !(decoded.attributes & ZYDIS_ATTRIB_HAS_LOCK))
				return "a lock prefix that locks nothing";
			break;
		case 0x66:
			if (!once(seen_66) || (!mandatory && (decoded.raw.rex.W || kind == Kind::kVector)))
				return "an operand-size prefix without a meaning";
			break;
		case 0xf2:
		case 0xf3:
			if (!once(seen_repeat) || !mandatory)
				return "a repeat or hint prefix";
			break;
		case 0x64:
			if (!once(seen_fs) || !(decoded.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS))
				return "an fs prefix without a meaning";
			break;
		case 0x67:
			return "an address-size prefix";
		default:
			if ((prefix.value & 0xf0) != 0x40)
				return "a segment prefix other than fs";
			if (i + 1 != decoded.raw.prefix_count || !(decoded.attributes & ZYDIS_ATTRIB_HAS_REX))
				return "a REX prefix that is not the last prefix";
		}
	}
	return nullptr;
}

const char *check_encoding(const InstructionReader &reader, Kind kind)
{
	const ZydisDecodedInstruction &decoded = reader.decoded;

	switch (decoded.encoding) {
	case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
		/* movsd and cmpsd are also names of string instructions. */
		if (kind == Kind::kVector && decoded.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
			return "a string instruction that shares its name with a vector instruction";
		return nullptr;
	case ZYDIS_INSTRUCTION_ENCODING_VEX:
		/* BMI needs no vector state, and the module needs BMI2. */
		if (kind == Kind::kVector && !reader.contract->avx)
			return "a VEX instruction without AVX";
		return nullptr;
	case ZYDIS_INSTRUCTION_ENCODING_EVEX:
		if (!reader.contract->avx512)
			return "an EVEX instruction without AVX-512";
		return nullptr;
	default:
		return "an encoding that is neither legacy, VEX nor EVEX";
	}
}

const char *check_register(const InstructionReader &reader, const ZydisDecodedOperand &operand, Kind kind, Instruction &out)
{
	const bool read = operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ;
	const bool write = operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

	switch (ZydisRegisterGetClass(operand.reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64: {
		const uint8_t r = general(operand.reg.value);

		if (r == kNoRegister || r == kRsp)
			return "the physical stack pointer as an operand";
		/* What is not written as a whole shows in the result. */
		if (read || operand.actions != ZYDIS_OPERAND_ACTION_WRITE || operand.size < 32)
			out.reads |= bit(r);
		if (write)
			out.writes |= bit(r);
		return nullptr;
	}
	case ZYDIS_REGCLASS_MASK:
		if (!reader.contract->avx512)
			return "a mask register without AVX-512";
		[[fallthrough]];
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		return kind == Kind::kVector ? nullptr : "a vector register in an integer instruction";
	case ZYDIS_REGCLASS_FLAGS:
		return nullptr;
	case ZYDIS_REGCLASS_IP:
		return kind == Kind::kBranch ? nullptr : "the instruction pointer as an operand";
	default:
		if (operand.reg.value == ZYDIS_REGISTER_MXCSR && kind == Kind::kVector && !write)
			return nullptr;
		return "a register that is not the program's own: segment, control, debug, x87, MMX";
	}
}

/* [rsp + d]: the register files' slots and spills, the mask and the fs base. */
const char *check_slot(const ZydisDecodedOperand &operand, Kind kind)
{
	const int64_t at = operand.mem.disp.value;
	const bool write = operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

	if (kind != Kind::kInteger)
		return "a frame slot accessed by other than an integer instruction";
	if (at < 0 || at >= UB_FRAME_SIZE || at % 8 + operand.size / 8 > 8)
		return "a frame access outside one slot";

	switch (at - at % 8) {
	case UB_FRAME_R9:
	case UB_FRAME_R10:
	case UB_FRAME_R11:
	case UB_FRAME_SPILL0:
	case UB_FRAME_SPILL1:
	case UB_FRAME_TARGET:
		return nullptr;
	case UB_FRAME_FSBASE:
	case UB_FRAME_MASK:
		return write ? "a write to a frame slot that is only read" : nullptr;
	default:
		return "a kernel pointer's frame slot outside of a poll";
	}
}

/* Is the operand accessed whatever the values? Not said of shifts by cl, vector lanes, prefetches. */
bool always_accesses(ZydisMnemonic mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
		return true;
	default:
		return false;
	}
}

const char *check_memory(const ZydisDecodedOperand &operand, const ZydisDecodedInstruction &decoded, Kind kind, Instruction &out)
{
	const auto &memory = operand.mem;
	const int64_t displacement = memory.disp.has_displacement ? memory.disp.value : 0;

	if (operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
		return "an implicit memory operand";
	if (memory.base == ZYDIS_REGISTER_RIP || memory.base == ZYDIS_REGISTER_EIP)
		return "a rip-relative operand";

	if (memory.type == ZYDIS_MEMOP_TYPE_AGEN) {
		if (decoded.mnemonic != ZYDIS_MNEMONIC_LEA || (decoded.attributes & ZYDIS_ATTRIB_HAS_SEGMENT))
			return "an address computed by other than a plain lea";
		for (ZydisRegister name : {memory.base, memory.index}) {
			if (name == ZYDIS_REGISTER_NONE)
				continue;
			const uint8_t r = general(name);
			if (r == kNoRegister || r == kRsp)
				return "the physical stack pointer as an operand";
			out.reads |= bit(r);
		}
		return nullptr;
	}

	if (memory.type != ZYDIS_MEMOP_TYPE_MEM)
		return "a memory operand with lanes";
	if (memory.index != ZYDIS_REGISTER_NONE)
		return "an index register in a memory access";

	if (memory.segment == ZYDIS_REGISTER_FS) {
		if (memory.base != ZYDIS_REGISTER_NONE)
			return "an fs access with a base register";
		if (displacement < -kHoleBelow + kWidestAccess || displacement > kHoleAbove - kWidestAccess)
			return "an fs displacement outside the holes around the user half";
		out.may_fault = true;
		return nullptr;
	}
	if (memory.segment != ZYDIS_REGISTER_DS && memory.segment != ZYDIS_REGISTER_SS)
		return "a segment other than fs";

	if (memory.base == ZYDIS_REGISTER_RSP)
		return check_slot(operand, kind);

	out.may_fault = true;
	if (memory.base == ZYDIS_REGISTER_NONE) {
		if (displacement < 0x10000 || displacement > kHoleAbove - kWidestAccess)
			return "an absolute address outside [64 KiB, 2 GiB)";
		return nullptr;
	}
	if (ZydisRegisterGetClass(memory.base) != ZYDIS_REGCLASS_GPR64 || displacement != int32_t(displacement))
		return "a base register that is not 64 bits";
	out.base = general(memory.base);
	out.reads |= bit(out.base);
	out.displacement = int32_t(displacement);
	out.anchors = always_accesses(decoded.mnemonic);
	return nullptr;
}

bool is_register(const ZydisDecodedOperand &operand, uint16_t bits)
{
	return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && operand.size == bits && general(operand.reg.value) != kNoRegister;
}

bool is_immediate(const ZydisDecodedOperand &operand)
{
	return operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

void set_effect(Instruction &out, Effect effect, uint8_t from = kNoRegister, int64_t displacement = 0)
{
	if (displacement != int32_t(displacement))
		return;
	out.effect = effect;
	out.from = from;
	if (effect == Effect::kMove)
		out.displacement = int32_t(displacement);
}

/* The few instructions whose result is more than unknown. Operand 0 is the result. */
void find_effect(const InstructionReader &reader, Instruction &out)
{
	const ZydisDecodedOperand *operand = reader.operands;
	const uint64_t mask = ~(uint64_t(1) << reader.contract->mask_bit);

	if (reader.decoded.operand_count_visible < 1 || operand[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return;
	out.to = general(operand[0].reg.value);
	if (out.to == kNoRegister)
		return;
	const bool to64 = is_register(operand[0], 64), to32 = is_register(operand[0], 32);

	switch (reader.decoded.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		if (to32) {
			set_effect(out, Effect::kAddress);
		} else if (to64 && is_immediate(operand[1])) {
			if (operand[1].imm.value.u == mask)
				set_effect(out, Effect::kMask);
			else if (UserAddr(operand[1].imm.value.u).in_user_half())
				set_effect(out, Effect::kAddress);
		} else if (to64 && is_register(operand[1], 64)) {
			set_effect(out, Effect::kMove, general(operand[1].reg.value));
		} else if (to64 && operand[1].type == ZYDIS_OPERAND_TYPE_MEMORY && operand[1].mem.base == ZYDIS_REGISTER_RSP &&
			   operand[1].mem.disp.value == UB_FRAME_MASK) {
			set_effect(out, Effect::kMask);
		}
		return;
	case ZYDIS_MNEMONIC_MOVZX:
		if (to64 || to32)
			set_effect(out, Effect::kAddress);
		return;
	case ZYDIS_MNEMONIC_LEA:
		if (to32)
			set_effect(out, Effect::kAddress);
		else if (to64 && operand[1].mem.base != ZYDIS_REGISTER_NONE && operand[1].mem.index == ZYDIS_REGISTER_NONE)
			set_effect(out, Effect::kMove, general(operand[1].mem.base), operand[1].mem.disp.value);
		return;
	case ZYDIS_MNEMONIC_ADD:
		if (to64 && is_immediate(operand[1]))
			set_effect(out, Effect::kMove, out.to, operand[1].imm.value.s);
		return;
	case ZYDIS_MNEMONIC_SUB:
		if (to64 && is_immediate(operand[1]))
			set_effect(out, Effect::kMove, out.to, -operand[1].imm.value.s);
		return;
	case ZYDIS_MNEMONIC_INC:
		if (to64)
			set_effect(out, Effect::kMove, out.to, 1);
		return;
	case ZYDIS_MNEMONIC_DEC:
		if (to64)
			set_effect(out, Effect::kMove, out.to, -1);
		return;
	case ZYDIS_MNEMONIC_AND:
		if (to64 && is_register(operand[1], 64))
			set_effect(out, Effect::kMasked, general(operand[1].reg.value));
		return;
	case ZYDIS_MNEMONIC_PDEP:
		if (to64 && is_register(operand[2], 64))
			set_effect(out, Effect::kMasked, general(operand[2].reg.value));
		return;
	case ZYDIS_MNEMONIC_BTR:
		if (to64 && is_immediate(operand[1]) && operand[1].imm.value.u == reader.contract->mask_bit)
			set_effect(out, Effect::kAddress);
		return;
	default:
		return;
	}
}

/* jmp, jcc and jrcxz with an immediate and no prefix: a 66 would cut the target off on AMD. */
const char *check_branch(const ZydisDecodedInstruction &decoded, const ZydisDecodedOperand &operand, uint32_t offset,
			 Instruction &out)
{
	if (decoded.raw.prefix_count != 0)
		return "a branch with a prefix";
	if (operand.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !operand.imm.is_relative)
		return "an indirect or far branch";
	out.flow = decoded.mnemonic == ZYDIS_MNEMONIC_JMP ? Flow::kJump : Flow::kBranch;
	/* Wraps, past the image's end, for a target below its start. */
	out.target = offset + decoded.length + uint32_t(operand.imm.value.s);
	return nullptr;
}

} // namespace

bool start_reading(InstructionReader &reader, const Image &image, const Contract &contract)
{
	reader.image = &image;
	reader.contract = &contract;
	return ZYAN_SUCCESS(ZydisDecoderInit(&reader.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
}

const char *read_instruction(InstructionReader &reader, uint32_t offset, Instruction &out)
{
	static constexpr uint8_t kEndbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const std::span<const uint8_t> bytes = reader.image->bytes;
	ZydisDecodedInstruction &decoded = reader.decoded;
	ZydisDecoderContext context;
	uint32_t number;

	out = Instruction{.offset = offset};
	if (match_exit(reader, offset, out, number))
		return number < reader.image->exits.size() ? nullptr : "an exit number without an exit";
	if (match_poll(reader, offset, out))
		return nullptr;

	out = Instruction{.offset = offset};
	if (offset == 0) {
		out.length = sizeof(kEndbr64);
		return Bytes(bytes, 0).take(kEndbr64) ? nullptr : "no endbr64 at the start";
	}
	if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&reader.decoder, &context, &bytes[offset], bytes.size() - offset, &decoded)))
		return "not an instruction";
	out.length = decoded.length;

	const Rule &allowed = rule(uint16_t(decoded.mnemonic));
	if (const char *refused = why(allowed))
		return refused;
	if (ZYAN_FAILED(ZydisDecoderDecodeOperands(&reader.decoder, &context, &decoded, reader.operands, decoded.operand_count)))
		return "not an instruction";
	if (const char *refused = check_encoding(reader, allowed.kind))
		return refused;
	if (const char *refused = check_prefixes(decoded, allowed.kind))
		return refused;
	if (allowed.kind == Kind::kBranch)
		if (const char *refused = check_branch(decoded, reader.operands[0], offset, out))
			return refused;

	/* 90, 0f 1f /0: the operand, if any, is never touched. Other hint space is no nop everywhere. */
	if (decoded.mnemonic == ZYDIS_MNEMONIC_NOP) {
		const bool one_byte = decoded.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && decoded.opcode == 0x90;
		const bool long_nop = decoded.opcode_map == ZYDIS_OPCODE_MAP_0F && decoded.opcode == 0x1f && decoded.raw.modrm.reg == 0;
		return one_byte || long_nop ? nullptr : "a reserved nop";
	}

	out.may_fault = allowed.raises;
	out.vector = allowed.kind == Kind::kVector;
	bool memory = false;
	for (uint8_t i = 0; i < decoded.operand_count; i++) {
		const ZydisDecodedOperand &operand = reader.operands[i];
		const char *refused = nullptr;

		switch (operand.type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			refused = check_register(reader, operand, allowed.kind, out);
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			refused = memory ? "two memory operands" : check_memory(operand, decoded, allowed.kind, out);
			memory = true;
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			break;
		default:
			refused = "a far pointer";
		}
		if (refused)
			return refused;
	}

	switch (decoded.mnemonic) {
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR:
		/* Of a zero they leave the result as it was. */
		out.reads |= out.writes;
		break;
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTC:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTS:
		/* The register's high bits would move the address. */
		if (memory && !is_immediate(reader.operands[1]))
			return "a bit string in memory";
		break;
	default:
		break;
	}
	const bool locked = (decoded.attributes & ZYDIS_ATTRIB_HAS_LOCK) || (decoded.mnemonic == ZYDIS_MNEMONIC_XCHG && memory);
	if (locked && !reader.contract->locked_accesses)
		return "a locked access on a machine where a split lock is fatal";

	find_effect(reader, out);
	return nullptr;
}

} // namespace ub::sfi
