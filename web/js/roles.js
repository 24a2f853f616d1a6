// The queue of role: who is principal, who comes next, under which epoch.

import { h, put } from './dom.js';
import { count, duration, visible } from './format.js';
import { t } from './lang.js';
import { List } from './list.js';
import { model } from './model.js';
import { painter } from './paint.js';
import { section } from './section.js';

const COLUMNS = [
	{ key: 'position', label: 'column.position', number: true },
	{ key: 'name', label: 'column.name' },
	{ key: 'role', label: 'column.role' },
	{ key: 'peer', label: 'column.peer' },
	{ key: 'priority', label: 'column.priority', number: true },
	{ key: 'speaks', label: 'column.speaks' },
];

function make(row) {
	const parts = {};
	for (const { key, number } of COLUMNS) {
		parts[key] = h('div', { class: `cell ${key}${number ? ' number' : ''}` });
		row.append(parts[key]);
	}
	return parts;
}

function fill(parts, one, index, element) {
	const is_principal = one.role === 'principal';
	element.classList.toggle('principal', is_principal);
	put(parts.position, count(one.position));
	put(parts.name, one.name ? visible(one.name) : '–');
	put(parts.role, visible(one.role));
	put(parts.peer, visible(one.peer));
	put(parts.priority, count(one.priority));
	parts.priority.classList.toggle('zero', one.priority === 0);
	put(parts.speaks, t(one.structured ? 'roles.structured' : 'roles.plain'));
}

export function roles({ show_events }) {
	const list = new List({ name: 'roles', label: 'section.roles', columns: COLUMNS, make, fill,
		open: (one) => show_events(one.peer) });
	const shell = section({ id: 'roles', title: 'section.roles', list });
	let epoch;
	painter('role', () => {
		const members = model.role?.members || [];
		list.set(members.length, (index) => members[index]);
		list.say_empty(model.role && members.length === 0 ? t('roles.none') : '');
		if (!model.role)
			return;
		put(shell.note, `${t('roles.epoch', { epoch: String(model.role.epoch) })} · ${
			t('roles.lease', { time: duration(model.role.lease_ms, true) })}`);
		shell.element.classList.remove('changed');
		if (epoch !== undefined && epoch !== model.role.epoch) {
			void shell.element.offsetWidth; // the animation begins anew
			shell.element.classList.add('changed');
		}
		epoch = model.role.epoch;
	});
	return shell;
}
