// The row on top: what one reads from the other end of the room.

import { h, put, put_amount } from './dom.js';
import { count, decimal, size, size_text, visible } from './format.js';
import { draw, sparkline } from './history.js';
import { t } from './lang.js';
import { in_line, model, principal } from './model.js';
import { painter } from './paint.js';

const per_second = ([number, unit]) => [number, unit + t('per.second')];

const TILES = [
	{ id: 'open', show: (n) => [count(n), ''] },
	{ id: 'requests', show: (n) => [decimal(n), t('per.second')] },
	{ id: 'in', show: (n) => per_second(size(n)), peak: size_text },
	{ id: 'out', show: (n) => per_second(size(n)), peak: size_text },
	{ id: 'events', show: (n) => [decimal(n), t('per.second')] },
];

function tile(id) {
	const value = h('p', { class: 'figure' });
	const under = h('p', { class: 'under' });
	const element = h('div', { class: `tile tile-${id}` },
		h('h2', { 'data-t': `tile.${id}` }), value, under);
	return { element, value, under };
}

function principal_tile(place) {
	const { element, value, under } = tile('principal');
	place.append(element);
	painter('role', () => {
		element.hidden = !model.role;
		if (!model.role)
			return;
		const one = principal();
		put(value, one ? visible(one.name || one.peer) : t('tile.nobody'));
		value.title = one ? visible(one.peer) : '';
		put(under, t('tile.epoch', { epoch: String(model.role.epoch), n: in_line() }));
	});
}

export function build_tiles(place) {
	for (const { id, show, peak = decimal } of TILES) {
		const { element, value, under } = tile(id);
		const spark = sparkline();
		under.replaceWith(spark);
		place.append(element);
		painter('status', () => {
			const n = model.totals[id];
			put_amount(value, show(n), n === 0);
			draw(spark, model.histories[id]);
			element.title = t('tile.peak', { value: peak(model.histories[id].most()) });
		});
	}
	principal_tile(place);
}
