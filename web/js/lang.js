// Which language the page speaks, and its words filled in. Elements say by attribute what they
// show (data-t, data-t-label, data-t-placeholder, data-t-title); `translate` goes over them.

import { words } from './words.js';

const STORED = 'prise.language';
let language = 'en';

export function stored(name) {
	try {
		return localStorage.getItem(name);
	} catch {
		return null;
	}
}

export function store(name, value) {
	try {
		localStorage.setItem(name, value);
	} catch {
		// Private windows may refuse; the choice then lasts as long as the page.
	}
}

export const speaks = () => language;

/** The text of `key`; `values` fill its {names}, and `n` chooses between one and many. */
export function t(key, values = {}) {
	let text = words[language][key] ?? words.en[key] ?? key;
	if (text.includes('|')) {
		const many = language === 'fr' ? Math.abs(values.n) >= 2 : values.n !== 1;
		text = text.split('|')[many ? 1 : 0];
	}
	return text.replace(/\{(\w+)\}/g, (all, name) => {
		const value = values[name];
		return typeof value === 'number' ? value.toLocaleString(language) : value ?? all;
	});
}

/** Whether the dictionary has `key`. */
export const knows = (key) => key in words.en;

const ATTRIBUTES = [['label', 'aria-label'], ['placeholder', 'placeholder'], ['title', 'title']];

export function translate(root) {
	for (const element of root.querySelectorAll('[data-t]'))
		element.textContent = t(element.dataset.t);
	for (const [name, attribute] of ATTRIBUTES)
		for (const element of root.querySelectorAll(`[data-t-${name}]`))
			element.setAttribute(attribute, t(element.getAttribute(`data-t-${name}`)));
}

export function speak(which) {
	language = which in words ? which : 'en';
	document.documentElement.lang = language;
	translate(document);
}

export function choose(which) {
	store(STORED, which);
	speak(which);
}

/** What was chosen here, else the first language of the browser's that the page knows. */
export function first_language() {
	const wanted = [stored(STORED), ...(navigator.languages || [navigator.language])];
	return wanted.filter(Boolean).map((tag) => tag.slice(0, 2)).find((tag) => tag in words) || 'en';
}
