// Open connections: one row each, however many; by service, searched, sorted.

import { ConnectionPages, WHOLE_LIMIT } from './connection_pages.js';
import { h, put, put_amount } from './dom.js';
import { duration, size, visible } from './format.js';
import { t } from './lang.js';
import { List } from './list.js';
import { on } from './link.js';
import { daemon_now, model } from './model.js';
import { painter, wake } from './paint.js';
import { choice, put_choices, section, text_filter } from './section.js';

const COLUMNS = [
	{ key: 'service', label: 'column.service', sortable: true },
	{ key: 'peer', label: 'column.peer', sortable: true },
	{ key: 'age', label: 'column.age', sortable: true, number: true },
	{ key: 'in', label: 'column.in', sortable: true, number: true },
	{ key: 'out', label: 'column.out', sortable: true, number: true },
	{ key: 'queued', label: 'column.queued', sortable: true, number: true },
];

const BY = {
	service: (a, b) => (a.service < b.service ? -1 : a.service > b.service ? 1 : 0),
	peer: (a, b) => (a.peer < b.peer ? -1 : a.peer > b.peer ? 1 : 0),
	age: (a, b) => (a.opened > b.opened ? -1 : a.opened < b.opened ? 1 : 0), // RFC 3339: as text
	in: (a, b) => a.bytes_in - b.bytes_in,
	out: (a, b) => a.bytes_out - b.bytes_out,
	queued: (a, b) => a.queued - b.queued,
};
const LARGEST_FIRST = new Set(['in', 'out', 'queued']);

function make(row) {
	const parts = {};
	for (const { key, number } of COLUMNS) {
		parts[key] = h('div', { class: `cell ${key}${number ? ' number' : ''}` });
		row.append(parts[key]);
	}
	return parts;
}

function fill(parts, one) {
	put(parts.service, visible(one.service));
	put(parts.peer, visible(one.peer));
	put(parts.age, duration(daemon_now() - Date.parse(one.opened)));
	put_amount(parts.in, size(one.bytes_in), one.bytes_in === 0);
	put_amount(parts.out, size(one.bytes_out), one.bytes_out === 0);
	put_amount(parts.queued, size(one.queued), one.queued === 0);
}

/** `rows` that say `text`, in the order wanted. */
export function arrange(rows, text, { key, descending }) {
	const found = text ? rows.filter((one) => one.peer.toLowerCase().includes(text)
		|| one.service.includes(text) || one.id === text) : [...rows];
	const by = BY[key];
	return found.sort(descending ? (a, b) => by(b, a) : by);
}

export function connections({ show_events }) {
	const natural = { key: 'age', descending: false }; // newest first, as the daemon gives them
	let sort = natural;
	let arranged = { of: null, how: '', rows: [] };
	const service = choice('filter.service', () => look());
	const filter = text_filter(() => look());
	const pages = new ConnectionPages(() => wake('connections'));
	const list = new List({ name: 'connections', label: 'section.connections', columns: COLUMNS,
		make, fill, open: (one) => show_events(one.peer),
		sort: (key) => {
			const descending = sort.key === key ? !sort.descending : LARGEST_FIRST.has(key);
			sort = { key, descending };
			look();
		},
		seen: (from, to) => pages.whole || pages.refresh(from, to, false) });
	const shell = section({ id: 'connections', title: 'section.connections', list,
		controls: [filter, service] });

	const text = () => filter.value.trim().toLowerCase();
	const is_natural = () => !text() && sort.key === natural.key
		&& sort.descending === natural.descending;

	/** The filter or the order changed. */
	function look() {
		const whole = !is_natural();
		if (whole !== pages.whole || service.value !== pages.service) {
			pages.want({ service: service.value, whole });
			pages.refresh(0, 1, true);
		}
		list.element.scrollTop = 0;
		list.chosen = -1;
		list.show_sort(sort.key, sort.descending);
		wake('connections');
	}

	/** All that were read, arranged once for each reading and each filter. */
	function rows() {
		const how = `${text()} ${sort.key} ${sort.descending}`;
		if (arranged.of !== pages.all || arranged.how !== how)
			arranged = { of: pages.all, how, rows: arrange(pages.all, text(), sort) };
		return arranged.rows;
	}

	function paint() {
		put_choices(service, [['', t('all.services')],
			...[...model.services.keys()].map((name) => [name, name])]);
		if (pages.whole) {
			const found = rows();
			list.set(found.length, (index) => found[index]);
			say(found.length);
		} else {
			list.set(Math.min(pages.total, WHOLE_LIMIT), (index) => pages.row(index));
			say(pages.total);
		}
	}

	function say(n) {
		const total = pages.total;
		if (pages.progress && !pages.known)
			put(shell.note, t('connections.loading', { n: pages.progress[0],
				total: pages.progress[1] }));
		else if (total > WHOLE_LIMIT && !text())
			put(shell.note, t('connections.part', { n: WHOLE_LIMIT, total }));
		else if (n !== total)
			put(shell.note, t('connections.found', { n, total }));
		else
			put(shell.note, pages.known ? t('connections.total', { n }) : '');
		list.say_empty(n > 0 || !pages.known ? ''
			: t(total > 0 ? 'connections.none.found' : 'connections.none'));
	}

	function refresh() {
		if (shell.in_sight && !document.hidden)
			pages.refresh(list.first, list.last, true);
	}

	painter('connections', paint);
	on('status', refresh);
	on('reset', () => pages.want(pages));
	list.show_sort(sort.key, sort.descending);
	refresh();

	return Object.assign(shell, {
		filter,
		on_sight: refresh,
		refilter: look,
		/** The connections of one service. */
		show(name) {
			paint();
			filter.value = '';
			service.value = name;
			look();
		},
	});
}
