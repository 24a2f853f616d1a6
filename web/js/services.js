// Services: what listens where, what it does just now, and the last two minutes.

import { h, put, put_amount, put_attribute } from './dom.js';
import { count, decimal, size, size_text } from './format.js';
import { draw, sparkline } from './history.js';
import { knows, t } from './lang.js';
import { List } from './list.js';
import { model } from './model.js';
import { painter } from './paint.js';
import { section } from './section.js';

const COLUMNS = [
	{ key: 'name', label: 'column.service' },
	{ key: 'listen', label: 'column.listen' },
	{ key: 'open', label: 'column.open', number: true },
	{ key: 'requests', label: 'column.requests', number: true },
	{ key: 'in', label: 'column.in.rate', number: true },
	{ key: 'out', label: 'column.out.rate', number: true },
	{ key: 'activity', label: 'column.activity' },
];

const LOOPBACK = ['127.0.0.1', '[::1]'];
const EVERYWHERE = ['0.0.0.0', '[::]'];

/** Where it listens, in as few words as are exact: `localhost:7777` is both loopbacks. */
export function places_of(listen) {
	const ports = new Map(); // port → hosts
	const others = new Set();
	for (const { address } of listen) {
		const [, host, port] = /^(.*):(\d+)$/.exec(address) || [];
		if (port)
			ports.set(port, (ports.get(port) || new Set()).add(host));
		else
			others.add(address);
	}
	const places = [];
	for (const [port, hosts] of ports) {
		for (const [both, name] of [[LOOPBACK, 'localhost'], [EVERYWHERE, '*']]) {
			if (both.every((host) => hosts.has(host))) {
				both.forEach((host) => hosts.delete(host));
				places.push(`${name}:${port}`);
			}
		}
		hosts.forEach((host) => places.push(`${host}:${port}`));
	}
	return [...places, ...others];
}

function make(row) {
	const parts = {
		name: h('div', { class: 'cell name' }),
		place: h('span', { class: 'place' }),
		marks: h('span', { class: 'marks' }),
		open: h('div', { class: 'cell open number' }, h('span', { class: 'refused' }), h('span')),
		requests: h('div', { class: 'cell requests number' }),
		in: h('div', { class: 'cell in number' }),
		out: h('div', { class: 'cell out number' }),
		spark: sparkline(),
	};
	row.append(parts.name, h('div', { class: 'cell listen' }, parts.place, parts.marks),
		parts.open, parts.requests, parts.in, parts.out,
		h('div', { class: 'cell activity' }, parts.spark));
	return parts;
}

function about(row) {
	const key = `about.${row.name}`;
	return knows(key) ? t(key) : row.summary || '';
}

function fill_open(cell, row) {
	const [refused, open] = cell.children;
	put(open, count(row.open));
	open.classList.toggle('zero', row.open === 0);
	const all = row.refused + (row.datagrams_refused || 0);
	put(refused, all ? `✕${count(all)} ` : '');
	refused.title = all ? t('services.refused', { n: all }) : '';
}

function fill(parts, { row, rate, history }, index, element) {
	const listen = row.listen || [];
	put(parts.name, row.name);
	put_attribute(element, 'title', about(row));
	put(parts.place, places_of(listen).join(' '));
	parts.place.title = listen.map((one) => `${one.transport} ${one.address}`).join('\n');
	const marks = new Set(listen.map((one) => one.transport));
	put(parts.marks, `${[...marks].join(' ')}${row.tls ? ' tls' : ''}`);
	fill_open(parts.open, row);
	put_amount(parts.requests, [decimal(rate.requests), ''], rate.requests === 0);
	put_amount(parts.in, size(rate.in), rate.in === 0);
	put_amount(parts.out, size(rate.out), rate.out === 0);
	draw(parts.spark, history);
	put_attribute(parts.spark.parentNode, 'title', t('tile.peak',
		{ value: size_text(history.most()) + t('per.second') }));
}

export function services({ show_connections }) {
	const list = new List({ name: 'services', label: 'section.services', columns: COLUMNS, make,
		fill, whole: true, open: ({ row }) => show_connections(row.name) });
	const shell = section({ id: 'services', title: 'section.services', list });
	painter('status', () => {
		const all = [...model.services.values()];
		list.set(all.length, (index) => all[index]);
		list.say_empty(model.status && all.length === 0 ? t('services.none') : '');
		put(shell.note, model.status ? t('services.total', { n: all.length }) : '');
	});
	return shell;
}
