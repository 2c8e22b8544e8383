/* SPDX-License-Identifier: GPL-2.0 */
/* Cases of src/runtime that need no running image: the cache, the journal, the syscall table. */
#include "cases.h"

#include "runtime/cache.h"
#include "runtime/journal.h"

namespace {

using ub::Arena;
using ub::Extent;
using ub::UserAddr;
using ub::runtime::Cache;
using ub::runtime::Journal;
using ub::runtime::Translation;

constexpr uint64_t kPage = 4096;

/* `count` translations, the i-th starting at page i and made from that page. */
Translation *make_many(Arena &arena, Cache &cache, uint64_t count)
{
	Translation *all = arena.make<Translation>(count);
	Extent *pages = arena.make<Extent>(count);

	for (uint64_t i = 0; i < count; i++) {
		pages[i] = {UserAddr(i * kPage), UserAddr((i + 1) * kPage)};
		all[i].key = i * kPage + 0x123;
		all[i].sources = {&pages[i], 1};
		cache.insert(all[i]);
	}
	return all;
}

UB_CASE(cache, finds_what_was_inserted)
{
	Arena arena = ub::testing::scratch_arena(test);
	Cache *cache = arena.make<Cache>();
	Translation *all = make_many(arena, *cache, 2000);

	CHECK_EQ(cache->size(), 2000);
	for (uint64_t i = 0; i < 2000; i++) {
		CHECK(cache->may_have(all[i].start()));
		CHECK_EQ(cache->find(all[i].start()), &all[i]);
		CHECK(!cache->find(all[i].start() + 1));
	}
}

/* A thread's ip is whatever its sigreturn said, also the key of a bucket's end. */
UB_CASE(cache, never_finds_the_end_of_a_bucket)
{
	Arena arena = ub::testing::scratch_arena(test);
	Cache *cache = arena.make<Cache>();

	CHECK(!cache->find(UserAddr(~uint64_t(0))));
	CHECK(!cache->find(UserAddr(~uint64_t(0) >> 1)));
	Translation *one = arena.make<Translation>(1);
	one->key = UB_BUCKETS - 1;
	cache->insert(*one);
	CHECK_EQ(cache->find(one->start()), one);
	CHECK(!cache->find(UserAddr(~uint64_t(0))));
	CHECK(!cache->find(UserAddr(~uint64_t(0) >> 1)));
}

UB_CASE(cache, removes_one_by_its_start)
{
	Arena arena = ub::testing::scratch_arena(test);
	Cache *cache = arena.make<Cache>();
	Translation *all = make_many(arena, *cache, 600);

	CHECK_EQ(cache->remove(all[5].start()), &all[5]);
	CHECK(!cache->remove(all[5].start()));
	CHECK(!cache->find(all[5].start()));
	CHECK_EQ(cache->size(), 599);
	CHECK_EQ(cache->find(all[517].start()), &all[517]);
}

UB_CASE(cache, drops_all_made_from_a_range)
{
	Arena arena = ub::testing::scratch_arena(test);
	Cache *cache = arena.make<Cache>();
	Translation *all = make_many(arena, *cache, 100);
	int dropped = 0;

	/* The last byte of page 10 and the first of page 20. */
	for (Translation *gone = cache->remove_from(UserAddr(11 * kPage - 1), UserAddr(20 * kPage + 1)); gone;
	     gone = gone->retired_next)
		dropped++;
	CHECK_EQ(dropped, 11);
	CHECK(cache->find(all[9].start()));
	CHECK(!cache->find(all[10].start()));
	CHECK(!cache->find(all[20].start()));
	CHECK(cache->find(all[21].start()));
	CHECK(!cache->remove_from(UserAddr(11 * kPage), UserAddr(20 * kPage)));
}

/* Data beside code, at distances where a short cut might take one for the other. */
UB_CASE(cache, drops_nothing_else_and_misses_nothing)
{
	static constexpr uint64_t kCode = 0x7f12345f0000, kDistances[] = {1, kPage, 0xffff, 0x10000, 0x1ffffff, 0x2000000, 1ul << 40};
	Arena arena = ub::testing::scratch_arena(test);
	Cache *cache = arena.make<Cache>();
	Translation *one = arena.make<Translation>(1);
	Extent *source = arena.make<Extent>(1);
	auto drops = [&](uint64_t begin, uint64_t end) {
		if (!cache->size())
			cache->insert(*one);
		return cache->remove_from(UserAddr(begin), UserAddr(end)) == one;
	};

	*source = {UserAddr(kCode + 0xfff0), UserAddr(kCode + 0x20010)};
	one->key = kCode + 0xfff0;
	one->sources = {source, 1};
	for (uint64_t distance : kDistances) {
		CHECK(!drops(source->end.value + distance - 1, source->end.value + distance + kPage));
		CHECK(!drops(source->start.value - distance - kPage, source->start.value - distance + 1));
		CHECK(drops(source->end.value - 1, source->end.value + distance));
		CHECK(drops(source->start.value - distance, source->start.value + 1));
		CHECK(drops(source->start.value - distance, source->end.value + distance));
	}
	for (uint64_t inside = source->start.value; inside < source->end.value; inside += 0xfff)
		CHECK(drops(inside, inside + 1));
	CHECK(drops(0, ~uint64_t(0)));
	CHECK(!cache->remove_from(UserAddr(0), UserAddr(~uint64_t(0))));
}

UB_CASE(cache, a_reader_on_an_unlinked_one_walks_on)
{
	Arena arena = ub::testing::scratch_arena(test);
	Cache *cache = arena.make<Cache>();
	Translation *two = arena.make<Translation>(2);

	/* Two starts in one bucket: the later one is the chain's head. */
	two[0].key = 0x1000;
	two[1].key = 0x1000 ^ uint64_t(1) << 40;
	cache->insert(two[0]);
	cache->insert(two[1]);
	const ub_translation *reader = &two[1];
	CHECK_EQ(cache->remove(two[1].start()), &two[1]);
	CHECK_EQ(reader->next, &two[0]);
}

UB_CASE(journal, says_what_changed_since)
{
	Arena arena = ub::testing::scratch_arena(test);
	Journal *journal = arena.make<Journal>();
	Extent page{UserAddr(kPage), UserAddr(2 * kPage)};

	uint64_t before = journal->now();
	CHECK(!journal->changed(before, page));
	journal->record(UserAddr(2 * kPage), UserAddr(3 * kPage));
	CHECK(!journal->changed(before, page));
	journal->record(UserAddr(0), UserAddr(kPage + 1));
	CHECK(journal->changed(before, page));
	CHECK(!journal->changed(journal->now(), page));
}

UB_CASE(journal, forgets_on_the_safe_side)
{
	Arena arena = ub::testing::scratch_arena(test);
	Journal *journal = arena.make<Journal>();
	Extent page{UserAddr(kPage), UserAddr(2 * kPage)};
	uint64_t before = journal->now();

	for (int i = 0; i < 1000; i++)
		journal->record(UserAddr(0x10000000), UserAddr(0x10001000));
	CHECK(journal->changed(before, page));
}

UB_CASE(syscalls, the_table_refuses_what_it_does_not_know)
{
	const auto chains = [](unsigned nr) { return ub_syscalls.chains[nr]; };

	CHECK(chains(0));	/* read */
	CHECK(chains(17));	/* pread64 */
	CHECK(chains(232));	/* epoll_wait */
	CHECK(!chains(15));	/* rt_sigreturn */
	CHECK(!chains(56));	/* clone */
	CHECK(!chains(57));	/* fork */
	CHECK(!chains(59));	/* execve */
	CHECK(!chains(231));	/* exit_group */
	CHECK(!chains(435));	/* clone3 */
	for (unsigned nr = 470; nr < UB_SYSCALLS_MAX; nr++)
		CHECK(!chains(nr));
}

} // namespace
