// Open connections as the page reads them from /api/connections, at each status and only while
// somebody looks: the newest 100,000, which is what the daemon gives out. Newest first and
// unfiltered, just the pages in sight are read. To search or to sort, all are read, and again
// after a rest that grows with what the reading took.

import { ask } from './link.js';

const PAGE = 200;
const PAGES_KEPT = 50;
const WHOLE_PAGE = 1000;
export const WHOLE_LIMIT = 100000; // offsets end there
const REST_MS = 2000;
const REST_FACTOR = 20;

export class ConnectionPages {
	/** `changed()` is called when there is something new to show. */
	constructor(changed) {
		this.changed = changed;
		this.want({ service: '', whole: false });
	}

	/** What is looked for; all that was read before is forgotten. */
	want({ service, whole }) {
		this.service = service;
		this.whole = whole;
		this.total = 0;
		this.pages = new Map(); // number → rows
		this.all = [];
		this.progress = null;
		this.known = false;
		this.rested_ms = 0;
		this.round = (this.round || 0) + 1; // answers to earlier rounds count no more
		this.busy = false;
	}

	row(index) {
		return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
	}

	/** Reads what rows `from` to `to` need; `anew` also what is known already. */
	async refresh(from, to, anew) {
		if (this.busy)
			return;
		const { round } = this;
		this.busy = true;
		try {
			await (this.whole ? this.read_whole(round) : this.read_pages(round, from, to, anew));
		} catch {
			// The link says what is wrong; the next status tries again.
		} finally {
			if (round === this.round) {
				this.busy = false;
				this.progress = null;
			}
		}
	}

	async read(round, offset, limit) {
		const service = this.service ? `&service=${encodeURIComponent(this.service)}` : '';
		const answer = await ask(`api/connections?offset=${offset}&limit=${limit}${service}`);
		if (round !== this.round)
			throw new Error('no longer wanted');
		return answer;
	}

	async read_pages(round, from, to, anew) {
		const last = Math.floor(Math.max(from, to - 1) / PAGE);
		for (let page = Math.floor(from / PAGE); page <= last; page++) {
			if (!anew && this.pages.has(page))
				continue;
			const answer = await this.read(round, page * PAGE, PAGE);
			this.total = answer.total;
			this.pages.delete(page); // and in again as the newest
			this.pages.set(page, answer.connections);
			this.known = true;
			for (const old of this.pages.keys())
				if (this.pages.size > PAGES_KEPT || (old > 0 && old * PAGE >= this.total))
					this.pages.delete(old);
			this.changed();
		}
	}

	async read_whole(round) {
		const began = performance.now();
		if (began < this.rested_ms)
			return;
		const found = new Map(); // by id: what opens meanwhile moves the rest down a page
		let total = Infinity;
		for (let offset = 0; offset < Math.min(total, WHOLE_LIMIT); offset += WHOLE_PAGE) {
			const answer = await this.read(round, offset, WHOLE_PAGE);
			total = answer.total;
			answer.connections.forEach((one) => found.set(one.id, one));
			if (answer.connections.length === 0)
				break;
			this.progress = [found.size, total];
			if (!this.known)
				this.changed();
		}
		const ended = performance.now();
		this.all = [...found.values()];
		this.total = total;
		this.known = true;
		this.progress = null;
		this.rested_ms = ended + Math.max(REST_MS, REST_FACTOR * (ended - began));
		this.changed();
	}
}
