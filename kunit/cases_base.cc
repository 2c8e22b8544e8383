/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cases of src/base: the arena and its tables, results and faults, addresses. All
 * other stages lean on these few promises.
 */
#include "cases.h"

#include "base/address.h"
#include "base/arena.h"
#include "base/result.h"

namespace {

using ub::Arena;
using ub::Fault;
using ub::Result;
using ub::Table;
using ub::UserAddr;

struct alignas(64) Line {
	unsigned char bytes[64];
};

Result<int> half_of(int value)
{
	if (value % 2)
		return Fault::kTooBig;
	return value / 2;
}

Result<int> quarter_of(int value)
{
	const int half = TRY(half_of(value));
	return half_of(half);
}

bool same_text(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

UB_CASE(arena, hands_out_aligned_zeroed_memory)
{
	auto *dirty = static_cast<unsigned char *>(test->scratch);
	for (int i = 0; i < 4096; i++)
		dirty[i] = 0xa5;

	Arena arena(dirty, 4096);
	CHECK(arena.make<char>());
	uint64_t *word = arena.make<uint64_t>();
	CHECK(word);
	CHECK_EQ(uintptr_t(word) % alignof(uint64_t), 0);
	CHECK_EQ(*word, 0);
	Line *lines = arena.make<Line>(3);
	CHECK(lines);
	CHECK_EQ(uintptr_t(lines) % 64, 0);
	for (int i = 0; i < 3; i++)
		for (unsigned char byte : lines[i].bytes)
			CHECK_EQ(byte, 0);
	CHECK(reinterpret_cast<unsigned char *>(lines + 3) <= dirty + 4096);
	CHECK(!arena.exhausted());
}

UB_CASE(arena, remembers_exhaustion)
{
	Arena arena(test->scratch, 64);

	CHECK(arena.make<uint64_t>(8));
	CHECK(!arena.exhausted());
	CHECK(!arena.make<char>());
	CHECK(arena.exhausted());
}

UB_CASE(arena, refuses_overflowing_counts)
{
	Arena arena(test->scratch, 4096);

	CHECK(!arena.make<uint64_t>(~size_t(0)));
	CHECK(!arena.make<uint64_t>(~size_t(0) / 8 + 2));
	CHECK(arena.exhausted());
	CHECK(arena.make<uint64_t>());
}

UB_CASE(arena, empty_hands_out_nothing)
{
	Arena arena;

	CHECK(!arena.make<char>());
	CHECK(arena.exhausted());
}

UB_CASE(table, keeps_elements_in_order)
{
	Arena arena(test->scratch, 4096);
	Table<int> table(arena, 10);

	CHECK(table.empty());
	for (int i = 0; i < 10; i++)
		CHECK_EQ(*table.push_back(i * i), i * i);
	CHECK_EQ(table.size(), 10);
	CHECK_EQ(table.back(), 81);
	int expected = 0;
	for (int value : table) {
		CHECK_EQ(value, expected * expected);
		expected++;
	}
	CHECK_EQ(table.span().size(), 10);
	table.resize_down(3);
	CHECK_EQ(table.back(), 4);
	table.resize_down(7);
	CHECK_EQ(table.size(), 3);
	CHECK(!table.full());
}

UB_CASE(table, remembers_a_dropped_element)
{
	Arena arena(test->scratch, 4096);
	Table<int> table(arena, 2);

	CHECK(table.push_back(1));
	CHECK(table.push_back(2));
	CHECK(!table.full());
	CHECK(!table.push_back(3));
	CHECK(table.full());
	CHECK_EQ(table.size(), 2);
	table.clear();
	CHECK(!table.full());
	CHECK(table.push_back(4));
	CHECK_EQ(table[0], 4);
}

UB_CASE(table, without_memory_is_full)
{
	Arena arena(test->scratch, 8);
	Table<uint64_t> table(arena, 2);

	CHECK(arena.exhausted());
	CHECK_EQ(table.capacity(), 0);
	CHECK(!table.push_back(1));
	CHECK(table.full());
}

UB_CASE(result, carries_a_value)
{
	Result<int> result = half_of(84);

	CHECK(result);
	CHECK_EQ(*result, 42);
	*result += 1;
	CHECK_EQ(*result, 43);
}

UB_CASE(result, carries_a_fault)
{
	Result<int> result = half_of(3);

	CHECK(!result);
	CHECK_EQ(result.fault(), Fault::kTooBig);
}

UB_CASE(result, try_returns_the_fault)
{
	CHECK_EQ(*quarter_of(20), 5);
	CHECK_EQ(quarter_of(5).fault(), Fault::kTooBig);
	CHECK_EQ(quarter_of(6).fault(), Fault::kTooBig);
}

UB_CASE(result, faults_have_distinct_keys)
{
	static constexpr Fault kFaults[] = {
#define FAULT(name, key, sentence) Fault::name,
#include "base/fault.inc"
#undef FAULT
	};

	for (Fault a : kFaults) {
		CHECK(!same_text(key(a), "?"));
		CHECK(!same_text(sentence(a), "?"));
		for (Fault b : kFaults)
			CHECK_EQ(same_text(key(a), key(b)), a == b);
	}
}

UB_CASE(address, halves)
{
	CHECK(UserAddr(0).in_user_half());
	CHECK(UserAddr(0x00007fffffffffff).in_user_half());
	CHECK(!UserAddr(0x0000800000000000).in_user_half());
	CHECK(!UserAddr(0xffff800000000000).in_user_half());
	CHECK(!UserAddr(0x8000000000001000).in_user_half());
}

UB_CASE(address, distances)
{
	const UserAddr base(0x1000);

	CHECK_EQ(base + 0x10, UserAddr(0x1010));
	CHECK_EQ(base + -0x10, UserAddr(0xff0));
	CHECK_EQ(base - UserAddr(0x1010), -0x10);
	CHECK(base < UserAddr(0x1001));
}

} // namespace
