// A list of any length: only the rows in sight exist, and they are used again as one scrolls.
// Rows all have the height that the style sheet gives them (--row). A grid for assistive
// technology: one stop of the tab key, the chosen row named by aria-activedescendant.

import { h, put_attribute } from './dom.js';
import { t } from './lang.js';

const SPARE = 6; // rows beyond either edge

export class List {
	/** `columns`: [{key, label, sortable, number}]; `make(row)` returns what `fill(parts, item,
	 * index, row)` writes to; `open(item)` on Enter or a click; `moved(item)` when another row was
	 * chosen; `sort(key)` on a head's click; `seen(from, to)` after each draw; `whole`: no
	 * scrolling of its own. */
	constructor(options) {
		Object.assign(this, { count: 0, item_at: () => undefined, chosen: -1, rows: [] }, options);
		this.first = this.last = 0;
		this.heads = new Map();
		this.head = h('div', { class: 'row head', role: 'row', 'aria-rowindex': 1 },
			...this.columns.map((column) => this.make_head(column)));
		this.body = h('div', { class: 'rows', role: 'presentation' });
		this.empty = h('p', { class: 'empty', hidden: true });
		this.element = h('div', { class: `list ${this.name}${this.whole ? ' whole' : ''}`,
			role: 'grid', tabindex: 0, 'data-t-label': this.label,
			'aria-colcount': this.columns.length }, this.head, this.body, this.empty);
		this.element.addEventListener('scroll', () => this.draw(false), { passive: true });
		this.element.addEventListener('keydown', (event) => this.key(event));
		this.body.addEventListener('click', (event) => this.click(event));
		new ResizeObserver(() => {
			this.row_height = 0;
			this.draw(false);
		}).observe(this.element);
	}

	make_head(column) {
		const cell = h('div', { class: `cell ${column.key}${column.number ? ' number' : ''}`,
			role: 'columnheader' });
		const word = { 'data-t': column.label };
		if (column.sortable) {
			cell.append(h('button', { type: 'button', class: 'sort', ...word,
				onclick: () => this.sort(column.key) }));
			this.heads.set(column.key, cell);
		} else {
			cell.append(h('span', word));
		}
		return cell;
	}

	show_sort(key, descending) {
		for (const [name, cell] of this.heads)
			put_attribute(cell, 'aria-sort', name !== key ? 'none'
				: descending ? 'descending' : 'ascending');
	}

	/** New content: `count` rows, `item_at(index)` (undefined: not known yet). `shift` rows came in
	 * above: who has scrolled down goes on seeing what he saw. */
	set(count, item_at, shift = 0) {
		const at_top = this.element.scrollTop < 4;
		this.count = count;
		this.item_at = item_at;
		if (this.chosen >= 0)
			this.chosen = Math.min(this.chosen + shift, count - 1);
		this.resize();
		if (shift && !at_top)
			this.element.scrollTop += shift * this.row_height;
		this.draw(true);
	}

	resize() {
		if (!this.row_height)
			this.measure();
		const height = `${this.count * this.row_height}px`;
		if (this.body.style.height !== height)
			this.body.style.height = height;
		put_attribute(this.element, 'aria-rowcount', String(this.count + 1));
	}

	/** The height of the style sheet in whole pixels, so that rows and scrolling agree. */
	measure() {
		const probe = h('div', { class: 'row probe' });
		this.element.style.removeProperty('--row');
		this.body.append(probe);
		this.row_height = Math.round(probe.getBoundingClientRect().height);
		probe.remove();
		if (this.row_height)
			this.element.style.setProperty('--row', `${this.row_height}px`);
		this.sticky = this.head.offsetHeight;
		for (const row of this.rows)
			row.index = -1;
	}

	say_empty(text) {
		this.empty.textContent = text;
		this.empty.hidden = !text;
	}

	range() {
		if (this.whole)
			return [0, this.count];
		const { scrollTop, clientHeight } = this.element;
		const first = Math.floor(scrollTop / this.row_height) - SPARE;
		const last = Math.ceil((scrollTop + clientHeight) / this.row_height) + SPARE;
		return [Math.max(0, first), Math.min(this.count, last)];
	}

	/** Puts the rows in sight where they belong; `anew` writes also those that stay. */
	draw(anew) {
		this.resize();
		if (!this.row_height)
			return; // not shown
		[this.first, this.last] = this.range();
		const needed = this.last - this.first;
		while (this.rows.length < needed)
			this.add_row();
		for (const row of this.rows) {
			const turn = this.rows.length;
			const index = this.first + ((row.slot - this.first) % turn + turn) % turn;
			this.place(row, index < this.last ? index : -1, anew);
		}
		put_attribute(this.element, 'aria-activedescendant', this.chosen < 0 ? ''
			: `${this.name}-${this.chosen}`);
		this.seen?.(this.first, this.last);
	}

	add_row() {
		const element = h('div', { class: 'row', role: 'row' });
		const row = { element, slot: this.rows.length, index: -1, parts: this.make(element) };
		for (const cell of element.children)
			cell.setAttribute('role', 'gridcell');
		this.rows.push(row);
		this.body.append(element);
		for (const one of this.rows)
			one.index = -1; // the turn is longer now: all change places
	}

	place(row, index, anew) {
		const { element } = row;
		if (index < 0) {
			element.hidden = true;
			row.index = -1;
			return;
		}
		if (row.index !== index) {
			element.hidden = false;
			element.id = `${this.name}-${index}`;
			element.style.transform = `translateY(${index * this.row_height}px)`;
			element.setAttribute('aria-rowindex', index + 2);
			element.classList.toggle('odd', index % 2 === 1);
		}
		element.classList.toggle('chosen', index === this.chosen);
		put_attribute(element, 'aria-selected', String(index === this.chosen));
		if (row.index === index && !anew)
			return;
		row.index = index;
		const item = this.item_at(index);
		element.classList.toggle('unknown', item === undefined);
		if (item !== undefined)
			this.fill(row.parts, item, index, element);
	}

	choose(index) {
		if (this.count === 0)
			return;
		this.chosen = Math.max(0, Math.min(index, this.count - 1));
		this.show(this.chosen);
		this.draw(false);
		const item = this.item_at(this.chosen);
		if (item !== undefined)
			this.moved?.(item);
	}

	/** Scrolls until a row stands clear of the head. */
	show(index) {
		if (this.whole) {
			this.rows.find((row) => row.index === index)?.element
				.scrollIntoView({ block: 'nearest' });
			return;
		}
		const top = index * this.row_height;
		const { scrollTop, clientHeight } = this.element;
		const room = clientHeight - this.sticky;
		if (top < scrollTop)
			this.element.scrollTop = top;
		else if (top + this.row_height > scrollTop + room)
			this.element.scrollTop = top + this.row_height - room;
	}

	move(by) {
		this.choose(this.chosen < 0 ? (by > 0 ? this.top_row() : this.count - 1)
			: this.chosen + by);
	}

	top_row() {
		return this.whole ? 0 : Math.round(this.element.scrollTop / this.row_height);
	}

	key(event) {
		if (event.ctrlKey || event.altKey || event.metaKey || event.target !== this.element)
			return;
		const page = Math.max(1, Math.floor(this.element.clientHeight / this.row_height) - 2);
		const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page,
			Home: -Infinity, End: Infinity };
		if (event.key in moves) {
			const by = moves[event.key];
			if (Number.isFinite(by))
				this.move(by);
			else
				this.choose(by > 0 ? this.count - 1 : 0);
		} else if (event.key === 'Enter' || event.key === ' ') {
			this.open_chosen();
		} else {
			return;
		}
		event.preventDefault();
	}

	open_chosen() {
		const item = this.chosen < 0 ? undefined : this.item_at(this.chosen);
		if (item !== undefined)
			this.open?.(item);
	}

	click(event) {
		const element = event.target.closest('.row');
		const row = this.rows.find((one) => one.element === element);
		if (!row || row.index < 0 || !getSelection().isCollapsed)
			return; // text being marked is no click
		this.chosen = row.index;
		this.draw(false);
		this.open_chosen();
	}
}

/** The words of a sort button, for who does not see the arrow. */
export function label_sorts(list) {
	for (const column of list.columns) {
		const button = list.heads.get(column.key)?.firstChild;
		if (button)
			button.title = t('sort.by', { column: t(column.label) });
	}
}
