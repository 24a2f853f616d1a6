// What every section has: a heading with its count, room for controls, a list; and whether it is
// in sight, since what nobody sees is neither asked for nor drawn.

import { h } from './dom.js';

export function section({ id, title, list, controls = [], below = [] }) {
	const note = h('span', { class: 'note' });
	const element = h('section', { id, class: 'panel', 'aria-labelledby': `${id}-title` },
		h('header', { class: 'panel-head' },
			h('h2', { id: `${id}-title` }, h('span', { 'data-t': title })),
			note,
			h('div', { class: 'controls' }, ...controls)),
		list.element, ...below);
	const shell = { id, element, note, list, in_sight: true };
	new IntersectionObserver((entries) => {
		const was = shell.in_sight;
		shell.in_sight = entries[entries.length - 1].isIntersecting;
		if (!was && shell.in_sight)
			shell.on_sight?.();
	}).observe(element);
	return shell;
}

export function text_filter(on_change) {
	const input = h('input', { type: 'search', class: 'filter', 'data-t-placeholder': 'filter.text',
		'data-t-label': 'filter.text', spellcheck: 'false', autocomplete: 'off',
		oninput: () => on_change() });
	return input;
}

export function choice(label, on_change) {
	return h('select', { 'data-t-label': label, onchange: () => on_change() });
}

/** Fills a choice with [value, text]; what is chosen stays chosen while it is there. */
export function put_choices(select, options) {
	const is = JSON.stringify(options);
	if (select.dataset.is === is)
		return;
	const { value } = select;
	select.dataset.is = is;
	select.replaceChildren(...options.map(([key, text]) => h('option', { value: key }, text)));
	select.value = options.some(([key]) => key === value) ? value : options[0][0];
}
