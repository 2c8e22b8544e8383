// SPDX-License-Identifier: GPL-2.0
/*
 * Code memory and fault entries of the host library. As in the kernel, no page is
 * writable and executable at one address: a memory file is mapped read-only and
 * executable within reach of the program's text (images jump to ub_leave by rel32),
 * and written through a second mapping that is gone when ubk_code_write() returns.
 * Fault entries take effect through the tests' signal handler.
 */
#include "host.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

extern "C" const char ub_leave[];

namespace host {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kArenaBytes = size_t(64) << 20;
constexpr size_t kFaultImages = 4096;

struct CodeArena {
	int file = -1;
	uintptr_t base = 0;
	std::vector<bool> used;

	CodeArena()
	{
		file = memfd_create("ub-code", MFD_CLOEXEC);
		if (file < 0 || ftruncate(file, kArenaBytes))
			die("memfd");
		used.resize(kArenaBytes / kPage);

		/* Within ±1 GiB of the program's text, wherever there is room. */
		const uintptr_t text = reinterpret_cast<uintptr_t>(ub_leave) & ~uintptr_t(0xfffffff);
		for (intptr_t step = 1; step <= 4; step++)
			for (const intptr_t sign : {1, -1}) {
				const uintptr_t hint = text + uintptr_t(sign * step * 0x10000000);
				void *at = mmap(reinterpret_cast<void *>(hint), kArenaBytes, PROT_READ | PROT_EXEC,
						MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
				if (at != MAP_FAILED) {
					base = reinterpret_cast<uintptr_t>(at);
					write(base, nullptr, kArenaBytes);
					return;
				}
			}
		die("no room for code near the text");
	}

	[[noreturn]] static void die(const char *what)
	{
		perror(what);
		abort();
	}

	/* Writes bytes, or int3 where `bytes` is null. */
	void write(uintptr_t address, const void *bytes, size_t count)
	{
		const size_t offset = address - base, first = offset & ~(kPage - 1);
		const size_t length = offset + count - first;
		void *alias = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, off_t(first));
		if (alias == MAP_FAILED)
			die("mmap of the write alias");
		char *to = static_cast<char *>(alias) + (offset - first);
		if (bytes)
			memcpy(to, bytes, count);
		else
			memset(to, 0xcc, count);
		munmap(alias, length);
	}

	bool holds(uintptr_t address, size_t bytes) const
	{
		return address >= base && bytes <= kArenaBytes && address - base <= kArenaBytes - bytes;
	}
};

CodeArena &arena()
{
	static CodeArena instance;
	return instance;
}

std::map<uintptr_t, std::vector<ubk_fault_entry>> fault_entries;

} // namespace

size_t code_pages_in_use()
{
	return size_t(std::count(arena().used.begin(), arena().used.end(), true));
}

bool fix_up_fault(ucontext_t *context)
{
	auto &ip = context->uc_mcontext.gregs[REG_RIP];
	auto next = fault_entries.upper_bound(uintptr_t(ip));
	if (next == fault_entries.begin())
		return false;
	const auto &[code, entries] = *std::prev(next);
	const uint64_t offset = uint64_t(ip) - code;
	auto entry = std::lower_bound(entries.begin(), entries.end(), offset,
				      [](const ubk_fault_entry &e, uint64_t at) { return e.instruction < at; });
	if (entry == entries.end() || entry->instruction != offset)
		return false;
	ip = greg_t(code + entry->stub);
	return true;
}

} // namespace host

using namespace host;

extern "C" {

unsigned long ubk_code_reserve(unsigned long bytes)
{
	CodeArena &code = arena();
	const size_t pages = (bytes + kPage - 1) / kPage;
	size_t run = 0;

	if (!pages)
		return 0;
	for (size_t page = 0; page < code.used.size(); page++) {
		run = code.used[page] ? 0 : run + 1;
		if (run == pages) {
			const size_t first = page + 1 - pages;
			std::fill_n(code.used.begin() + long(first), pages, true);
			return code.base + first * kPage;
		}
	}
	return 0;
}

void ubk_code_trim(unsigned long address, unsigned long reserved, unsigned long used)
{
	const size_t keep = (used + kPage - 1) & ~(kPage - 1), all = (reserved + kPage - 1) & ~(kPage - 1);

	if (keep < all)
		ubk_code_release(address + keep, all - keep);
}

int ubk_code_write(unsigned long address, const void *bytes, unsigned long count)
{
	if (!arena().holds(address, count))
		return -EINVAL;
	if (count)
		arena().write(address, bytes, count);
	return 0;
}

void ubk_code_release(unsigned long address, unsigned long bytes)
{
	CodeArena &code = arena();
	const size_t pages = (bytes + kPage - 1) / kPage;

	if (!pages || !code.holds(address, pages * kPage))
		CodeArena::die("ubk_code_release: not of the arena");
	code.write(address, nullptr, pages * kPage);
	std::fill_n(code.used.begin() + long((address - code.base) / kPage), pages, false);
}

int ubk_faults_publish(unsigned long code, const struct ubk_fault_entry *entries, unsigned long count)
{
	if (fault_entries.size() >= kFaultImages)
		return -ENOSPC;
	fault_entries[code].assign(entries, entries + count);
	return 0;
}

void ubk_faults_retire(unsigned long code, unsigned long)
{
	fault_entries.erase(code);
}

} // extern "C"
