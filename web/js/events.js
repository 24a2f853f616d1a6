// The events that the page holds: 5000, in two lanes, so that a flood of details (connections
// opening and closing) does not wash away what people look for.

import { visible } from './format.js';

export const LEVELS = ['debug', 'info', 'notice', 'warning', 'error'];
const LANE_LIMIT = 2500;
const HEAD = new Set(['seq', 'level', 'time', 'type', 'host', 'service']); // not among the fields

// The level by its type (docs/events.md), for one that comes without: published by a command, say.
const LEVEL_OF_TYPE = [[/^(error|.*failed)$|^role\.disk$/, 4],
	[/refused$|^gap$|paused$|lost$|unconfined$|different$/, 3], [/^daemon\./, 2],
	[/^conn\.(open|close)$|^dialogue\.message$/, 0], [/^/, 1]];

let made = 0;

function rank_of({ level, type }) {
	const rank = LEVELS.indexOf(level);
	return rank >= 0 ? rank : LEVEL_OF_TYPE.find(([pattern]) => pattern.test(type))[1];
}

/** An event of the API, ready to be listed. `order` puts those of the page between those numbered. */
export function event_of(data) {
	return {
		key: ++made,
		order: Number(data.seq) || 0,
		ms: Date.parse(data.time) || 0,
		rank: rank_of(data),
		type: String(data.type ?? ''),
		service: String(data.service ?? ''),
		data,
		words: undefined,
	};
}

/** An event of the page's own: a key of the dictionary and its values. */
export function page_event(order, ms, rank, key, values) {
	return { ...event_of({}), order: order + 0.5, ms, rank, type: 'gap', own: { key, values } };
}

/** The fields of its type as [name, text]. */
export function fields_of(event) {
	return Object.entries(event.data).filter(([name]) => !HEAD.has(name))
		.map(([name, value]) => [name, visible(typeof value === 'object'
			? JSON.stringify(value) : value)]);
}

function words_of(event) {
	event.words ??= `${event.type} ${event.service} ${fields_of(event)
		.map(([name, value]) => `${name}=${value}`).join(' ')}`.toLowerCase();
	return event.words;
}

function matches(event, filter) {
	return event.rank >= filter.rank
		&& (!filter.service || event.service === filter.service)
		&& (!filter.type || event.type === filter.type)
		&& (!filter.text || words_of(event).includes(filter.text));
}

export class EventLog {
	constructor() {
		this.clear();
	}

	clear() {
		this.lanes = [[], []]; // details, and the rest; each by order
		this.last = 0;         // the greatest number seen
		this.types = new Set();
		this.reached = Infinity; // the least number that was asked for and came, kept or not
		this.complete = false;   // nothing older is to be had
	}

	get size() {
		return this.lanes[0].length + this.lanes[1].length;
	}

	get oldest() {
		return Math.ceil(Math.min(this.reached,
			...this.lanes.map((lane) => lane[0]?.order ?? Infinity)));
	}

	add(event) {
		const lane = this.lanes[event.rank === 0 ? 0 : 1];
		lane.push(event);
		if (lane.length > LANE_LIMIT + 250)
			lane.splice(0, lane.length - LANE_LIMIT);
		this.last = Math.max(this.last, Math.floor(event.order));
		if (this.types.size < 200)
			this.types.add(event.type);
	}

	/** Older ones, newest first, as far as there is room: details that find none are left out. */
	add_older(events) {
		for (const event of events) {
			const lane = this.lanes[event.rank === 0 ? 0 : 1];
			if (lane.length < LANE_LIMIT) {
				lane.unshift(event);
				this.types.add(event.type);
			}
			this.reached = Math.min(this.reached, event.order);
		}
		this.complete ||= events.length === 0 || this.lanes[1].length >= LANE_LIMIT;
	}

	/** Those that match, newest first. */
	view(filter) {
		const found = [];
		const [details, rest] = this.lanes;
		let i = filter.rank > 0 ? -1 : details.length - 1;
		let k = rest.length - 1;
		while (i >= 0 || k >= 0) {
			const newer = i >= 0 && (k < 0 || details[i].order > rest[k].order);
			const event = newer ? details[i--] : rest[k--];
			if (matches(event, filter))
				found.push(event);
		}
		return found;
	}
}
