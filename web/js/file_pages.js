// Changes of watched directories as the page reads them from /api/files.
//
// Unfiltered the list is as long as the store, and only the pages in sight are read: a change's
// place follows from its number. Filtered, what matches is gathered from the newest down, a piece of
// the store at a time, while somebody looks at its end; and what comes is put on top.

import { ask } from './link.js';

const PAGE = 200;
const PAGES_KEPT = 100;
const FOUND_KEPT = 20000;
export const LIST_LIMIT = 1000000; // rows: browsers end an element at some 30 million pixels

export class FilePages {
	/** `changed(shift)` is called when there is something new to show: so many rows on top. */
	constructor(changed) {
		this.changed = changed;
		this.newest = this.told = 0;
		this.oldest = 1;
		this.want('');
	}

	/** What is looked for, as a query; all that was read before is forgotten. */
	want(query) {
		this.query = query;
		this.round = (this.round || 0) + 1; // answers to earlier rounds count no more
		this.pages = new Map(); // number → Map of row → change
		this.found = [];
		this.at = 0;            // the search went down to here
		this.end = false;
		this.top = 0;           // and is complete up to here
		this.busy = this.known = false;
		this.again = null; // what was to be refreshed meanwhile
	}

	/** How many changes there are in the store. */
	get total() {
		return Math.max(0, this.newest - this.oldest + 1);
	}

	/** How many rows there are to show. */
	get count() {
		return this.query ? this.found.length : Math.min(this.total, LIST_LIMIT);
	}

	row(index) {
		if (this.query)
			return this.found[index];
		const number = this.newest - index;
		return this.pages.get(Math.floor(number / PAGE))?.get(number);
	}

	/** The share of the store that was searched. */
	get searched() {
		if (!this.known)
			return 0;
		const all = this.top - this.oldest + 1;
		return this.end || all <= 0 ? 1 : Math.min(1, (this.top - this.at + 1) / all);
	}

	/** What the daemon says is in the store. */
	take_status({ newest, rows }) {
		if (newest < this.told) { // another store
			this.newest = 0;
			this.want(this.query);
		}
		this.told = newest;
		this.oldest = Math.max(1, newest - rows + 1);
		return newest;
	}

	move_on(newest) {
		const shift = this.newest ? Math.max(0, newest - this.newest) : 0;
		this.newest = Math.max(newest, this.newest);
		this.changed(shift);
	}

	/** Reads what rows `from` to `to` need and lack; `anew`: there may be more than is known. */
	async refresh(from, to, anew) {
		if (this.busy) {
			if (anew)
				this.again = [from, to];
			return;
		}
		const { round } = this;
		this.busy = true;
		try {
			await (this.query ? this.search(round, to, anew)
				: this.read_pages(round, from, to, anew));
		} catch {
			// The link says what is wrong; the next status tries again.
		} finally {
			if (round === this.round)
				this.busy = false;
		}
		if (round === this.round && this.again) {
			const [first, last] = this.again;
			this.again = null;
			await this.refresh(first, last, true);
		}
	}

	async read(round, query) {
		const answer = await ask(`api/files?${query}`);
		if (round !== this.round)
			throw new Error('no longer wanted');
		return answer;
	}

	/** Rows as they were read, when `newest` was the newest. */
	keep(files, page, newest) {
		const touched = new Set([page]);
		for (const one of files) {
			const row = Number(one.row);
			const number = Math.floor(row / PAGE);
			if (!this.pages.has(number))
				this.pages.set(number, new Map());
			this.pages.get(number).set(row, one);
			touched.add(number);
		}
		for (const number of touched) {
			const rows = this.pages.get(number) ?? new Map();
			this.pages.delete(number); // and in again as the newest
			this.pages.set(number, rows);
		}
		this.pages.get(page).upto = newest;
		while (this.pages.size > PAGES_KEPT)
			this.pages.delete(this.pages.keys().next().value);
		this.known = true;
		this.move_on(newest);
	}

	/** Whether a page was read and nothing has come to it since: numbers have no holes. */
	is_whole(number) {
		const rows = this.pages.get(number);
		const first = Math.max(number * PAGE, this.oldest);
		const last = Math.min((number + 1) * PAGE - 1, this.newest);
		return rows !== undefined && (rows.upto >= this.newest || rows.size > last - first);
	}

	/** What is new comes first and at once with its rows, so that none is empty meanwhile. */
	async read_pages(round, from, to, anew) {
		if (anew) {
			const { files, newest } = await this.read(round, `limit=${PAGE}`);
			this.keep(files, Math.floor(Number(newest) / PAGE), Number(newest));
		}
		const top = this.newest;
		const first = Math.floor(Math.max(0, top - from) / PAGE);
		const last = Math.floor(Math.max(0, top - Math.max(from, to - 1)) / PAGE);
		for (let page = first; page >= last; page--) {
			if (this.is_whole(page))
				continue;
			const { files, newest } = await this.read(round,
				`before=${(page + 1) * PAGE}&limit=${PAGE}`);
			this.keep(files, page, Number(newest));
		}
	}

	async search(round, to, anew) {
		if (this.known && anew)
			await this.search_newer(round);
		while (!this.end && this.found.length < Math.min(to + PAGE, FOUND_KEPT)) {
			const before = this.at ? `&before=${this.at}` : '';
			const answer = await this.read(round, `${this.query}&limit=${PAGE}${before}`);
			this.at = Number(answer.at);
			this.end = answer.end || !this.at;
			this.top ||= Number(answer.newest);
			this.newest = Math.max(this.newest, this.top);
			this.found.push(...answer.files);
			this.known = true;
			this.changed(0);
			if (this.again) {
				this.again = null;
				await this.search_newer(round);
			}
		}
	}

	async search_newer(round) {
		for (let end = false; !end && this.top;) {
			const answer = await this.read(round, `${this.query}&after=${this.top}&limit=1000`);
			const { files } = answer;
			end = answer.end;
			this.top = Math.max(this.top, Number(answer.at));
			if (!files.length)
				continue;
			this.found.unshift(...files.reverse());
			if (this.found.length > FOUND_KEPT) {
				this.found.length = FOUND_KEPT;
				this.at = Number(this.found.at(-1).row);
				this.end = false;
			}
			this.changed(files.length);
		}
	}
}
