// The dashboard: puts the parts together. Contract with the daemon: docs/protocols/api.md.

import { build_bar } from './js/bar.js';
import { by_id, h } from './js/dom.js';
import { build_keys } from './js/keys.js';
import { choose, first_language, speak, speaks, store, t, translate } from './js/lang.js';
import { connect, log_in, on, watch_silence } from './js/link.js';
import { label_sorts } from './js/list.js';
import { model, principal } from './js/model.js';
import { wake } from './js/paint.js';
import { SECTIONS } from './js/sections.js';
import { build_tiles } from './js/tiles.js';
import { visible } from './js/format.js';

const SAY_MS = 5000; // a screen reader hears of one thing in this time, the latest
const TICK_MS = 1000;

const shown = new Map(); // id → { row, shell }
let current;
let said_ms = -Infinity;
let to_say = '';

function announce(text) {
	to_say = text;
	say_due();
}

function say_due() {
	if (to_say && performance.now() - said_ms > SAY_MS) {
		by_id('live').textContent = to_say;
		said_ms = performance.now();
		to_say = '';
	}
}

const show_connections = (name) => {
	const { shell } = shown.get('connections');
	shell.show(name);
	go(shell);
};

const show_events = (text) => {
	const { shell } = shown.get('log');
	shell.show(text);
	go(shell);
};

function go(shell) {
	current = shell;
	const is_tall = shell.element.offsetHeight > innerHeight * 0.9;
	shell.element.scrollIntoView({ block: is_tall ? 'start' : 'nearest' });
	shell.list.element.focus({ preventScroll: true });
}

function nav_link({ id, key }, shell) {
	return h('a', { href: `#${id}`, 'aria-keyshortcuts': `g ${key}`, 'data-t': `section.${id}`,
		onclick: (event) => {
			event.preventDefault();
			go(shell);
		} });
}

/** Sections appear when the daemon has what they show, each in its place, and go with it. */
function settle_sections() {
	for (const row of SECTIONS) {
		const is_wanted = Boolean(model.status) && row.when(model.status);
		if (is_wanted && !shown.has(row.id))
			add_section(row);
		const one = shown.get(row.id);
		if (one) {
			one.shell.element.hidden = !is_wanted;
			one.link.hidden = !is_wanted;
		}
	}
}

function add_section(row) {
	const shell = row.make({ show_connections, show_events, announce });
	const link = nav_link(row, shell);
	shown.set(row.id, { row, shell, link });
	shell.element.addEventListener('focusin', () => {
		current = shell;
	});
	const order = SECTIONS.map(({ id }) => id).filter((id) => shown.has(id));
	const same_side = SECTIONS.filter(({ id, side }) => side === row.side && shown.has(id));
	by_id(`side-${row.side}`).append(...same_side.map(({ id }) => shown.get(id).shell.element));
	by_id('nav').append(...order.map((id) => shown.get(id).link));
	translate(by_id('nav'));
	translate(shell.element);
	label_sorts(shell.list);
	wake();
}

function speak_all(which) {
	choose(which);
	shown.forEach(({ shell }) => label_sorts(shell.list));
	name_language();
	wake();
}

function name_language() {
	const button = by_id('language');
	button.textContent = t('language.other');
	button.lang = speaks() === 'fr' ? 'en' : 'fr';
}

const other_language = () => speak_all(speaks() === 'fr' ? 'en' : 'fr');

function other_theme() {
	const { dataset } = document.documentElement;
	dataset.theme = dataset.theme === 'dark' ? 'light' : 'dark';
	store('prise.theme', dataset.theme);
}

function ask_token() {
	by_id('login').hidden = false;
	by_id('main').inert = true;
	by_id('token').focus();
}

async function enter(event) {
	event.preventDefault();
	const { status, word } = await log_in(by_id('token').value.trim());
	const faults = { token: 'login.wrong', too_many: 'login.wait', origin: 'refused.origin',
		host: 'refused.host' };
	by_id('login-error').textContent = status >= 200 && status < 300 ? ''
		: t(faults[word] ?? 'login.failed');
	if (status < 200 || status >= 300) {
		by_id('token').select();
		return;
	}
	by_id('token').value = '';
	by_id('login').hidden = true;
	by_id('main').inert = false;
	connect();
}

let was_live;
let was_principal;

function link_changed() {
	const { state } = model.link;
	if (state === 'live' && was_live === false)
		announce(t('say.live'));
	else if (state === 'waiting' && was_live)
		announce(t('say.lost'));
	was_live = state === 'live' || (state === 'waiting' ? false : was_live);
	wake('link');
}

function role_changed() {
	const one = principal();
	const is = `${model.role.epoch} ${one?.peer}`;
	if (was_principal !== undefined && is !== was_principal)
		announce(one ? t('say.role', { name: visible(one.name || one.peer),
			epoch: String(model.role.epoch) }) : t('say.nobody'));
	was_principal = is;
	wake('role');
}

let ticking = 0;

/** The one timer of the page, and none while it is hidden: silence, countdowns, what is to say. */
function tick() {
	clearInterval(ticking);
	ticking = document.hidden ? 0 : setInterval(() => {
		watch_silence();
		say_due();
		if (model.link.state !== 'live')
			wake('link');
	}, TICK_MS);
}

function start() {
	speak(first_language());
	name_language();
	build_bar();
	build_tiles(by_id('tiles'));
	translate(by_id('tiles'));
	build_keys({
		sections: () => [...shown.values()].filter(({ shell }) => !shell.element.hidden),
		current: () => current ?? shown.get('log')?.shell,
		go, theme: other_theme, language: other_language,
	});
	by_id('theme').addEventListener('click', other_theme);
	by_id('language').addEventListener('click', other_language);
	by_id('login').addEventListener('submit', enter);
	document.addEventListener('visibilitychange', tick);
	on('link', link_changed);
	on('role', role_changed);
	on('login', ask_token);
	on('status', () => {
		settle_sections();
		wake('status');
		if (!model.role)
			wake('role');
	});
	tick();
	connect();
}

start();
