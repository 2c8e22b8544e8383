/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Assembler: the few instructions that guards, stack and control flow are made of, and
 * labels. Writes to a buffer in the arena for a final address. The first overflow
 * sticks and is reported once, so that emission reads straight.
 *
 * All memory forms take a base register and a displacement; registers are physical.
 */
#pragma once

#include <span>

#include "base/address.h"
#include "base/arena.h"
#include "translator/insn.h"

namespace ub::translator {

inline constexpr Gpr kScratch = kR9;	/* free between any two guest instructions */
inline constexpr Gpr kMask = kR10;
inline constexpr Gpr kStackPointer = kR11;	/* the user's rsp */
inline constexpr Gpr kFrame = kRsp;	/* the frame's base: sfi/frame.h */

/* A place in the image that branches name before or after it is bound. */
struct Label {
	uint32_t id = ~uint32_t(0);
};

class Assembler {
public:
	Assembler(Arena &arena, KernelAddr base, uint32_t capacity, uint32_t labels);

	uint32_t here() const { return size_; }
	KernelAddr base() const { return base_; }
	std::span<const uint8_t> bytes() const { return {bytes_, size_}; }
	/* Something did not fit, or a branch has no target in reach. */
	bool overflow() const { return overflow_; }

	Label label();
	void bind(Label label);
	bool bound(Label label) const { return place_of(label) != kUnbound; }
	uint32_t place_of(Label label) const { return label.id < labels_.size() ? labels_[label.id] : kUnbound; }
	/* Makes branches short whose labels turned out to be near, and writes the displacements of
	 * those that were ahead of their labels, and of exits. */
	void link(KernelAddr leave);
	/* Where link() has moved to what was at `offset`. Of ascending offsets, `move` being 0 before the first. */
	uint32_t moved(uint32_t offset, uint32_t &move) const;

	void raw(const uint8_t *bytes, size_t count);
	void endbr64();

	void mov(Gpr to, Gpr from);
	void mov32(Gpr to, Gpr from);
	void mov_imm(Gpr to, uint64_t value);
	void load(Gpr to, Gpr base, int32_t disp);
	void load32(Gpr to, Gpr base, int32_t disp);
	void store(Gpr base, int32_t disp, Gpr from);
	void store_imm(Gpr base, int32_t disp, int32_t value);	/* sign-extended to 64 bits */
	/* Of 1, 2, 4 or 8 bytes; the rest of a register narrower than 4 stays. */
	void load_part(uint8_t bytes, Gpr to, Gpr base, int32_t disp);
	void load_zero(uint8_t bytes, Gpr to, Gpr base, int32_t disp);	/* zero-extended */
	void store_part(uint8_t bytes, Gpr base, int32_t disp, Gpr from);
	void compare_part(uint8_t bytes, Gpr reg, Gpr base, int32_t disp);	/* cmp reg, [base + disp] */
	void load_absolute(Gpr to, int32_t address);
	void load_fs(Gpr to, int32_t disp);
	/* Neither base nor index is required; index may not be rsp. */
	void lea(Gpr to, Gpr base, Gpr index, uint8_t scale, int32_t disp);
	void lea32(Gpr to, Gpr base, Gpr index, uint8_t scale, int32_t disp);
	void and_(Gpr to, Gpr from);
	void add_slot(Gpr to, int32_t slot);	/* add to, [rsp + slot] */
	void rorx(Gpr to, Gpr from, uint8_t count);
	void not_(Gpr r);
	void movzx(Gpr to, Gpr from, uint8_t bytes);	/* of 1 or 2 bytes; of rax to rbx */
	void pdep(Gpr to, Gpr from, Gpr mask);
	void pext32(Gpr to, Gpr from, Gpr mask);
	void shrx(Gpr to, Gpr from, Gpr count);
	void shlx(Gpr to, Gpr from, Gpr count);
	void shr_imm(Gpr to, uint8_t count);
	void test_imm32(Gpr base, int32_t disp, uint32_t value);	/* of a dword in memory */

	void jmp(Label to);
	/* Always with a 32-bit displacement. */
	void jmp_near(Label to);
	void jcc_near(uint8_t condition, Label to);
	/* mov r9d, number; jmp leave */
	void exit_stub(uint32_t number);
	void jcc(uint8_t condition, Label to);
	void jrcxz(Label to);	/* within 127 bytes, ahead */

private:
	static constexpr uint32_t kUnbound = ~uint32_t(0);
	enum class Reach : uint8_t {
		kByte,
		kNear,
		kShrinks,	/* near, and short if its label turns out to be in reach */
		kLeave,		/* near, to where exits go */
	};
	struct Fixup {
		uint32_t at;	/* of the displacement */
		uint32_t label;
		Reach reach;

		uint32_t end() const { return at + (reach == Reach::kByte ? 1 : 4); }
	};
	/* What link() has moved down: what was at `from` and behind it, up to the next. */
	struct Move {
		uint32_t from;
		uint32_t by;
	};

	void put(uint8_t byte);
	void put32(uint32_t value);
	void put64(uint64_t value);
	/* [REX] opcode ModRM [SIB] [disp] with a base register. */
	void memory(bool wide, uint8_t opcode, Gpr reg, Gpr base, int32_t disp);
	void memory_part(uint8_t bytes, uint8_t opcode, Gpr reg, Gpr base, int32_t disp);
	void modrm_base(Gpr reg, Gpr base, int32_t disp);
	void registers(bool wide, uint8_t opcode, Gpr reg, Gpr rm);
	void any_lea(bool wide, Gpr to, Gpr base, Gpr index, uint8_t scale, int32_t disp);
	void vex_bmi(uint8_t pp, bool wide, uint8_t opcode, Gpr reg, Gpr vvvv, Gpr rm);
	void branch(Label to, uint8_t short_opcode, uint8_t near_opcode, bool near_escape);
	void fix(Label to, Reach reach);
	bool in_short_reach(const Fixup &f) const;
	void shrink();

	uint8_t *bytes_;
	uint32_t size_ = 0;
	uint32_t capacity_;
	bool overflow_ = false;
	KernelAddr base_;
	Table<uint32_t> labels_;
	Table<uint32_t> bound_;		/* labels, by their places */
	Table<Fixup> fixups_;		/* by their places, too */
	Table<Move> moves_;
};

} // namespace ub::translator
