// Numbers, sizes, times and foreign text as people read them.

import { speaks, t } from './lang.js';

const formats = new Map();

function formatter(digits, least = 0) {
	const name = `${speaks()} ${digits} ${least}`;
	if (!formats.has(name))
		formats.set(name, new Intl.NumberFormat(speaks(), { maximumFractionDigits: digits,
			minimumFractionDigits: least }));
	return formats.get(name);
}

export const count = (n) => formatter(0).format(n);

/** Of a rate: below ten with a decimal, so that a slow one is not nothing. */
export const decimal = (n) => formatter(n < 10 ? 1 : 0).format(n);

/** Bytes as [number, unit], in powers of 1000: 12.4 kB. */
export function size(bytes) {
	const units = t('unit.bytes').split(' ');
	let unit = 0;
	while (bytes >= 999.5 && unit < units.length - 1) {
		bytes /= 1000;
		unit++;
	}
	const digits = unit > 0 && bytes < 99.95 ? 1 : 0;
	return [formatter(digits, digits).format(bytes), units[unit]];
}

export const size_text = (bytes) => size(bytes).join('\u00a0');

const STEPS = [['days', 86400], ['hours', 3600], ['minutes', 60], ['seconds', 1]];

/** A duration by its two greatest units: 3 d 4 h. Below a second in milliseconds if `fine`. */
export function duration(ms, fine) {
	if (fine && ms % 1000 !== 0 && ms < 10000)
		return `${count(ms)}\u00a0${t('unit.milliseconds')}`;
	let seconds = Math.max(0, Math.floor(ms / 1000));
	const parts = [];
	for (const [unit, length] of STEPS) {
		if (seconds >= length || (unit === 'seconds' && parts.length === 0)) {
			parts.push(`${count(Math.floor(seconds / length))}\u00a0${t(`unit.${unit}`)}`);
			seconds %= length;
		} else if (parts.length > 0) {
			break;
		}
		if (parts.length === 2)
			break;
	}
	return parts.join(' ');
}

const two = (n) => String(n).padStart(2, '0');

/** Local time of day. */
export function clock(ms) {
	const at = new Date(ms);
	return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export const clock_ms = (ms) => `${clock(ms)}.${String(Math.floor(ms) % 1000).padStart(3, '0')}`;

/** The same of a moment that may be long ago: with its day unless that is today, with its year
 * unless that is this one. */
export function when(ms) {
	const at = new Date(ms);
	const now = new Date();
	const day = `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
	if (at.toDateString() === now.toDateString())
		return clock_ms(ms);
	if (at.getFullYear() === now.getFullYear())
		return `${day} ${clock(ms)}`;
	return `${at.getFullYear()}-${day} ${clock(ms).slice(0, 5)}`;
}

// Control characters, and those that turn, join or hide text: a peer's name must not play tricks.
const HIDDEN = new RegExp('[\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200b-\\u200f\\u2028-\\u202e' +
	'\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]', 'g');
const SHORT = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

export function visible(text) {
	return String(text).replace(HIDDEN, (c) => {
		const code = c.charCodeAt(0).toString(16);
		return SHORT[c] ?? (code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${two(code)}`);
	});
}

// An integer of 16 digits or more outside a string: a double would not hold it.
const LONG = /"(?:[^"\\]|\\.)*"|-?\b\d{16,}\b(?![.eE\d])/g;

/** JSON with integers up to 2^64-1 exact: the long ones become text. */
export function parse(json) {
	if (/\d{16}/.test(json))
		json = json.replace(LONG, (found) => (found[0] === '"' ? found : `"${found}"`));
	return JSON.parse(json);
}
