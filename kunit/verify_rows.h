/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rows for the verifier's cases: a piece of code, its assembly to read (Intel syntax;
 * labels are L0 …, `stub` is the exit stub) and the instructions in it that have a
 * fault entry. A row is verified as a whole image: endbr64, the code, one exit stub,
 * to which all fault entries lead.
 */
#pragma once

#include "cases.h"
#include "sfi/verify.h"

/* `poll` and `live poll` in the assembly, with the displacement to the stub; see
 * src/sfi/idioms.cc. */
#define POLL(to_stub) "\x4c\x8b\x4c\x24\x40\x41\xf7\x01\x0e\x00\x02\x00\x0f\x85" to_stub
#define LIVE_POLL(to_stub)                                                                  \
	"\x4c\x8b\x4c\x24\x40\x45\x8b\x09\x48\x89\x4c\x24\x18\xb9\x0e\x00\x02\x00"          \
	"\xc4\xe2\x32\xf5\xc9\xe3\x0a\x48\x8b\x4c\x24\x18\xe9" to_stub "\x48\x8b\x4c\x24\x18"

namespace ub::testing {

struct Code {
	const char *bytes;
	uint32_t count;

	template <uint32_t n>
	constexpr Code(const char (&literal)[n]) : bytes(literal), count(n - 1) {}
};

struct Faults {
	uint8_t count = 0;
	uint8_t at[8] = {};

	constexpr Faults() = default;
	template <typename... Offsets>
	constexpr Faults(int first, Offsets... more) : count(1 + sizeof...(more)), at{uint8_t(first), uint8_t(more)...}
	{
		static_assert(sizeof...(more) < 8);
	}
};

struct Row {
	const char *assembly;
	Code code;
	Faults faults = {};
};

enum class Machine : uint8_t { kFull, kBare, kAvx, kNoLocks, kLa57 };
enum class Fpu : uint8_t { kAny, kUsed, kUnused };

inline constexpr KernelAddr kCode{0xffffffffc0100000};
inline constexpr KernelAddr kLeave{0xffffffffc0080000};

inline sfi::Contract contract_of(Machine machine)
{
	return {
		.leave = kLeave,
		.poll_mask = 0x2000e,
		.mask_bit = uint8_t(machine == Machine::kLa57 ? 56 : 47),
		.locked_accesses = machine != Machine::kNoLocks,
		.avx = machine != Machine::kBare,
		.avx512 = machine != Machine::kBare && machine != Machine::kAvx,
	};
}

constexpr sfi::Exit exit_to(UserAddr ip)
{
	return {ip, ip, {}, sfi::ExitReason::kInstruction};
}

/* Bytes of an image under construction, in the case's scratch memory. */
class ImageBytes {
public:
	explicit ImageBytes(struct ub_case *test) : bytes_(static_cast<uint8_t *>(test->scratch)) {}

	void add(Code code)
	{
		for (uint32_t i = 0; i < code.count; i++)
			bytes_[count_++] = uint8_t(code.bytes[i]);
	}

	/* `mov r9d, number; jmp leave`. Return: its offset. */
	uint32_t add_stub(uint32_t number)
	{
		const uint32_t at = count_;

		add("\x41\xb9");
		add_u32(number);
		add("\xe9");
		add_u32(uint32_t(kLeave - (kCode + count_ + 4)));
		return at;
	}

	void add_u32(uint32_t value)
	{
		for (int shift = 0; shift < 32; shift += 8)
			bytes_[count_++] = uint8_t(value >> shift);
	}

	uint32_t count() const { return count_; }
	std::span<const uint8_t> span() const { return {bytes_, count_}; }

private:
	uint8_t *bytes_;
	uint32_t count_ = 0;
};

/* Verifies with the scratch memory behind the first 4 MiB. */
inline Result<sfi::VerifiedImage> verify_image(struct ub_case *test, const sfi::Image &image, const sfi::Contract &contract,
					       sfi::Refusal *refusal)
{
	Arena arena = scratch_arena(test, size_t(16) << 20, size_t(4) << 20);

	return sfi::verify(image, contract, arena, refusal);
}

inline Result<sfi::VerifiedImage> verify_row(struct ub_case *test, const Row &row, Machine machine, sfi::Refusal *refusal)
{
	static constexpr sfi::Exit kExits[1] = {exit_to(UserAddr(0x401000))};
	sfi::FaultEntry faults[8];
	ImageBytes bytes(test);

	bytes.add("\xf3\x0f\x1e\xfa");
	const uint32_t start = bytes.count();
	bytes.add(row.code);
	const uint32_t stub = bytes.add_stub(0);
	for (int i = 0; i < row.faults.count; i++)
		faults[i] = {.instruction = start + row.faults.at[i], .stub = stub};
	return verify_image(test, {kCode, bytes.span(), {faults, row.faults.count}, kExits}, contract_of(machine), refusal);
}

inline bool same_text(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

template <size_t n>
void accept_all(struct ub_case *test, const Row (&rows)[n], Machine machine = Machine::kFull, Fpu fpu = Fpu::kAny)
{
	for (const Row &row : rows) {
		sfi::Refusal refusal;
		auto verified = verify_row(test, row, machine, &refusal);

		if (!verified) {
			test->note(test, row.assembly);
			test->note(test, refusal.why);
		}
		CHECK(verified);
		CHECK(fpu == Fpu::kAny || verified->uses_fpu() == (fpu == Fpu::kUsed));
	}
}

template <size_t n>
void refuse_all(struct ub_case *test, const Row (&rows)[n], const char *why, Machine machine = Machine::kFull)
{
	for (const Row &row : rows) {
		sfi::Refusal refusal;
		auto verified = verify_row(test, row, machine, &refusal);

		if (verified || !same_text(refusal.why, why)) {
			test->note(test, row.assembly);
			test->note(test, verified ? "accepted" : refusal.why);
		}
		CHECK(!verified);
		CHECK_EQ(verified.fault(), Fault::kRejected);
		CHECK(same_text(refusal.why, why));
	}
}

} // namespace ub::testing
