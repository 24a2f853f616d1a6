// The keyboard: one letter where nothing is being typed, g and a letter to go somewhere.

import { by_id, h } from './dom.js';
import { t } from './lang.js';

const CHORD_MS = 1500;

const is_typing = (element) => element.matches('input, textarea, select, [contenteditable]');

/** `page`: {sections() → shown [{row, shell}], current() → shell, go(shell), theme(), language()} */
export function build_keys(page) {
	let chord_ms = -Infinity;
	const list_of = () => page.current()?.list;
	const log = () => page.sections().find(({ row }) => row.id === 'log')?.shell;

	const single = {
		'/': () => focus_filter(page),
		j: () => list_of()?.move(1),
		k: () => list_of()?.move(-1),
		G: () => list_of()?.choose(Infinity),
		p: () => log()?.pause(),
		t: page.theme,
		f: page.language,
		'?': () => show_keys(page),
	};

	const chord = (key) => {
		const target = page.sections().find(({ row }) => row.key === key);
		if (target)
			page.go(target.shell);
		else if (key === 'g')
			list_of()?.choose(0);
	};

	document.addEventListener('keydown', (event) => {
		if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing
			|| by_id('keys').open || !by_id('login').hidden)
			return;
		if (event.key === 'Escape') {
			escape(page, event);
			return;
		}
		if (is_typing(event.target))
			return;
		const is_chord = event.timeStamp - chord_ms < CHORD_MS;
		chord_ms = -Infinity;
		if (is_chord)
			chord(event.key);
		else if (event.key === 'g')
			chord_ms = event.timeStamp;
		else if (event.key === 'Enter' && event.target === document.body)
			list_of()?.open_chosen();
		else if (Object.hasOwn(single, event.key))
			single[event.key]();
		else
			return;
		event.preventDefault();
	});
	by_id('help').addEventListener('click', () => show_keys(page));
	by_id('keys-close').addEventListener('click', () => by_id('keys').close());
	by_id('keys').addEventListener('click', (event) => {
		if (event.target === by_id('keys')) // beside the sheet
			by_id('keys').close();
	});
}

function focus_filter(page) {
	const shells = [page.current(), ...page.sections().map(({ shell }) => shell).reverse()];
	const shell = shells.find((one) => one?.filter);
	shell?.filter.focus();
	shell?.filter.select();
}

function escape(page, event) {
	const { target } = event;
	if (target.matches('input[type=search]') && target.value) {
		target.value = '';
		target.dispatchEvent(new Event('input'));
	} else if (is_typing(target)) {
		page.current()?.list.element.focus({ preventScroll: true });
	} else if (!page.sections().some(({ shell }) => shell.escape?.())) {
		target.blur?.();
	}
	event.preventDefault();
}

function rows(page) {
	return [
		['/', t('key.filter')],
		...page.sections().map(({ row }) => [`g ${row.key}`,
			t('key.go', { section: t(`section.${row.id}`) })]),
		['j k', t('key.move')],
		['g g · G', t('key.ends')],
		['Enter', t('key.open')],
		['p', t('key.pause')],
		['t', t('key.theme')],
		['f', t('key.language')],
		['?', t('key.help')],
		['Esc', t('key.escape')],
	];
}

function show_keys(page) {
	by_id('keys-list').replaceChildren(...rows(page).flatMap(([keys, text]) => [
		h('dt', {}, ...keys.split(' ').flatMap((key) => [
			key === '·' ? '·' : h('kbd', {}, key), ' '])),
		h('dd', {}, text)]));
	by_id('keys').showModal();
}
