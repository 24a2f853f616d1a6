// Elements made by hand. Everything that comes from the network goes in as text.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes || {})) {
		if (name.startsWith('on'))
			element.addEventListener(name.slice(2), value);
		else if (value === true)
			element.setAttribute(name, '');
		else if (value !== false && value !== undefined)
			element.setAttribute(name, value);
	}
	element.append(...children);
	return element;
}

export const h = (tag, attributes, ...children) =>
	fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) =>
	fill(document.createElementNS(SVG, tag), attributes, children);

export const by_id = (id) => document.getElementById(id);

/** Writes only what changed, so that the browser has nothing to do for the rest. */
export function put(element, text) {
	if (element.textContent !== text)
		element.textContent = text;
}

export function put_attribute(element, name, value) {
	if (element.getAttribute(name) !== value)
		element.setAttribute(name, value);
}

/** A number and its unit, the unit dimmer; a zero dimmer still. */
export function put_amount(element, [number, unit], is_zero) {
	if (element.childNodes.length !== 2)
		element.replaceChildren(h('span'), h('span', { class: 'unit' }));
	put(element.firstChild, number);
	put(element.lastChild, unit ? `\u00a0${unit}` : '');
	element.classList.toggle('zero', is_zero);
}
