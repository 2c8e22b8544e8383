/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A decoded guest instruction, in 100 bytes: its own bytes with the places of their
 * parts, what it reads and writes, and its kind. Zydis' records are ten times as
 * big and stay in the decoder. Every other stage works on these.
 *
 *	discover makes them → analyze, sanitize, emit read them
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/arena.h"

namespace ub::translator {

/* A general register by its number in the encoding. */
using Gpr = uint8_t;
inline constexpr Gpr kRax = 0, kRcx = 1, kRdx = 2, kRbx = 3, kRsp = 4, kRbp = 5, kR9 = 9, kR10 = 10, kR11 = 11;
inline constexpr Gpr kNoGpr = 0xff;

constexpr uint16_t bit(Gpr r) { return r < 16 ? uint16_t(1u << r) : uint16_t(0); }

/* The registers whose user values live in frame slots. */
constexpr bool is_slotted(Gpr r) { return r >= kR9 && r <= kR11; }

/* CF PF AF ZF SF OF: what a mask by `and` destroys. */
inline constexpr uint16_t kArithmeticFlags = 0x8d5;
inline constexpr uint16_t kCarryFlag = 0x001;

/* Where an instruction's encoding holds a register's number. */
enum class Field : uint8_t { kReg, kRm, kVvvv, kOpcode };

/* A general register named by the encoding, other than as part of an address. */
struct RegOperand {
	Gpr reg = kNoGpr;
	Field field = Field::kReg;
	uint8_t bytes = 0;
	bool needed = false;	/* its old value matters: read, or written in part or on a condition */
	bool written = false;

	bool operator==(const RegOperand &) const = default;
};

enum class Segment : uint8_t { kFlat, kFs, kGs };

/* The memory operand of the ModRM byte. */
struct MemOperand {
	bool present = false;
	bool written = false;
	bool address32 = false;	/* the effective address is cut to 32 bits */
	bool rip_relative = false;
	Segment segment = Segment::kFlat;
	Gpr base = kNoGpr;
	Gpr index = kNoGpr;
	uint8_t scale = 1;
	uint8_t bytes = 0;	/* of the access */
	int64_t disp = 0;	/* of rip-relative operands: the address */

	bool operator==(const MemOperand &) const = default;
	/* Neither base nor index: the address is known. */
	bool constant() const { return base == kNoGpr && index == kNoGpr; }
};

enum class Kind : uint8_t {
	kPlain,		/* data flow only; operands say what to do */
	kNothing,	/* has no effect a program could see: nop, endbr, prefetch */
	kLea,
	kPush,
	kPop,
	kLeave,
	kString,	/* movs, stos, lods, scas, cmps: `string` says which */
	kXlat,
	kJump,		/* direct */
	kBranch,	/* direct, on a flag condition */
	kCounted,	/* direct, on rcx: jrcxz, loop, loope, loopne */
	kCall,		/* direct */
	kReturn,
	kIndirectJump,
	kIndirectCall,
	kSyscall,
	kRefused,	/* always an exit; why says the reason */
	kVector,	/* as kRefused, but with Request::vectors it would not be */
};

enum class StringOp : uint8_t { kNone, kMovs, kCmps, kStos, kLods, kScas };
enum class Repeat : uint8_t { kOnce, kCount, kWhileEqual, kWhileUnequal };

enum class Encoding : uint8_t { kLegacy, kVex, kEvex };

inline constexpr size_t kMaxInsnBytes = 15;
inline constexpr size_t kMaxRegOperands = 4;

struct Insn {
	UserAddr address;
	uint64_t target = 0;		/* kJump, kBranch, kCounted, kCall: where to; plain immediates: the value */
	const char *why = nullptr;	/* kRefused: the reason, static storage */
	MemOperand mem;
	RegOperand regs[kMaxRegOperands];
	uint16_t mnemonic = 0;		/* ZydisMnemonic */
	uint16_t gpr_written = 0;	/* bit per general register, operands and implicit ones */
	uint16_t flags_read = 0;
	uint16_t flags_killed = 0;	/* arithmetic flags whose old value is gone for certain */
	uint16_t flags_written = 0;
	Kind kind = Kind::kRefused;
	Encoding encoding = Encoding::kLegacy;
	StringOp string = StringOp::kNone;
	Repeat repeat = Repeat::kOnce;
	uint8_t element_bytes = 0;	/* of a string */
	uint8_t reg_count = 0;
	uint8_t length = 0;
	uint8_t bytes[kMaxInsnBytes] = {};
	/* Offsets into bytes. Legacy prefixes end at prefix_end; a REX, VEX or EVEX prefix is there. */
	uint8_t prefix_end = 0;
	uint8_t opcode_at = 0;
	uint8_t modrm_at = 0;		/* 0: none */
	uint8_t disp_at = 0;
	uint8_t disp_bytes = 0;
	uint8_t tail_at = 0;		/* behind opcode, ModRM, SIB and displacement: the immediates */
	uint8_t condition = 0;		/* kBranch: the low four bits of its opcode */
	uint16_t pop_bytes = 0;		/* kReturn: the immediate */
	bool has_rex = false;
	bool idle_prefix = false;	/* has a prefix that means nothing, so it cannot be copied */
	bool high_byte = false;		/* names ah, bh, ch or dh, so no REX may be added */
	bool vector = false;		/* the rule table calls it one */
	bool needs_avx512 = false;
	bool may_raise = false;		/* other than by its memory operand: #DE, #XM, #UD */
	bool same_operands = false;	/* both registers are one: xor r, r */

	bool operator==(const Insn &) const = default;
	UserAddr next() const { return address + length; }
	bool has_immediate() const { return tail_at < length; }
};

class Decoder {
public:
	/* The decoder's state comes from the arena: it is too big for a kernel stack. */
	explicit Decoder(Arena &arena);
	~Decoder();
	Decoder(const Decoder &) = delete;
	Decoder &operator=(const Decoder &) = delete;

	/* Decodes the instruction whose first `count` bytes (at most 15) are given. False when
	 * they are not an instruction; an instruction that is never translated is kRefused. */
	bool decode(UserAddr address, const uint8_t *bytes, size_t count, Insn &insn);

private:
	struct State;
	State *state_;
};

} // namespace ub::translator
