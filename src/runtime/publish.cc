/* SPDX-License-Identifier: GPL-2.0 */
/* From a verified image to a translation and back to free memory. See publish.h. */

#include <cstddef>
#include <new>

#include "profiler/site.h"
#include "runtime/publish.h"

namespace ub::runtime {
namespace {

static_assert(sizeof(ubk_fault_entry) == sizeof(sfi::FaultEntry));
static_assert(offsetof(ubk_fault_entry, stub) == offsetof(sfi::FaultEntry, stub));

void destroy(void *argument)
{
	auto *translation = static_cast<Translation *>(argument);

	ubk_faults_retire(translation->code, translation->code_bytes);
	ubk_code_release(translation->code, translation->code_bytes);
	ubk_free(translation);
}

} // namespace

Result<Translation *> make_translation(UserAddr start, uint32_t calls, const sfi::VerifiedImage &verified,
				       std::span<const Extent> sources, std::span<const OpenCall> followed,
				       profiler::Site &site)
{
	const sfi::Image &image = verified.image();
	size_t exits_at = sizeof(Translation);
	size_t sources_at = exits_at + image.exits.size() * sizeof(ub_exit);
	size_t followed_at = sources_at + sources.size_bytes();
	auto *memory = static_cast<char *>(ubk_alloc(followed_at + followed.size_bytes()));

	if (!memory)
		return Fault::kNoMemory;
	if (ubk_faults_publish(image.address.value, reinterpret_cast<const ubk_fault_entry *>(image.faults.data()),
			       image.faults.size())) {
		ubk_free(memory);
		return Fault::kNoCodeSpace;
	}

	auto *exits = reinterpret_cast<ub_exit *>(memory + exits_at);
	auto *copied = reinterpret_cast<Extent *>(memory + sources_at);
	auto *calls_copied = reinterpret_cast<OpenCall *>(memory + followed_at);
	for (size_t i = 0; i < image.exits.size(); i++)
		new (&exits[i]) ub_exit{image.exits[i].ip.value, image.exits[i].from.value, image.exits[i].to.value,
					image.exits[i].calls, uint8_t(image.exits[i].reason)};
	for (size_t i = 0; i < sources.size(); i++)
		new (&copied[i]) Extent(sources[i]);
	for (size_t i = 0; i < followed.size(); i++)
		new (&calls_copied[i]) OpenCall(followed[i]);

	auto *translation = new (memory) Translation(start, calls, image.address, verified.uses_fpu(), exits);
	translation->code_bytes = uint32_t(image.bytes.size());
	translation->sources = {copied, sources.size()};
	translation->followed = {calls_copied, followed.size()};
	translation->site = &site;
	ubk_trace_publish(start.value, image.address.value);
	return translation;
}

unsigned retire(Translation *list)
{
	unsigned count = 0;

	while (Translation *translation = list) {
		list = translation->retired_next;
		ubk_trace_retire(translation->start().value);
		ubk_defer(&translation->deferred, destroy, translation);
		count++;
	}
	return count;
}

} // namespace ub::runtime
