// The log: events as they happen, newest on top; filters, a pause, one event's details.

import { h, put, put_attribute } from './dom.js';
import { LEVELS, fields_of } from './events.js';
import { clock_ms, visible } from './format.js';
import { knows, t } from './lang.js';
import { List } from './list.js';
import { ask_older, on } from './link.js';
import { model } from './model.js';
import { painter, wake } from './paint.js';
import { choice, put_choices, section, text_filter } from './section.js';

const COLUMNS = [
	{ key: 'time', label: 'column.time' },
	{ key: 'level', label: 'column.level' },
	{ key: 'service', label: 'column.service' },
	{ key: 'type', label: 'column.type' },
	{ key: 'fields', label: 'column.fields' },
];
const EVERY_MS = 100; // a flood of events is drawn ten times a second
const FIELDS_SHOWN = 12;
const ROWS_WANTED = 60; // as long as fewer match, older ones are asked for

function make(row) {
	const parts = {};
	for (const { key } of COLUMNS) {
		parts[key] = h('div', { class: `cell ${key}` });
		row.append(parts[key]);
	}
	return parts;
}

/** What was said stands before who said it: a row has room for one of them. */
function what_first(fields) {
	const who = ([name]) => name === 'peer';
	return [...fields.filter((field) => !who(field)), ...fields.filter(who)];
}

export function own_text({ own }) {
	return knows(own.key) ? t(own.key, own.values) : '';
}

function fill(parts, event, index, element) {
	const level = LEVELS[event.rank];
	put_attribute(element, 'data-level', level);
	put(parts.time, clock_ms(event.ms));
	put(parts.level, t(`level.${level}`));
	put(parts.service, visible(event.service));
	put(parts.type, event.own ? '' : visible(event.type));
	if (parts.shown === event.key && !event.own)
		return;
	parts.shown = event.key;
	if (event.own)
		parts.fields.textContent = own_text(event);
	else
		parts.fields.replaceChildren(...what_first(fields_of(event)).slice(0, FIELDS_SHOWN)
			.map(([name, value]) => h('span', { class: 'field' },
				h('span', { class: 'key' }, `${name}=`), value || '""')));
}

export function details() {
	const title = h('h3');
	const table = h('dl', { class: 'details-fields' });
	const copy = h('button', { type: 'button', class: 'quiet' });
	const close = h('button', { type: 'button', class: 'quiet icon', 'data-t-label': 'close' }, '✕');
	const element = h('aside', { class: 'details', hidden: true, 'data-t-label': 'log.details' },
		h('header', {}, title, copy, close), table);
	let json = '';
	copy.addEventListener('click', async () => {
		try {
			await navigator.clipboard.writeText(json);
			put(copy, t('log.copied'));
		} catch {
			getSelection().selectAllChildren(table); // no clipboard here: ready for Ctrl+C
		}
	});
	const show = (event) => {
		json = JSON.stringify(event.data);
		put(title, event.own ? own_text(event) : visible(event.type));
		put(copy, t('log.copy'));
		copy.hidden = Boolean(event.own);
		table.replaceChildren(...Object.entries(event.data).flatMap(([name, value]) => [
			h('dt', {}, visible(name)),
			h('dd', {}, visible(typeof value === 'object' ? JSON.stringify(value) : value))]));
		element.hidden = false;
		element.scrollTop = 0;
	};
	return { element, close, show, follow: (event) => element.hidden || show(event) };
}

/** The controls, and the filter that they say. */
function filters(changed) {
	const text = text_filter(changed);
	const service = choice('filter.service', changed);
	const type = choice('filter.type', changed);
	const level = choice('filter.level', changed);
	let chosen_level = false;
	level.addEventListener('change', () => {
		chosen_level = true;
	});
	return {
		elements: [text, service, type, level],
		text,
		refresh() {
			const names = [...model.services.keys()];
			put_choices(service, [['', t('all.services')], ...names.map((name) => [name, name])]);
			put_choices(type, [['', t('all.types')], ...[...model.log.types].filter(Boolean).sort()
				.map((name) => [name, visible(name)])]);
			put_choices(level, LEVELS.map((name, rank) => [String(rank), t(`level.from.${name}`)]));
			if (!chosen_level)
				level.value = '1';
		},
		get value() {
			return { text: text.value.trim().toLowerCase(), service: service.value,
				type: type.value, rank: Number(level.value) };
		},
		show_all() {
			service.value = type.value = '';
			level.value = '0';
			chosen_level = true;
		},
	};
}

export function log({ announce }) {
	let view = [];
	let held = null; // the view while paused
	let anew = true; // the filter changed: no row is where it was
	let fresh = 0;   // matching events that are not in sight
	const changed = () => {
		anew = true;
		held = null;
		show_pause();
		wake('log');
	};
	const filter = filters(changed);
	const pause = h('button', { type: 'button', class: 'quiet', 'aria-pressed': 'false',
		'aria-keyshortcuts': 'p' });
	const news = h('button', { type: 'button', class: 'news', hidden: true });
	const detail = details();
	const list = new List({ name: 'log', label: 'section.log', columns: COLUMNS, make, fill,
		open: detail.show, moved: detail.follow, seen });
	const shell = section({ id: 'log', title: 'section.log', list,
		controls: [...filter.elements, pause], below: [news, detail.element] });

	function seen(from, to) {
		if (list.element.scrollTop < 4 && !held)
			fresh = 0;
		news.hidden = fresh === 0;
		if (to > 0 && to >= view.length - 20 && from > 0)
			ask_older();
	}

	function show_pause() {
		put(pause, t(held ? 'log.resume' : 'log.pause'));
		pause.setAttribute('aria-pressed', String(Boolean(held)));
		shell.element.classList.toggle('paused', Boolean(held));
	}

	function paint() {
		if (!shell.in_sight)
			return;
		filter.refresh();
		const { value } = filter;
		const before = view[0];
		const found = model.log.view(value);
		const came = before && !anew
			? found.findIndex((event) => event.order <= before.order) : 0;
		const shift = came < 0 ? found.length : came;
		if (held) {
			fresh = shift;
		} else {
			view = found;
			if (anew) {
				list.element.scrollTop = 0;
				list.chosen = -1;
			}
			fresh = list.element.scrollTop < 4 ? 0 : fresh + shift;
			list.set(view.length, (index) => view[index], anew ? 0 : shift);
			anew = false;
			if (view.length < ROWS_WANTED)
				ask_older();
		}
		say(value, found.length);
	}

	function say(value, n) {
		const { size } = model.log;
		const is_all = n === size;
		put(shell.note, is_all ? t('log.held', { n }) : t('log.found', { n, total: size }));
		news.hidden = fresh === 0;
		put(news, `↑ ${t('log.new', { n: fresh })}`);
		list.say_empty(n > 0 ? '' : t(size > 0 ? 'log.none.found' : 'log.none'));
	}

	function toggle() {
		held = held ? null : view;
		show_pause();
		wake('log');
	}

	news.addEventListener('click', () => {
		held = null;
		fresh = 0;
		show_pause();
		list.element.scrollTop = 0;
		wake('log');
	});
	pause.addEventListener('click', toggle);
	detail.close.addEventListener('click', () => shell.escape());
	painter('log', paint, EVERY_MS);
	painter('language', show_pause);
	on('reset', changed);
	on('log', (events) => {
		const errors = events.filter((event) => event.rank === LEVELS.length - 1).length;
		if (errors && model.link.state === 'live')
			announce(t('say.errors', { n: errors }));
		wake('log');
	});
	show_pause();

	return Object.assign(shell, {
		filter: filter.text,
		pause: toggle,
		on_sight: () => wake('log'),
		refilter: changed,
		/** Escape: closes the details, then clears the filter. Whether there was anything to do. */
		escape() {
			if (!detail.element.hidden) {
				detail.element.hidden = true;
				list.element.focus({ preventScroll: true });
				return true;
			}
			return false;
		},
		/** All events that say `text`. */
		show(text) {
			filter.text.value = text;
			filter.refresh();
			filter.show_all();
			changed();
		},
	});
}
