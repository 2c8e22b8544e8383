// SPDX-License-Identifier: GPL-2.0
/* From Capstone's records to what the oracle keeps: see oracle_insn.h. */
#include "oracle_insn.h"

#include <cstring>
#include <initializer_list>

namespace host {
namespace {

struct Named {
	int number;
	unsigned int bytes;
};

/* A general register by any of its names. */
Named general(unsigned int reg)
{
	static constexpr x86_reg kNames[16][4] = {
		{X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL},
		{X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL},
		{X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL},
		{X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL},
		{X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL},
		{X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL},
		{X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL},
		{X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL},
		{X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B},
		{X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B},
		{X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B},
		{X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B},
		{X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B},
		{X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B},
		{X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B},
		{X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B},
	};
	for (int i = 0; i < 16; i++)
		for (unsigned int width = 0; width < 4; width++)
			if (kNames[i][width] == reg)
				return {i, 8u >> width};
	switch (reg) {
	case X86_REG_AH: return {0, 1};
	case X86_REG_CH: return {1, 1};
	case X86_REG_DH: return {2, 1};
	case X86_REG_BH: return {3, 1};
	case X86_REG_INVALID: return {kNoGpr, 0};
	case X86_REG_RIP:
	case X86_REG_EIP: return {kRipGpr, 8};
	default: return {kOtherRegister, 0};
	}
}

bool starts(const char *text, std::initializer_list<const char *> words)
{
	for (const char *word : words)
		if (!strncmp(text, word, strlen(word)))
			return true;
	return false;
}

bool is(const char *text, std::initializer_list<const char *> words)
{
	for (const char *word : words)
		if (!strcmp(text, word))
			return true;
	return false;
}

/* By names of the manual: what DESIGN keeps out of images whatever its operands are. */
const char *why_forbidden(csh capstone, const cs_insn &insn)
{
	const char *name = insn.mnemonic;

	/* 66 REX.W 0f ae /6 is clwb. Capstone 4 forgets the prefix. */
	if (is(name, {"xsaveopt64"}) && insn.detail->x86.prefix[2] == 0x66)
		return nullptr;
	/* Programs may have it. Capstone 4 counts it among the privileged, with a REX prefix too. */
	if (is(name, {"rdtscp"}))
		return nullptr;
	for (uint8_t group : {CS_GRP_PRIVILEGE, CS_GRP_CALL, CS_GRP_RET, CS_GRP_INT, CS_GRP_IRET})
		if (cs_insn_group(capstone, &insn, group))
			return "a privileged or far instruction, a call, a return or an interrupt";
	if (starts(name, {"pushf", "popf", "push", "pop"}) && !starts(name, {"popcnt"}))
		return "the kernel's stack or flags";
	if (starts(name, {"rdfs", "rdgs", "wrfs", "wrgs", "swapgs", "lfs", "lgs", "lss", "sgdt", "sidt", "sldt", "str", "smsw",
			  "lar", "lsl", "verr", "verw", "clac", "stac", "cli", "sti", "hlt", "rdpmc", "rdpru",
			  "cpuid", "xsave", "xrstor", "fxsave", "fxrstor", "xgetbv", "xsetbv", "rdpkru",
			  "wrpkru", "invlpg", "invpcid", "monitor", "mwait", "umonitor", "umwait", "tpause", "movdir",
			  "enqcmd", "xbegin", "xend", "xabort", "xtest", "vmcall", "vmmcall", "vmfunc", "cldemote", "clzero", "syscall", "sysenter", "sysret", "sysexit", "in", "out", "enter",
			  "leave", "xlat", "maskmov", "vmaskmovdqu", "vgather", "vpgather", "vscatter", "vpscatter",
			  "movs", "cmps", "stos", "lods", "scas", "loop", "jcxz", "jecxz", "ud", "int", "icebp", "emms"}) &&
	    !starts(name, {"inc", "insert", "movsx", "movshdup", "movsldup", "cmpsd", "cmpss", "movsd", "movss"}))
		return "an instruction that shows or changes more than the program's own";
	for (uint8_t i = 0; i < 2; i++)
		if (is(name, {"movsd", "cmpsd"}) && insn.detail->x86.op_count > i &&
		    insn.detail->x86.operands[i].type == X86_OP_MEM && insn.detail->x86.opcode[0] >= 0xa4 &&
		    insn.detail->x86.opcode[0] <= 0xa7)
			return "a string instruction";
	if (is(name, {"fnstcw"}))
		return nullptr;
	if (insn.detail->x86.opcode[0] >= 0xd8 && insn.detail->x86.opcode[0] <= 0xdf && name[0] == 'f')
		return "x87";
	return nullptr;
}

/* May raise without touching memory: #DE, or #XM once MXCSR unmasks it. */
bool may_raise(const char *name)
{
	if (is(name, {"div", "idiv"}))
		return true;
	const char *v = name[0] == 'v' ? name + 1 : name;
	const size_t length = strlen(v);
	const bool floating = length > 2 && (!strcmp(v + length - 2, "ps") || !strcmp(v + length - 2, "pd") ||
					     !strcmp(v + length - 2, "ss") || !strcmp(v + length - 2, "sd"));
	if (starts(v, {"cvt", "comis", "ucomis", "round"}))
		return true;
	return floating && starts(v, {"add", "sub", "mul", "div", "min", "max", "sqrt", "cmp", "hadd", "hsub", "dp", "fmadd",
				      "fmsub", "fnmadd", "fnmsub"});
}

void take_memory(const cs_insn &insn, const cs_x86_op &op, OracleInsn &out)
{
	const Named base = general(op.mem.base), index = general(op.mem.index);

	out.displacement = op.mem.disp;
	out.scale = uint8_t(op.mem.scale);
	out.bytes = op.size ? op.size : 64;
	out.base = int8_t(base.number);
	out.index = int8_t(index.number);
	out.address32 = insn.detail->x86.addr_size == 4;
	for (int r : {base.number, index.number})
		if (r >= 0)
			out.reads |= uint16_t(1u << r);
	/* Of an EVEX form without an index Capstone 4 makes one of a vector register. */
	if (index.number == kOtherRegister && !strstr(insn.mnemonic, "gather") && !strstr(insn.mnemonic, "scatter"))
		out.index = kNoGpr;
	else if (base.number == kOtherRegister || index.number == kOtherRegister)
		out.forbidden = "an address with lanes";
	if (insn.id == X86_INS_LEA || insn.id == X86_INS_NOP)
		return;
	if (op.mem.segment == X86_REG_FS)
		out.fs = true;
	else if (op.mem.segment == X86_REG_GS)
		out.forbidden = "an access through gs";
	if (out.access)
		out.forbidden = "two memory operands";
	out.access = true;
}

/* What the few instructions do of which more is known than which registers they write. */
void take_meaning(const cs_insn &insn, OracleInsn &out)
{
	const cs_x86 &x86 = insn.detail->x86;
	const auto reg = [&](unsigned int i) {
		return i < x86.op_count && x86.operands[i].type == X86_OP_REG ? general(x86.operands[i].reg) : Named{kNoGpr, 0};
	};
	const auto immediate = [&](unsigned int i) { return i < x86.op_count && x86.operands[i].type == X86_OP_IMM; };
	const auto memory = [&](unsigned int i) { return i < x86.op_count && x86.operands[i].type == X86_OP_MEM; };
	const Named to = reg(0), from = reg(1);
	const bool wide = to.number >= 0 && to.bytes == 8;

	out.to = int8_t(to.number);
	out.to_bytes = uint8_t(to.bytes);
	switch (insn.id) {
	case X86_INS_MOV:
	case X86_INS_MOVABS:
		if (memory(0) && from.number >= 0) {
			out.does = OracleInsn::kStore;
			out.from = int8_t(from.number);
		} else if (to.number >= 0 && to.bytes >= 4 && immediate(1)) {
			out.does = OracleInsn::kConstant;
			out.value = to.bytes == 8 ? x86.operands[1].imm : int64_t(uint32_t(x86.operands[1].imm));
		} else if (wide && from.number >= 0) {
			out.does = OracleInsn::kMove;
			out.from = int8_t(from.number);
		} else if (to.number >= 0 && to.bytes >= 4 && memory(1)) {
			out.does = OracleInsn::kLoad;
		}
		break;
	case X86_INS_LEA:
		if (to.number >= 0 && to.bytes >= 4)
			out.does = OracleInsn::kLea;
		break;
	case X86_INS_AND:
		if (wide && from.number >= 0) {
			out.does = OracleInsn::kAnd;
			out.from = int8_t(from.number);
		}
		break;
	case X86_INS_PDEP:
		if (wide && from.number >= 0 && reg(2).number >= 0) {
			out.does = OracleInsn::kDeposit;
			out.from = int8_t(from.number);
			out.mask = int8_t(reg(2).number);
		}
		break;
	case X86_INS_BTR:
		if (wide && immediate(1)) {
			out.does = OracleInsn::kResetBit;
			out.value = x86.operands[1].imm & 63;
		}
		break;
	case X86_INS_ADD:
	case X86_INS_SUB:
		if (wide && immediate(1)) {
			out.does = OracleInsn::kAdd;
			out.value = insn.id == X86_INS_ADD ? x86.operands[1].imm : -x86.operands[1].imm;
		}
		break;
	case X86_INS_INC:
	case X86_INS_DEC:
		if (wide) {
			out.does = OracleInsn::kAdd;
			out.value = insn.id == X86_INS_INC ? 1 : -1;
		}
		break;
	default:
		break;
	}
}

/* An EVEX form of registers alone has six bytes, and one for an immediate. Capstone 4 takes
 * one more where a scalar's rounding is named. */
uint8_t length_of(const cs_insn &insn)
{
	const cs_x86 &x86 = insn.detail->x86;
	bool immediate = false;

	for (uint8_t i = 0; i < x86.op_count; i++)
		immediate |= x86.operands[i].type == X86_OP_IMM;
	const bool registers = insn.bytes[0] == 0x62 && insn.size > 5 && insn.bytes[5] >= 0xc0;
	return uint8_t(registers && !immediate && x86.avx_rm != X86_AVX_RM_INVALID ? 6 : insn.size);
}

} // namespace

OracleInsn oracle_insn(csh capstone, const cs_insn &insn)
{
	const cs_x86 &x86 = insn.detail->x86;
	OracleInsn out;

	out.readable = true;
	out.length = length_of(insn);
	out.text = std::string(insn.mnemonic) + " " + insn.op_str;
	out.forbidden = why_forbidden(capstone, insn);
	out.raises = may_raise(insn.mnemonic);
	if (cs_insn_group(capstone, &insn, CS_GRP_JUMP)) {
		if (x86.op_count != 1 || x86.operands[0].type != X86_OP_IMM || x86.prefix[2] == 0x66)
			out.forbidden = "an indirect or cut off branch";
		else
			out.value = x86.operands[0].imm - insn.size;
		out.does = insn.id == X86_INS_JMP ? OracleInsn::kJump : OracleInsn::kBranch;
		return out;
	}

	for (uint8_t i = 0; i < x86.op_count; i++)
		if (x86.operands[i].type == X86_OP_MEM)
			take_memory(insn, x86.operands[i], out);

	cs_regs read, written;
	uint8_t reads = 0, writes = 0;
	cs_regs_access(capstone, &insn, read, &reads, written, &writes);
	for (uint8_t i = 0; i < reads; i++)
		if (const Named r = general(read[i]); r.number >= 0)
			out.reads |= uint16_t(1u << r.number);
	const auto write = [&](unsigned int reg) {
		const Named r = general(reg);
		if (r.number < 0)
			return;
		out.writes |= uint16_t(1u << r.number);
		if (r.bytes == 4)
			out.writes32 |= uint16_t(1u << r.number);
		if (r.bytes < 4)
			out.reads |= uint16_t(1u << r.number);
	};
	for (uint8_t i = 0; i < writes; i++)
		write(written[i]);
	/* Their only operand is a source. */
	const bool implicit = x86.op_count == 1 && is(insn.mnemonic, {"mul", "imul", "div", "idiv"});
	const bool compares = implicit || is(insn.mnemonic, {"cmp", "test", "bt", "nop", "comiss", "comisd", "ucomiss", "ucomisd", "vcomiss",
						 "vcomisd", "vucomiss", "vucomisd", "ptest", "vptest"});
	if (x86.op_count && x86.operands[0].type == X86_OP_REG && !compares)
		write(x86.operands[0].reg);
	if (x86.op_count > 1 && x86.operands[1].type == X86_OP_REG && is(insn.mnemonic, {"xchg", "xadd", "mulx"}))
		write(x86.operands[1].reg);
	if (starts(insn.mnemonic, {"cmov", "bsf", "bsr"})) {
		out.reads |= out.writes;
		if (insn.mnemonic[0] == 'b')
			out.writes32 = 0;
	}
	if (starts(insn.mnemonic, {"movzx"}))
		out.writes32 |= out.writes;
	/* What a nop names it does not use. */
	if (insn.id == X86_INS_NOP)
		out.reads = 0;
	if (insn.id != X86_INS_NOP && (out.writes | out.reads) & (1u << 4)) {
		/* rsp is a base, and nothing else. */
		bool as_operand = out.writes & (1u << 4);
		for (uint8_t i = 0; i < x86.op_count; i++)
			as_operand |= x86.operands[i].type == X86_OP_REG && general(x86.operands[i].reg).number == 4;
		if (as_operand || !out.access)
			out.forbidden = "the kernel's stack pointer as an operand";
	}
	for (uint8_t i = 0; i < x86.op_count; i++)
		out.stores |= x86.operands[i].type == X86_OP_MEM && out.access && !compares &&
			      (i == 0 || insn.id == X86_INS_XCHG);
	for (uint8_t i = 0; i < x86.op_count; i++)
		if (x86.operands[i].type == X86_OP_MEM && i == 0 && is(insn.mnemonic, {"bt", "bts", "btr", "btc"}) &&
		    x86.op_count > 1 && x86.operands[1].type == X86_OP_REG)
			out.forbidden = "a bit string in memory";
	for (uint8_t i = 0; i < x86.op_count; i++)
		if (x86.operands[i].type == X86_OP_REG)
			for (x86_reg bad : {X86_REG_CS, X86_REG_DS, X86_REG_ES, X86_REG_FS, X86_REG_GS, X86_REG_SS, X86_REG_RIP})
				if (x86.operands[i].reg == bad)
					out.forbidden = "a segment register or rip as an operand";
	if (x86.operands[0].type == X86_OP_REG && x86.op_count &&
	    ((x86.operands[0].reg >= X86_REG_CR0 && x86.operands[0].reg <= X86_REG_CR15) ||
	     (x86.operands[0].reg >= X86_REG_DR0 && x86.operands[0].reg <= X86_REG_DR15)))
		out.forbidden = "a control or debug register";
	out.hint = starts(insn.mnemonic, {"prefetch"});
	take_meaning(insn, out);
	return out;
}

} // namespace host
