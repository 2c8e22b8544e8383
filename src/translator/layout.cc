/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Places the blocks reachable from the entry: chains of likely successors, begun in
 * the order in which they were first referred to.
 */
#include "translator/layout.h"

namespace ub::translator {

namespace {

/* The first successor not placed yet, to follow the block directly. */
uint32_t preferred(const Region &region, const Layout &layout, const Block &block)
{
	uint32_t chosen = kNoBlock;

	for_each_successor(region, block, [&](uint32_t s) {
		if (chosen == kNoBlock && layout.places[s].position == kNoBlock)
			chosen = s;
	});
	return chosen;
}

} // namespace

Result<Layout> lay_out(const Region &region, Arena &arena)
{
	const uint32_t count = uint32_t(region.blocks.size());
	Layout layout;
	layout.order = Table<uint32_t>(arena, count);
	layout.places = arena.make<Layout::Place>(count);
	Table<uint32_t> pending(arena, count);
	bool *known = arena.make<bool>(count);
	if (arena.exhausted())
		return Fault::kNoMemory;

	pending.push_back(0);
	known[0] = true;
	for (uint32_t i = 0; i < pending.size(); i++) {
		for (uint32_t b = pending[i]; b != kNoBlock && layout.places[b].position == kNoBlock;
		     b = preferred(region, layout, region.blocks[b])) {
			layout.places[b].position = uint32_t(layout.order.size());
			layout.order.push_back(b);
			for_each_successor(region, region.blocks[b], [&](uint32_t s) {
				if (!known[s])
					pending.push_back(s);
				known[s] = true;
			});
		}
	}

	for (uint32_t b : layout.order) {
		const uint32_t position = layout.places[b].position;
		for_each_successor(region, region.blocks[b], [&](uint32_t s) {
			Layout::Place &to = layout.places[s];
			to.predecessors++;
			to.polls |= to.position <= position;
			to.joined = to.position == position + 1;
		});
	}
	layout.places[0].predecessors++;
	for (uint32_t b : layout.order)
		layout.places[b].joined &= layout.places[b].predecessors == 1;
	return layout;
}

} // namespace ub::translator
