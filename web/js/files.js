// Changes of watched directories: all that the store has, newest on top; searched; live.

import { h, put, put_attribute } from './dom.js';
import { FilePages, LIST_LIMIT } from './file_pages.js';
import { size_text, visible, when } from './format.js';
import { t } from './lang.js';
import { List } from './list.js';
import { ask, on } from './link.js';
import { details } from './log.js';
import { model } from './model.js';
import { painter, wake } from './paint.js';
import { choice, put_choices, section, text_filter } from './section.js';

const COLUMNS = [
	{ key: 'time', label: 'column.time' },
	{ key: 'client', label: 'column.client' },
	{ key: 'change', label: 'column.change' },
	{ key: 'path', label: 'column.path' },
	{ key: 'size', label: 'column.size', number: true },
];
const TYPES = ['create', 'modify', 'delete', 'move', 'attrib', 'gap', 'settled'];
const SINCE = ['10m', '1h', '1d', '7d'];
const SOON_MS = 150;      // a burst of news is one reading
const TYPING_MS = 200;
const CLIENTS_MS = 15000; // the list of clients is read again after this

function make(row) {
	const parts = {};
	for (const { key, number } of COLUMNS) {
		parts[key] = h('div', { class: `cell ${key}${number ? ' number' : ''}` });
		row.append(parts[key]);
	}
	parts.from = h('span', { class: 'from' });
	parts.to = h('span', { class: 'to' });
	parts.path.append(parts.from, parts.to);
	return parts;
}

const type_of = (one) => String(one.type).replace(/^watch\./, '');

/** The name of its host, else what the client is known by, without the long half of a key. */
export function client_name({ host, client }) {
	return host || String(client).replace(/^SHA256:(.{8}).*\/(.{6}).*$/, '$1…/$2');
}

function said_of(one) {
	if (type_of(one) === 'gap')
		return one.why ? ` (${visible(one.why)})` : '';
	return '';
}

function fill(parts, one, index, element) {
	const type = type_of(one);
	put_attribute(element, 'data-change', type);
	put(parts.time, when(Date.parse(one.time)));
	put(parts.client, visible(client_name(one)));
	put(parts.change, visible(type));
	put(parts.from, one.from ? `${visible(one.from)} → ` : '');
	put(parts.to, visible(one.path) + (one.kind === 'directory' ? '/' : '') + said_of(one));
	put_attribute(parts.path, 'title', visible(one.path));
	put(parts.size, one.size === undefined || one.kind === 'directory' ? ''
		: size_text(Number(one.size)));
}

/** A pattern (`*.conf`) or a part of a path. */
function text_query(text) {
	if (!text)
		return '';
	return `&${/[*?[]/.test(text) ? 'path' : 'text'}=${encodeURIComponent(text)}`;
}

export function files({ announce }) {
	const text = text_filter(() => look_soon());
	const client = choice('filter.client', () => look());
	const type = choice('filter.type', () => look());
	const since = choice('filter.since', () => look());
	const detail = details();
	let shift = 0;
	let timer = 0;
	let typing = 0;
	let clients = [];
	let clients_ms = -Infinity;
	let newest = 0;
	const pages = new FilePages((more) => {
		shift += more;
		wake('files');
	});
	const list = new List({ name: 'files', label: 'section.files', columns: COLUMNS, make, fill,
		open: (one) => detail.show(as_event(one)), moved: (one) => detail.follow(as_event(one)),
		seen: (from, to) => pages.refresh(from, to, false) });
	const shell = section({ id: 'files', title: 'section.files', list,
		controls: [text, client, type, since], below: [detail.element] });

	const as_event = (one) => ({ type: String(one.type), data: one });

	function query() {
		return `${text_query(text.value.trim())}${
			client.value && `&client=${encodeURIComponent(client.value)}`}${
			type.value && `&type=${type.value}`}${since.value && `&since=${since.value}`}`.slice(1);
	}

	/** The filter changed. */
	function look() {
		clearTimeout(typing);
		pages.want(query());
		shift = 0;
		list.element.scrollTop = 0;
		list.chosen = -1;
		pages.refresh(0, list.last, true);
		wake('files');
	}

	function look_soon() {
		clearTimeout(typing);
		typing = setTimeout(look, TYPING_MS);
	}

	/** Something was committed. */
	function refresh() {
		timer = 0;
		if (shell.in_sight && !document.hidden)
			pages.refresh(list.first, Math.max(list.last, 1), true);
	}

	function refresh_soon() {
		timer ||= setTimeout(refresh, SOON_MS);
	}

	async function ask_clients() {
		if (performance.now() - clients_ms < CLIENTS_MS || !shell.in_sight)
			return;
		clients_ms = performance.now();
		try {
			clients = (await ask('api/clients')).clients;
			wake('files');
		} catch {
			// Asked again later.
		}
	}

	function paint() {
		put_choices(client, [['', t('all.clients')], ...clients.map(({ id, name }) =>
			[id, visible(client_name({ host: name, client: id }))])]);
		put_choices(type, [['', t('all.types')], ...TYPES.map((name) => [name, name])]);
		put_choices(since, [['', t('all.times')], ...SINCE.map((name) =>
			[name, t(`since.${name}`)])]);
		const { count } = pages;
		const moved = Math.min(shift, count);
		shift = 0;
		list.set(count, (index) => pages.row(index), moved);
		say(count);
	}

	function say(n) {
		const { total } = pages;
		const share = Math.floor(100 * pages.searched);
		if (!pages.query)
			put(shell.note, total > LIST_LIMIT ? t('files.part', { n: LIST_LIMIT, total })
				: t('files.total', { n: total }));
		else
			put(shell.note, pages.end ? t('files.found', { n })
				: t('files.searching', { n, share }));
		list.say_empty(n > 0 || !pages.known || (pages.query && !pages.end) ? ''
			: t(total > 0 ? 'files.none.found' : 'files.none'));
	}

	painter('files', paint);
	painter('language', () => wake('files'));
	detail.close.addEventListener('click', () => shell.escape());
	on('status', () => {
		const { collect } = model.status;
		if (!collect)
			return;
		const now = pages.take_status({ newest: Number(collect.newest), rows: Number(collect.rows) });
		if (now !== newest)
			refresh_soon();
		newest = now;
		ask_clients();
	});
	on('log', (events) => {
		if (events.some((event) => event.type.startsWith('watch.')))
			refresh_soon();
		if (events.some((event) => event.type === 'collect.join'))
			clients_ms = -Infinity;
		if (events.some((event) => event.type === 'collect.disk' && event.data.ok === false))
			announce(t('files.failing'));
	});
	on('reset', look);
	wake('files');

	return Object.assign(shell, {
		filter: text,
		on_sight: () => {
			ask_clients();
			refresh();
		},
		refilter: look,
		escape() {
			if (detail.element.hidden)
				return false;
			detail.element.hidden = true;
			list.element.focus({ preventScroll: true });
			return true;
		},
	});
}
