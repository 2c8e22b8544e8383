// SPDX-License-Identifier: GPL-2.0
/*
 * The verifier on images that are wrong, or right, as a whole: their start and end,
 * exits, fault entries, size, and the memory verification takes.
 */
#include "verify_rows.h"

namespace {

using namespace ub::testing;
using ub::Fault;
using ub::UserAddr;
using ub::sfi::Exit;
using ub::sfi::FaultEntry;
using ub::sfi::Image;
using ub::sfi::Refusal;

constexpr Exit kExit = exit_to(UserAddr(0x401000));
constexpr char kLandingPad[] = "\xf3\x0f\x1e\xfa";

/* endbr64; mov rax, [r11]; mov [r11], rax; stub */
struct TwoAccesses {
	ImageBytes bytes;
	uint32_t load, store, stub;

	explicit TwoAccesses(struct ub_case *test) : bytes(test)
	{
		bytes.add(kLandingPad);
		load = bytes.count();
		bytes.add("\x49\x8b\x03");
		store = bytes.count();
		bytes.add("\x49\x89\x03");
		stub = bytes.add_stub(0);
	}
};

void expect(struct ub_case *test, const Image &image, const char *why)
{
	Refusal refusal;
	auto verified = verify_image(test, image, contract_of(Machine::kFull), &refusal);

	if (!why) {
		if (!verified)
			test->note(test, refusal.why);
		CHECK(verified);
		return;
	}
	CHECK(!verified);
	CHECK_EQ(verified.fault(), Fault::kRejected);
	if (!same_text(refusal.why, why))
		test->note(test, refusal.why);
	CHECK(same_text(refusal.why, why));
}

UB_CASE(verify_shape, the_smallest_image)
{
	ImageBytes bytes(test);

	bytes.add(kLandingPad);
	bytes.add_stub(0);
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&kExit, 1}}, nullptr));
}

UB_CASE(verify_shape, begins_with_a_landing_pad)
{
	ImageBytes bytes(test);

	bytes.add_stub(0);
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&kExit, 1}}, "no endbr64 at the start"));
	CHECK_CALL(expect(test, {kCode, {}, {}, {&kExit, 1}}, "the image is empty or too long"));
}

UB_CASE(verify_shape, ends_in_a_jump)
{
	ImageBytes nop(test);

	nop.add(kLandingPad);
	nop.add("\x90");
	CHECK_CALL(expect(test, {kCode, nop.span(), {}, {&kExit, 1}}, "control runs past the end"));

	/* The stub cut short: its jump leads nowhere any more. */
	ImageBytes cut(test);
	cut.add(kLandingPad);
	const uint32_t stub = cut.add_stub(0);
	for (uint32_t bytes = stub + 1; bytes < cut.count(); bytes++) {
		Refusal refusal;
		CHECK(!verify_image(test, {kCode, cut.span().first(bytes), {}, {&kExit, 1}}, contract_of(Machine::kFull), &refusal));
	}
}

UB_CASE(verify_shape, exits_are_to_the_user_half)
{
	const Exit last = exit_to(UserAddr((uint64_t(1) << 47) - 1));
	const Exit beyond = exit_to(UserAddr(uint64_t(1) << 47));
	const Exit kernel = exit_to(UserAddr(0xffffffff81000000));
	ImageBytes bytes(test);

	bytes.add(kLandingPad);
	bytes.add_stub(0);
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&last, 1}}, nullptr));
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&beyond, 1}}, "an exit to an address outside the user half"));
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&kernel, 1}}, "an exit to an address outside the user half"));
}

UB_CASE(verify_shape, has_so_many_exits)
{
	auto *exits = reinterpret_cast<Exit *>(static_cast<char *>(test->scratch) + (24 << 20));
	ImageBytes bytes(test);

	bytes.add(kLandingPad);
	bytes.add_stub(ub::sfi::kMaxExits - 1);
	for (uint32_t i = 0; i <= ub::sfi::kMaxExits; i++)
		exits[i] = kExit;
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {exits, ub::sfi::kMaxExits}}, nullptr));
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {exits, ub::sfi::kMaxExits + 1}}, "too many exits"));
}

UB_CASE(verify_shape, stubs_name_exits)
{
	ImageBytes bytes(test);

	bytes.add(kLandingPad);
	bytes.add_stub(0);
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {}}, "an exit number without an exit"));
	ImageBytes second(test);
	second.add(kLandingPad);
	second.add_stub(1);
	CHECK_CALL(expect(test, {kCode, second.span(), {}, {&kExit, 1}}, "an exit number without an exit"));
}

UB_CASE(verify_shape, only_stubs_leave)
{
	/* jmp leave */
	ImageBytes jump(test);
	jump.add(kLandingPad);
	jump.add("\xe9");
	jump.add_u32(uint32_t(kLeave - (kCode + jump.count() + 4)));
	CHECK_CALL(expect(test, {kCode, jump.span(), {}, {&kExit, 1}}, "a branch to what is not the start of an instruction"));

	/* jz leave */
	ImageBytes branch(test);
	branch.add(kLandingPad);
	branch.add("\x0f\x84");
	branch.add_u32(uint32_t(kLeave - (kCode + branch.count() + 4)));
	branch.add_stub(0);
	CHECK_CALL(expect(test, {kCode, branch.span(), {}, {&kExit, 1}}, "a branch to what is not the start of an instruction"));

	/* mov r9d, 0; nop; jmp leave */
	ImageBytes apart(test);
	apart.add(kLandingPad);
	apart.add("\x41\xb9");
	apart.add_u32(0);
	apart.add("\x90\xe9");
	apart.add_u32(uint32_t(kLeave - (kCode + apart.count() + 4)));
	CHECK_CALL(expect(test, {kCode, apart.span(), {}, {&kExit, 1}}, "a branch to what is not the start of an instruction"));

	/* mov r9d, 0; jmp leave + 1 */
	ImageBytes beside(test);
	beside.add(kLandingPad);
	beside.add("\x41\xb9");
	beside.add_u32(0);
	beside.add("\xe9");
	beside.add_u32(uint32_t(kLeave - (kCode + beside.count() + 4)) + 1);
	CHECK_CALL(expect(test, {kCode, beside.span(), {}, {&kExit, 1}}, "a branch to what is not the start of an instruction"));
}

UB_CASE(verify_shape, fault_entries)
{
	TwoAccesses image(test);
	const auto with = [&](std::span<const FaultEntry> faults) { return Image{kCode, image.bytes.span(), faults, {&kExit, 1}}; };
	const FaultEntry load = {image.load, image.stub}, store = {image.store, image.stub};
	const FaultEntry both[] = {load, store};
	const FaultEntry spare[] = {{0, image.stub}, load, store, {image.stub, image.stub}};
	const FaultEntry swapped[] = {store, load};
	const FaultEntry twice[] = {load, load, store};
	const FaultEntry inside[] = {load, {image.load + 1, image.stub}, store};
	const FaultEntry beyond[] = {load, store, {image.bytes.count(), image.stub}};
	const FaultEntry past_stub[] = {load, {image.store, image.stub + 6}};
	const FaultEntry to_code[] = {load, {image.store, image.load}};
	const FaultEntry to_nowhere[] = {load, {image.store, ~0u}};
	const char *missing = "an instruction that may fault without a fault entry";
	const char *misplaced = "a fault entry that is out of order or not at an instruction";
	const char *no_stub = "a fault entry that does not lead to an exit stub";

	CHECK_CALL(expect(test, with(both), nullptr));
	CHECK_CALL(expect(test, with(spare), nullptr));
	CHECK_CALL(expect(test, with({&load, 1}), missing));
	CHECK_CALL(expect(test, with({&store, 1}), missing));
	CHECK_CALL(expect(test, with(swapped), missing));
	CHECK_CALL(expect(test, with(twice), misplaced));
	CHECK_CALL(expect(test, with(inside), misplaced));
	CHECK_CALL(expect(test, with(beyond), misplaced));
	CHECK_CALL(expect(test, with(past_stub), no_stub));
	CHECK_CALL(expect(test, with(to_code), no_stub));
	CHECK_CALL(expect(test, with(to_nowhere), no_stub));
}

/* add rax, 0x12345678 over and over: as large as an image may be. */
UB_CASE(verify_shape, a_large_image)
{
	ImageBytes bytes(test);

	bytes.add(kLandingPad);
	while (bytes.count() + 6 + 11 <= ub::sfi::kImageMaxBytes)
		bytes.add("\x48\x05\x78\x56\x34\x12");
	bytes.add_stub(0);
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&kExit, 1}}, nullptr));

	while (bytes.count() <= ub::sfi::kImageMaxBytes)
		bytes.add("\x90");
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&kExit, 1}}, "the image is empty or too long"));
}

UB_CASE(verify_shape, an_instruction_a_byte)
{
	ImageBytes bytes(test);

	bytes.add(kLandingPad);
	for (int i = 0; i < 1000; i++)
		bytes.add("\x90");
	bytes.add_stub(0);
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&kExit, 1}}, nullptr));
}

/* jmp to the last block; each block polls and jumps to the one before it, so that what is
 * known takes a pass for every block to arrive. */
void add_backward_chain(ImageBytes &bytes, uint32_t blocks)
{
	constexpr uint32_t kBlock = 23;

	bytes.add(kLandingPad);
	bytes.add("\xe9");
	bytes.add_u32((blocks - 1) * kBlock + 11);
	const uint32_t stub = bytes.add_stub(0);
	for (uint32_t i = 0; i < blocks; i++) {
		const uint32_t start = bytes.count();

		bytes.add(POLL(""));
		bytes.add_u32(stub - (bytes.count() + 4));
		bytes.add("\xe9");
		bytes.add_u32((i ? start - kBlock : stub) - (bytes.count() + 4));
	}
}

UB_CASE(verify_shape, values_that_settle_too_late)
{
	ImageBytes bytes(test);

	add_backward_chain(bytes, 50);
	CHECK_CALL(expect(test, {kCode, bytes.span(), {}, {&kExit, 1}}, nullptr));

	ImageBytes longer(test);
	add_backward_chain(longer, 100);
	CHECK_CALL(expect(test, {kCode, longer.span(), {}, {&kExit, 1}}, "the values in registers do not become stable"));
}

UB_CASE(verify_shape, without_memory)
{
	TwoAccesses image(test);
	const FaultEntry faults[] = {{image.load, image.stub}, {image.store, image.stub}};
	const Image whole = {kCode, image.bytes.span(), faults, {&kExit, 1}};

	for (size_t bytes = 0; bytes < 160 << 10; bytes += 512) {
		ub::Arena arena = scratch_arena(test, bytes, 4 << 20);
		auto verified = ub::sfi::verify(whole, contract_of(Machine::kFull), arena);
		CHECK(verified || verified.fault() == Fault::kNoMemory);
		CHECK(verified || bytes < 128 << 10);
	}
}

} // namespace
